"""Loading weights of any supported layout into an `FCN`, and saving them in fcnrt's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..runtime.atomic import atomic_path
from ..runtime.errors import CheckpointError, OutputError
from .checkpoint_file import METADATA_KEY, CheckpointFile, read_checkpoint_file, sha256_of
from .checkpoint_metadata import CheckpointMetadata, Palette
from .fcn import FCN, Align, FCNConfig, Variant
from .fitting import check_finite, fill, listing, upsampling_layers
from .layouts import PAPER, Layout, recognise
from .preprocessing import PreprocessingName
from .upsampling import is_bilinear
from .voc import VOC_CLASSES, voc_palette

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network with its weights, and what must be known to use it.

    Attributes:
        model: The network, float32 on the CPU, in eval mode.
        preprocessing: Name of the pre-processing the weights were trained with.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        layout: Layout of the file, in words.
        source: Where the weights came from, in words: the file's name and what is special about it.
        sha256: SHA-256 of the file, hexadecimal.
        notes: What was noted about the weights when they were saved.
    """

    model: FCN
    preprocessing: PreprocessingName
    class_names: tuple[str, ...]
    palette: Palette
    layout: str
    source: str
    sha256: str
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def load_checkpoint(
    path: Path, *, variant: str | None = None, align: str | None = None, num_classes: int | None = None
) -> Checkpoint:
    """Load a trained FCN, or VGG16's ImageNet weights to start one, from a checkpoint of any supported layout.

    The layout is recognised by the tensors' names; it decides on the alignment and the pre-processing. Only tensors
    are read: a pickle that contains code is refused.

    Args:
        path: A ``.safetensors`` file, or one written by ``torch.save``: a state dict, or a training checkpoint with a
            state dict in it.
        variant: ``fcn32s``, ``fcn16s`` or ``fcn8s``; needed only if the file does not tell.
        align: ``same`` or ``caffe``, against the alignment that the weights were trained with. The result is then
            approximate, and `Checkpoint.source` says so.
        num_classes: Number of classes; needed only if the file does not tell (then 21 if left out).

    Raises:
        CheckpointError: If the file is unreadable, unsafe, of an unknown layout, or does not fit the network.
    """
    file = read_checkpoint_file(path)
    _check_choice("variant", variant, get_args(Variant))
    _check_choice("align", align, get_args(Align))
    if file.metadata is not None:
        return _load_own(path, file, variant, align, num_classes)
    layout = recognise(file.tensors.keys(), path.name)
    return _load_foreign(path, file, layout, variant, align, num_classes)


def save_checkpoint(
    model: FCN,
    path: Path,
    *,
    preprocessing: PreprocessingName,
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    notes: Mapping[str, str],
    dtype: Literal["float16", "float32"],
) -> None:
    """Save a network in fcnrt's own layout: safetensors with the paper's layer names and a description in JSON.

    The same arguments give the same bytes. Upsampling layers that are exactly bilinear are left out (in an FCN-8s of
    21 classes they have 127,008 weights) and made anew on loading.

    Args:
        model: The network; without batch normalisation or other additions.
        path: File to write, by convention ``.safetensors``.
        preprocessing: Name of the pre-processing the network was trained with.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        notes: What else is worth knowing about the weights.
        dtype: Type the weights are stored in.

    Raises:
        CheckpointError: If a weight is NaN or infinite or does not fit the type, or the model is not a plain FCN.
        OutputError: If the file cannot be written.
    """
    _check_plain(model)
    bilinear = tuple(name for name, layer in upsampling_layers(model).items() if is_bilinear(layer))
    metadata = CheckpointMetadata(
        config=model.config,
        preprocessing=preprocessing,
        class_names=tuple(class_names),
        palette=tuple(palette),
        bilinear=bilinear,
        notes=notes,
    )
    tensors = {}
    for key, tensor in model.state_dict().items():
        if key.removesuffix(".weight") in bilinear:
            continue
        check_finite(key, tensor, "the model")
        tensors[key] = tensor.to("cpu", getattr(torch, dtype)).contiguous()
        check_finite(key, tensors[key], f"the model, as {dtype},")
    with atomic_path(path) as temporary:
        try:
            # One entry only: safetensors writes several in random order.
            save_file(tensors, temporary, metadata={METADATA_KEY: metadata.to_json()})
        except SafetensorError as exc:
            raise OutputError(f"cannot write {path}: {exc}") from exc


def _load_own(
    path: Path, file: CheckpointFile, variant: str | None, align: str | None, num_classes: int | None
) -> Checkpoint:
    """Load a file that describes itself."""
    assert file.metadata is not None
    metadata = CheckpointMetadata.from_json(file.metadata, path.name)
    trained = metadata.config
    _check_agreement(path, "variant", trained.variant, variant)
    _check_agreement(path, "num_classes", trained.num_classes, num_classes)
    model = _empty_fcn(trained, align)
    layers = {name: own for name, own in PAPER.layers(trained.variant).items() if own not in metadata.bilinear}
    fill(model, file.tensors, layers, flattened=frozenset(), file_name=path.name)
    return Checkpoint(
        model=model.eval(),
        preprocessing=metadata.preprocessing,
        class_names=metadata.class_names,
        palette=metadata.palette,
        layout="fcnrt layout",
        source=_source(path, trained=trained.align, used=model.config.align),
        sha256=sha256_of(path),
        notes=metadata.notes,
    )


def _load_foreign(
    path: Path, file: CheckpointFile, layout: Layout, variant: str | None, align: str | None, num_classes: int | None
) -> Checkpoint:
    """Load a file of another project."""
    if layout is PAPER:
        _refuse_at_once(path, file.arch)
    tensors = file.tensors
    for name in layout.ignored:
        tensors.pop(name, None)
    found = layout.find_variant(tensors)
    if found is not None:
        _check_agreement(path, "variant", found, variant)
    elif variant is None:
        hint = "it is incomplete" if layout.is_trained_fcn else "these weights can start any of them"
        raise CheckpointError(
            f"{path.name} ({layout.name}) does not tell its variant: {hint}. "
            f"Give the variant: {', '.join(get_args(Variant))}."
        )
    chosen: Variant = found or variant  # type: ignore[assignment]  # checked by _check_choice
    layers = layout.layers(chosen)
    classes = _rows(tensors, layers.get("score_fr"))
    if classes is not None:
        _check_agreement(path, "num_classes", classes, num_classes)
    else:
        classes = len(VOC_CLASSES) if num_classes is None else num_classes
    # Slim networks have the paper's proportions, so one layer tells the width of all.
    channels, fc_channels = _rows(tensors, layers["conv1_1"]), _rows(tensors, layers["fc6"])
    try:
        trained = FCNConfig(
            variant=chosen,
            num_classes=classes,
            align=layout.align,
            width=1.0 if channels is None else channels / 64,
            fc_channels=4096 if fc_channels is None else fc_channels,
        )
    except ValueError as exc:
        raise CheckpointError(f"{path.name} ({layout.name}) is no usable network: {exc}") from exc
    model = _empty_fcn(trained, align)
    fill(model, tensors, layers, flattened=layout.flattened, file_name=f"{path.name} ({layout.name})")
    if layout.is_trained_fcn:
        source = _source(path, trained=trained.align, used=model.config.align)
    else:
        source = f"{path.name}: ImageNet initialisation, not a trained FCN"
    return Checkpoint(
        model=model.eval(),
        preprocessing=layout.preprocessing,
        class_names=_class_names(classes),
        palette=voc_palette()[:classes],
        layout=layout.name,
        source=source,
        sha256=sha256_of(path),
    )


def _check_choice(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise CheckpointError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _check_agreement(path: Path, name: str, found: _T, asked: _T | None) -> None:
    if asked is not None and asked != found:
        raise CheckpointError(
            f"{path.name} has {name} {found}, but {asked} was asked for. Leave {name} out, or take another checkpoint."
        )


def _refuse_at_once(path: Path, arch: str | None) -> None:
    """FCN8sAtOnce has FCN8s's tensors and scales its skips besides; loaded as FCN8s it would give wrong results."""
    if arch == "FCN8sAtOnce" or (arch is None and "atonce" in path.name.lower().replace("-", "").replace("_", "")):
        told_by = "its training checkpoint" if arch else "its name"
        raise CheckpointError(
            f"{path.name} is an FCN8sAtOnce (says {told_by}), which is not supported yet: it scales its skips by 0.01 "
            "and 0.0001, and these factors must be folded into the score layers first. Use FCN8s weights."
        )


def _source(path: Path, *, trained: Align, used: Align) -> str:
    if trained == used:
        return path.name
    return f"{path.name} (approximate alignment: trained with {trained}, used with {used})"


def _class_names(count: int) -> tuple[str, ...]:
    """Names for the classes of a file that has none; 21 classes are VOC's in every layout."""
    return VOC_CLASSES if count == len(VOC_CLASSES) else tuple(f"class {index}" for index in range(count))


def _rows(tensors: Mapping[str, torch.Tensor], layer: str | None) -> int | None:
    """Output channels of a layer, if the file has it."""
    weight = tensors.get(f"{layer}.weight")
    return None if weight is None or weight.ndim == 0 else weight.shape[0]


def _empty_fcn(trained: FCNConfig, align: str | None) -> FCN:
    """A network without memory for its weights, which the file's replace: nothing is initialised in vain."""
    if align is not None:
        trained = dataclasses.replace(trained, align=align)  # type: ignore[arg-type]  # checked by _check_choice
    with torch.device("meta"):
        return FCN(trained)


def _check_plain(model: FCN) -> None:
    with torch.device("meta"):
        plain = FCN(model.config).state_dict().keys()
    added = [key for key in model.state_dict() if key not in plain]
    if added:
        raise CheckpointError(f"cannot save a model that is not a plain FCN; fold or remove {listing(added)}")
