"""Loading the checkpoints of other projects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from ..runtime.errors import CheckpointError, OtherNetworkError
from .checkpoint_file import CAFFE_ORIGIN, CheckpointFile
from .fcn import FCN, FCNConfig, Variant
from .fitting import COUNTER_SUFFIX, check_finite, empty, fill, weight_names
from .layouts import PAPER, Layout, recognise
from .native_layouts import NativeLayout, outputs_of
from .network import Network, NetworkConfig, classes_of
from .preprocessing import PreprocessingName

_T = TypeVar("_T")

_AT_ONCE: Variant = "fcn8s_atonce"
_AT_ONCE_SCALES = {"pool4": 0.01, "pool3": 0.0001}
_AT_ONCE_ARCH = "FCN8sAtOnce"  # what its trainer calls it
_STARTED: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")  # what a training can make of a classifier


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network with the weights of another project.

    Attributes:
        model: The network, float32 on the CPU.
        preprocessing: Name of the pre-processing the weights were trained with.
        layout: Layout of the file, in words.
        source: Where the weights came from, in words.
        approximated_align: Alignment the weights were trained with, if it is not the network's.
    """

    model: Network
    preprocessing: PreprocessingName
    layout: str
    source: str
    approximated_align: str | None = None


def import_foreign(
    path: Path, file: CheckpointFile, variant: str | None, align: str | None, num_classes: int | None
) -> Imported:
    """The network in a file of another project.

    Args:
        path: The file, for messages.
        file: Its contents; the tensors are moved out.
        variant: Network that was asked for, if any.
        align: Alignment that was asked for, if any.
        num_classes: Number of classes that was asked for, if any.

    Raises:
        CheckpointError: If the layout is unknown or ambiguous, or the tensors do not fit.
    """
    layout = recognise(file.tensors.keys(), path.name)
    for key in [key for key in file.tensors if key.endswith(COUNTER_SUFFIX)]:
        del file.tensors[key]
    if isinstance(layout, NativeLayout):
        return _import_native(path, file.tensors, layout, variant, align, num_classes)
    return _import_fcn(path, file, layout, variant, align, num_classes)


def check_agreement(path: Path, name: str, found: _T, asked: _T | None) -> None:
    """Check that what was asked for is what the file has.

    Raises:
        OtherNetworkError: If not.
    """
    if asked is not None and asked != found:
        raise OtherNetworkError(
            f"{path.name} has {name} {found}, but {asked} was asked for. Take another checkpoint, or leave {name} out "
            "if you gave it."
        )


def aligned(path: Path, trained: NetworkConfig, align: str | None) -> NetworkConfig:
    """The architecture with the alignment that was asked for.

    Raises:
        CheckpointError: If the network has no choice of alignments.
    """
    if align is None or align == trained.align:
        return trained
    if not isinstance(trained, FCNConfig):
        raise CheckpointError(
            f"{path.name} is a {trained.variant}, which has one alignment only; leave the alignment out "
            f"({align} was asked for)"
        )
    return dataclasses.replace(trained, align=align)  # type: ignore[arg-type]  # one of the two, as was checked


def approximation(trained: NetworkConfig, used: NetworkConfig) -> str:
    """What to add to the name of weights that are not used as they were trained."""
    if trained.align == used.align:
        return ""
    return f" (approximate alignment: trained with {trained.align}, used with {used.align})"


def _import_native(
    path: Path,
    tensors: dict[str, torch.Tensor],
    layout: NativeLayout,
    variant: str | None,
    align: str | None,
    num_classes: int | None,
) -> Imported:
    for key in [key for key in tensors if key.startswith(layout.ignored)]:
        del tensors[key]
    try:
        config = layout.config(tensors)
    except ValueError as exc:
        raise _no_network(path, layout.name, exc) from exc
    check_agreement(path, "variant", config.variant, variant)
    check_agreement(path, "num_classes", config.num_classes, num_classes)
    model = empty(aligned(path, config, align))
    sources = {key: layout.source(key) for key in weight_names(model)}
    fill(model, tensors, sources, file_name=f"{path.name} ({layout.name})")
    return Imported(model=model, preprocessing=layout.preprocessing, layout=layout.name, source=path.name)


def _import_fcn(
    path: Path, file: CheckpointFile, layout: Layout, variant: str | None, align: str | None, num_classes: int | None
) -> Imported:
    tensors, layout_name = file.tensors, file.origin or layout.name
    for name in layout.ignored:
        tensors.pop(name, None)
    scales = _at_once_scales(path, file, variant) if layout is PAPER else {}
    chosen = _AT_ONCE if scales else _variant(path, layout, tensors, variant)
    layers = layout.layers(chosen)
    if "score_fr" in layers and f"{layers['score_fr']}.weight" in tensors:
        classes = classes_of(outputs_of(tensors, layers["score_fr"], 21))
        check_agreement(path, "num_classes", classes["num_classes"], num_classes)
    else:
        classes = {"num_classes": 21 if num_classes is None else num_classes}
    try:
        trained = FCNConfig(
            variant=chosen,
            **classes,
            align=layout.align,
            # Slim networks have the paper's proportions, so one layer tells the width of all.
            width=outputs_of(tensors, layers["conv1_1"], 64) / 64,
            fc_channels=outputs_of(tensors, layers["fc6"], 4096),
        )
    except ValueError as exc:
        raise _no_network(path, layout_name, exc) from exc
    used = aligned(path, trained, align)
    model = empty(used)
    assert isinstance(model, FCN)
    sources = {}
    for key in weight_names(model):
        layer, kind = key.split(".")
        if layer in layers:
            sources[key] = f"{layers[layer]}.{kind}"
    flattened = frozenset(f"{layer}.weight" for layer in layout.flattened)
    fill(model, tensors, sources, flattened=flattened, file_name=f"{path.name} ({layout_name})")
    _fold_skip_scales(model, scales, path.name)
    if not layout.is_trained_fcn:
        source = f"{path.name}: ImageNet initialisation, not a trained FCN"
    elif scales:
        source = f"{path.name} (at-once: the scales of its skips are in the score layers){approximation(trained, used)}"
    else:
        source = path.name + approximation(trained, used)
    return Imported(
        model=model,
        preprocessing=layout.preprocessing,
        layout=layout_name,
        source=source,
        # Layers to start a training from have no alignment yet.
        approximated_align=None if used.align == trained.align or not layout.is_trained_fcn else trained.align,
    )


def _at_once_scales(path: Path, file: CheckpointFile, variant: str | None) -> Mapping[str, float | torch.Tensor]:
    """Scales of the skips by pooling layer; empty if it is no at-once network.

    Except in Caffe's own files, an at-once network has exactly the tensors of an FCN-8s. Taken for one, it would give
    wrong results without any sign of it, and the name of a file proves nothing: so it is asked for.
    """
    names = {pool: f"scale_{pool}.weight" for pool in _AT_ONCE_SCALES}
    if all(name in file.tensors for name in names.values()):
        check_agreement(path, "variant", _AT_ONCE, variant)
        stored = {pool: file.tensors.pop(name) for pool, name in names.items()}
        for pool, scale in stored.items():
            check_finite(names[pool], scale, path.name)
        return stored
    if file.arch == _AT_ONCE_ARCH:
        check_agreement(path, "variant", _AT_ONCE, variant)
        return _AT_ONCE_SCALES
    if variant == _AT_ONCE:
        if file.arch is not None:
            check_agreement(path, "variant", file.arch, variant)
        return _AT_ONCE_SCALES
    is_fcn8s = PAPER.find_variant(file.tensors) == "fcn8s"
    if is_fcn8s and variant is None and file.arch is None and file.origin != CAFFE_ORIGIN:
        raise CheckpointError(
            f"{path.name} does not tell whether it is an FCN8s or an FCN8sAtOnce: both have the same tensors, and the "
            f"scales of an at-once net's skips are not among them. Give the variant, fcn8s or {_AT_ONCE}, or write "
            f"it into a file: fcnrt convert {path.name} --variant fcn8s -o {path.stem}.safetensors"
        )
    return {}


def _fold_skip_scales(model: FCN, scales: Mapping[str, float | torch.Tensor], file_name: str) -> None:
    """Move what multiplied the pooled features into the weights that read them; the biases were added afterwards."""
    for pool, scale in scales.items():
        weight = model.get_submodule(f"score_{pool}").get_parameter("weight")  # (classes, channels, 1, 1)
        per_channel = torch.as_tensor(scale, dtype=torch.float32).flatten()
        if len(per_channel) not in (1, weight.shape[1]):
            raise CheckpointError(
                f"{file_name}: scale_{pool} has {len(per_channel)} values for {weight.shape[1]} channels"
            )
        with torch.no_grad():
            weight.mul_(per_channel.view(1, -1, 1, 1))


def _variant(path: Path, layout: Layout, tensors: Mapping[str, torch.Tensor], variant: str | None) -> Variant:
    """The variant in the file or, if the file does not tell, the one asked for."""
    found = layout.find_variant(tensors)
    if found is not None:
        check_agreement(path, "variant", found, variant)
        return found
    for startable in _STARTED:
        if variant == startable:
            return startable
    hint = "it is incomplete" if layout.is_trained_fcn else "these weights can start any of them"
    raise CheckpointError(
        f"{path.name} ({layout.name}) does not tell its variant: {hint}. Give the variant: {', '.join(_STARTED)}."
    )


def _no_network(path: Path, layout: str, reason: ValueError) -> CheckpointError:
    return CheckpointError(f"{path.name} ({layout}) is no usable network: {reason}")
