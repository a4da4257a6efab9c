"""Mistakes inside the network: upsampling, pooling, crops between the streams, exchanged classes, half precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate, max_pool2d, pad
from torch.overrides import TorchFunctionMode

from ...export.reference import reference_logits
from ...fcn_models.upsampling import is_bilinear
from ...runtime.spec import ImageSize
from .hypothesis import Hypothesis, Predict
from .reference import Reference

Mode = Literal["nearest", "bilinear"]
Hook = Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]

_INTERPOLATIONS: list[tuple[str, Mode, bool | None]] = [
    ("nearest instead of linear upsampling", "nearest", None),
    ("align_corners in the upsampling", "bilinear", True),
]


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


def _upsampling_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    model = reference.checkpoint.model
    layers = {
        name: layer
        for name in model.upsampling_layers
        if isinstance(layer := model.get_submodule(name), nn.ConvTranspose2d) and is_bilinear(layer)
    }
    if not layers:
        for text, mode, align_corners in _INTERPOLATIONS:
            other = partial(interpolate, mode=mode, align_corners=align_corners)
            yield Hypothesis(text, _interpolated(reference, other), "with that in every interpolation")
        # Enlarging to a size, unlike by a whole number, takes other pixels where their centres count, not corners.
        for text, late in (("", False), (", positions rounded down", True)):
            yield Hypothesis(
                _INTERPOLATIONS[0][0],
                _interpolated(reference, partial(_nearest_centres, late=late)),
                f"with that in every interpolation, by the pixels' centres{text}",
            )
        return
    last = max(layers, key=lambda name: layers[name].stride[0])
    places = {"in the last upsampling": [last]} | ({"in every upsampling": list(layers)} if len(layers) > 1 else {})
    for text, mode, align_corners in _INTERPOLATIONS:
        for place, names in places.items():
            for framed, late in ((True, False), (False, False), (True, True)):
                if late and mode != "nearest":
                    continue
                hook = _enlarged(mode, align_corners, framed=framed, late=late)
                rounding = ", positions rounded down" if late else ""
                yield Hypothesis(
                    text, _with_hooks(reference, dict.fromkeys(names, hook)), f"with that {place}{rounding}"
                )


def _enlarged(mode: Mode, align_corners: bool | None, *, framed: bool, late: bool) -> Hook:
    """Upsampling in place of a bilinear transposed convolution, done differently.

    Args:
        mode: Interpolation.
        align_corners: Whether the outermost pixels' centres are kept in place; None if the mode does not know it.
        framed: Whether a frame of zeros is put around and cut off again, as the exact lowering does.
        late: Whether everything comes half a cell late, as when positions between cells are rounded down.
    """

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> torch.Tensor:
        assert isinstance(layer, nn.ConvTranspose2d)
        stride, padding = layer.stride[0], int(layer.padding[0])
        height, width = ((n + 1) * stride - 2 * padding for n in inputs[0].shape[2:])
        if framed:
            framed_scores = pad(inputs[0], (1, 1, 1, 1))
            large = interpolate(framed_scores, scale_factor=float(stride), mode=mode, align_corners=align_corners)
            start = stride // 2 + padding - (stride // 2 if late else 0)
            large = large[:, :, start : start + height, start : start + width]
        else:
            large = interpolate(inputs[0], (height, width), mode=mode, align_corners=align_corners)
        return large if layer.bias is None else large + layer.bias[:, None, None]

    return hook


def _nearest_centres(maps: torch.Tensor, size: Sequence[int], *, late: bool) -> torch.Tensor:
    """Each pixel from the one whose centre is nearest to its own; or, late, from the one before."""
    rows, columns = (
        ((torch.arange(new) + 0.5) * (old / new) - (0.5 if late else 0)).clamp(min=0).long()
        for old, new in zip(maps.shape[2:], size, strict=True)
    )
    return maps[:, :, rows[:, None], columns]


class _Instead(TorchFunctionMode):
    """Lets a function of ours answer every call of a PyTorch function: it is given that function and its arguments."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self._answer = answer

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._answer(func, *args, **(kwargs or {}))


def _interpolated(reference: Reference, other: Callable[..., torch.Tensor]) -> Predict:
    """Every interpolation of maps to a size replaced by another one."""

    def answer(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if func is interpolate:
            return other(args[0], options.get("size") or args[1])
        return func(*args, **options)

    def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        with _Instead(answer):
            return _logits(reference, frame)

    return predict


def _rounding_down(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Every max pool rounds down; what is then missing at the end of a crop becomes NaN."""
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


def pools_round(reference: Reference, size: ImageSize) -> bool:
    """Whether at this size it matters that the network's pools round up."""
    found = False

    def answer(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        nonlocal found
        output = func(*args, **options)
        if func is max_pool2d and options.get("ceil_mode"):
            try:
                found |= output.shape != func(*args, **(options | {"ceil_mode": False})).shape
            except RuntimeError:  # rounded down, nothing would be left
                found = True
        return output

    with _Instead(answer):
        _logits(reference, np.zeros((size.height, size.width, 3), np.uint8))
    return found


def _floor_pools(reference: Reference) -> Predict:
    def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        with _Instead(_rounding_down):
            return _logits(reference, frame)

    return predict


def _crop_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    """Streams that are one cell off where they are added; the last crop is a matter of the class map alone."""
    for name, layer in _fused_layers(reference).items():
        for step in (1, -1):
            amount = "a cell" if isinstance(layer, nn.Conv2d) else "a pixel"
            yield Hypothesis(
                f"crop off by one: {name} is cut {amount} too {'far in' if step > 0 else 'early'}",
                _with_hooks(reference, {name: _moved_by(step)}),
                f"with {name} moved by one",
            )


def _moved_by(step: int) -> Hook:
    def hook(_layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if step > 0:
            return pad(output, (0, 1, 0, 1), mode="replicate")[:, :, 1:, 1:]
        return pad(output, (1, 0, 1, 0), mode="replicate")[:, :, :-1, :-1]

    return hook


def _class_mistakes(reference: Reference, classes: Sequence[tuple[int, int]]) -> Iterator[Hypothesis]:
    names = reference.checkpoint.class_names
    for first, second in classes:
        for layer in reference.checkpoint.model.score_layers:
            yield Hypothesis(
                f"class scores permuted: {names[first]} and {names[second]} exchanged in {layer}",
                _with_hooks(reference, {layer: _exchanged(first, second)}),
                "with the two exchanged",
            )


def _exchanged(first: int, second: int) -> Hook:
    def hook(_layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        if output.shape[1] == 1:  # one score for both
            return -output
        order = list(range(output.shape[1]))
        order[first], order[second] = second, first
        return output[:, order]

    return hook


def _fused_layers(reference: Reference) -> dict[str, nn.Module]:
    """Layers whose output is class scores that are added to others, and the first of them."""
    model = reference.checkpoint.model
    layers = {name: model.get_submodule(name) for name in (*model.score_layers, *model.upsampling_layers)}
    upsamplings = {name: layer.stride[0] for name, layer in layers.items() if isinstance(layer, nn.ConvTranspose2d)}
    if upsamplings:  # behind the last one there is nothing but the last crop
        del layers[max(upsamplings, key=upsamplings.__getitem__)]
    return layers


def _with_hooks(reference: Reference, hooks: Mapping[str, Hook]) -> Predict:
    """The network with the outputs of some layers changed; the network itself is left as it is, and not copied."""

    def predict(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        model = reference.checkpoint.model
        handles = [model.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
        try:
            return _logits(reference, frame)
        finally:
            for handle in handles:
                handle.remove()

    return predict


def _logits(reference: Reference, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """As `Reference.logits`, which remembers what it has computed and must not remember mistakes."""
    logits: NDArray[np.float32] = reference_logits(reference.checkpoint.model, reference.preprocessing, frame[None])[0]
    return logits
