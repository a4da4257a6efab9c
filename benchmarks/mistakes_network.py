"""Mistakes inside the network: upsampling, pooling, crops between the streams, exchanged classes, half precision."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate, max_pool2d, pad
from torch.overrides import TorchFunctionMode

from ..export.reference import reference_logits
from ..fcn_models.upsampling import is_bilinear
from .hypothesis import Hypothesis, Predict
from .parity_reference import Reference


def network_mistakes(reference: Reference, classes: Sequence[tuple[int, int]]) -> Iterator[Hypothesis]:
    """Everything that can go wrong between the first layer and the class map.

    Args:
        reference: The network as it should be.
        classes: Pairs of classes that may have been exchanged.
    """
    yield from _upsampling_mistakes(reference)
    yield Hypothesis("floor instead of ceil pools", _floor_pools(reference), "with pools that round down")
    yield from _crop_mistakes(reference)
    yield from _class_mistakes(reference, classes)


def half_precision_mistake(reference: Reference) -> Hypothesis:
    """Half precision that overflows; for a reference that emulates it."""

    def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = reference.half_logits(frame)
        assert logits is not None, "only for a reference that emulates half precision"
        # Backends disagree on which class is the largest of NaNs; the first is what most of them take.
        finite: NDArray[np.float32] = np.nan_to_num(logits, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        return finite

    return Hypothesis("FP16 overflow", predict, "with half precision emulated")


class _Enlarge(nn.Module):
    """Upsampling in place of a bilinear transposed convolution, done differently.

    Args:
        layer: What is replaced.
        mode: Interpolation.
        align_corners: Whether the outermost pixels' centres are kept in place; None if the mode does not know it.
        framed: Whether a frame of zeros is put around and cut off again, as the exact lowering does.
        late: Whether everything comes half a cell late, as when positions between cells are rounded down.
    """

    def __init__(
        self,
        layer: nn.ConvTranspose2d,
        mode: Literal["nearest", "bilinear"],
        align_corners: bool | None,
        *,
        framed: bool,
        late: bool,
    ) -> None:
        super().__init__()
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])
        self._mode, self._align_corners, self._framed = mode, align_corners, framed
        self._delay = self._stride // 2 if late else 0

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        height, width = ((n + 1) * self._stride - 2 * self._padding for n in scores.shape[2:])
        if not self._framed:
            return interpolate(scores, (height, width), mode=self._mode, align_corners=self._align_corners)
        large = interpolate(
            pad(scores, (1, 1, 1, 1)),
            scale_factor=float(self._stride),
            mode=self._mode,
            align_corners=self._align_corners,
        )
        start = self._stride // 2 + self._padding - self._delay
        return large[:, :, start : start + height, start : start + width]


def _upsampling_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    model = reference.checkpoint.model
    layers = {
        name: layer
        for name, layer in model.named_children()
        if isinstance(layer, nn.ConvTranspose2d) and is_bilinear(layer)
    }
    if not layers:
        return
    last = max(layers, key=lambda name: layers[name].stride[0])
    kinds: list[tuple[str, Literal["nearest", "bilinear"], bool | None]] = [
        ("nearest instead of linear upsampling", "nearest", None),
        ("align_corners in the upsampling", "bilinear", True),
    ]
    places = {"in the last upsampling": [last]} | ({"in every upsampling": list(layers)} if len(layers) > 1 else {})
    for text, mode, align_corners in kinds:
        for place, names in places.items():
            for framed, late in ((True, False), (False, False), (True, True)):
                if late and mode != "nearest":
                    continue
                wrong = copy.deepcopy(model)
                for name in names:
                    setattr(wrong, name, _Enlarge(layers[name], mode, align_corners, framed=framed, late=late))
                rounding = ", positions rounded down" if late else ""
                yield Hypothesis(text, _logits_of(reference, wrong), f"with that {place}{rounding}")


class _RoundDown(TorchFunctionMode):
    """Makes every max pool round down; what is then missing at the end of a crop becomes NaN."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is max_pool2d:
            return func(*args, **(options | {"ceil_mode": False}))
        if func is torch.Tensor.narrow:
            maps, dimension, start, length = args
            missing = start + length - maps.shape[dimension]
            if missing > 0:
                shape = list(maps.shape)
                shape[dimension] = missing
                maps = torch.cat([maps, maps.new_full(shape, torch.nan)], dimension)
            return torch.narrow(maps, dimension, start, length)
        return func(*args, **options)


def _floor_pools(reference: Reference) -> Predict:
    def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        with _RoundDown():
            logits: NDArray[np.float32] = reference_logits(
                reference.checkpoint.model, reference.preprocessing, frame[None]
            )[0]
        return logits

    return predict


def _crop_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    """Streams that are one cell off where they are added; the last crop is a matter of the class map alone."""
    model = reference.checkpoint.model
    for name, layer in _score_layers(model).items():
        for step in (1, -1):
            wrong = copy.deepcopy(model)
            getattr(wrong, name).register_forward_hook(_moved_by(step))
            amount = "a cell" if isinstance(layer, nn.Conv2d) else "a pixel"
            yield Hypothesis(
                f"crop off by one: {name} is cut {amount} too {'far in' if step > 0 else 'early'}",
                _logits_of(reference, wrong),
                f"with {name} moved by one",
            )


def _moved_by(step: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
    def hook(_layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if step > 0:
            return pad(output, (0, 1, 0, 1), mode="replicate")[:, :, 1:, 1:]
        return pad(output, (1, 0, 1, 0), mode="replicate")[:, :, :-1, :-1]

    return hook


def _class_mistakes(reference: Reference, classes: Sequence[tuple[int, int]]) -> Iterator[Hypothesis]:
    model, names = reference.checkpoint.model, reference.checkpoint.class_names
    for first, second in classes:
        for name, layer in _score_layers(model).items():
            if not isinstance(layer, nn.Conv2d):
                continue
            wrong = copy.deepcopy(model)
            order = list(range(len(names)))
            order[first], order[second] = second, first
            with torch.no_grad():
                for parameter in getattr(wrong, name).parameters():
                    parameter.copy_(parameter[order])
            yield Hypothesis(
                f"class scores permuted: {names[first]} and {names[second]} exchanged in {name}",
                _logits_of(reference, wrong),
                "with the two exchanged",
            )


def _score_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.ConvTranspose2d]:
    """Layers whose output is class scores, besides the last upsampling."""
    layers = {
        name: layer
        for name, layer in model.named_children()
        if name.startswith(("score", "upscore")) and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    }
    upsamplings = [name for name, layer in layers.items() if isinstance(layer, nn.ConvTranspose2d)]
    if upsamplings:
        del layers[max(upsamplings, key=lambda name: layers[name].stride[0])]
    return layers


def _logits_of(reference: Reference, wrong: nn.Module) -> Predict:
    return lambda frame: reference_logits(wrong, reference.preprocessing, frame[None])[0]  # type: ignore[arg-type]
