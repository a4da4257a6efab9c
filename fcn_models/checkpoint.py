"""Loading weights of any supported layout into an `FCN`, and saving them in fcnrt's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from ..runtime.atomic import atomic_path
from ..runtime.errors import CheckpointError, OutputError
from ..runtime.file_hash import file_hash
from .checkpoint_file import METADATA_KEY, CheckpointFile, read_checkpoint_file
from .checkpoint_metadata import CheckpointMetadata, Palette
from .fcn import Align
from .fitting import check_finite, empty, fill, listing, weight_names
from .foreign import aligned, approximation, check_agreement, import_foreign
from .network import Network, NetworkConfig
from .preprocessing import PreprocessingName
from .registry import NETWORKS
from .upsampling import is_bilinear
from .voc import VOC_CLASSES, voc_palette


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network with its weights, and what must be known to use it.

    Attributes:
        model: The network, float32 on the CPU, in eval mode.
        preprocessing: Name of the pre-processing the weights were trained with.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        names_its_classes: Whether names and colours are from the file.
        layout: Layout of the file, in words.
        source: Where the weights came from, in words: the file's name and what is special about it.
        sha256: SHA-256 of the file, hexadecimal.
        notes: What was noted about the weights when they were saved.
        approximated_align: Alignment the weights were trained with, if it is not the network's: its results are then
            approximate.
        assumption: What was taken for granted because the file does not tell, and how to decide otherwise.
    """

    model: Network
    preprocessing: PreprocessingName
    class_names: tuple[str, ...]
    palette: Palette
    layout: str
    source: str
    sha256: str
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    approximated_align: str | None = None
    assumption: str | None = None
    names_its_classes: bool = False


def load_checkpoint(
    path: Path, *, variant: str | None = None, align: str | None = None, num_classes: int | None = None
) -> Checkpoint:
    """Load a trained network, or VGG16's ImageNet weights to start one, from a checkpoint of any supported layout.

    The layout is recognised by the tensors' names; it decides on the alignment and the pre-processing. Only tensors
    are read: a pickle that contains code is refused.

    Args:
        path: A ``.safetensors`` file, a Chainer ``.npz``, a ``.caffemodel``, or a file written by ``torch.save``: a
            state dict, or a training checkpoint with a state dict in it.
        variant: Name of the network, one of the registry's; needed only if the file does not tell. ``fcn8s_atonce`` is
            such a case: its tensors are those of an ``fcn8s``.
        align: ``same`` or ``caffe``, against the alignment that the weights were trained with. The result is then
            approximate, and `Checkpoint.source` says so.
        num_classes: Number of classes; needed only if the file does not tell (then 21 if left out). A score layer with
            one channel makes two.

    Raises:
        CheckpointError: If the file is unreadable, unsafe, of an unknown layout, or does not fit the network.
    """
    file = read_checkpoint_file(path)
    _check_choice("variant", variant, tuple(NETWORKS))
    _check_choice("align", align, get_args(Align))
    if file.metadata is not None:
        return _load_own(path, file, variant, align, num_classes)
    imported = import_foreign(path, file, variant, align, num_classes)
    config = imported.model.config
    return Checkpoint(
        model=imported.model.eval(),
        preprocessing=imported.preprocessing,
        class_names=_class_names(config),
        palette=voc_palette()[: config.num_classes],
        layout=imported.layout,
        source=imported.source,
        sha256=file_hash(path),
        approximated_align=imported.approximated_align,
        assumption=file.choice,
    )


def save_checkpoint(
    model: Network,
    path: Path,
    *,
    preprocessing: PreprocessingName,
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    notes: Mapping[str, str],
    dtype: Literal["float16", "float32"],
) -> None:
    """Save a network in fcnrt's own layout: safetensors with the network's layer names and a description in JSON.

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
    upsampling = ((name, model.get_submodule(name)) for name in model.upsampling_layers)
    # With a bias, a layer has something to store besides the filter.
    bilinear = tuple(
        name
        for name, layer in upsampling
        if isinstance(layer, nn.ConvTranspose2d) and layer.bias is None and is_bilinear(layer)
    )
    metadata = CheckpointMetadata(
        config=model.config,
        preprocessing=preprocessing,
        class_names=tuple(class_names),
        palette=tuple(palette),
        bilinear=bilinear,
        notes=notes,
    )
    tensors = {}
    state = model.state_dict()
    for key in weight_names(model):
        tensor = state[key]
        if key.removesuffix(".weight") in bilinear:
            continue
        check_finite(key, tensor, "the model")
        tensors[key] = tensor.to("cpu", getattr(torch, dtype)).contiguous()
        check_finite(key, tensors[key], f"the model, as {dtype},")
    with atomic_path(path) as temporary:
        mode = temporary.stat().st_mode
        try:
            # One entry only: safetensors writes several in random order.
            save_file(tensors, temporary, metadata={METADATA_KEY: metadata.to_json()})
        except SafetensorError as exc:
            raise OutputError(f"cannot write {path}: {exc}") from exc
        temporary.chmod(mode)  # safetensors puts a private file in its place


def _load_own(
    path: Path, file: CheckpointFile, variant: str | None, align: str | None, num_classes: int | None
) -> Checkpoint:
    """Load a file that describes itself."""
    assert file.metadata is not None
    metadata = CheckpointMetadata.from_json(file.metadata, path.name)
    trained = metadata.config
    check_agreement(path, "variant", trained.variant, variant)
    check_agreement(path, "num_classes", trained.num_classes, num_classes)
    used = aligned(path, trained, align)
    try:
        model = empty(used)
    except (RuntimeError, TypeError) as exc:
        raise CheckpointError(
            f"{path.name} describes itself wrongly (no layer can have so many channels); save or download it again"
        ) from exc
    sources = {key: key for key in weight_names(model) if key.removesuffix(".weight") not in metadata.bilinear}
    fill(model, file.tensors, sources, file_name=path.name)
    return Checkpoint(
        model=model.eval(),
        preprocessing=metadata.preprocessing,
        class_names=metadata.class_names,
        palette=metadata.palette,
        layout="fcnrt layout",
        source=path.name + approximation(trained, used),
        sha256=file_hash(path),
        notes=metadata.notes,
        approximated_align=None if trained.align == used.align else trained.align,
        assumption=file.choice,
        names_its_classes=True,
    )


def _check_choice(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise CheckpointError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _class_names(config: NetworkConfig) -> tuple[str, ...]:
    """Names for the classes of a file that has none; 21 classes are VOC's in every layout."""
    if config.sigmoid:
        return ("background", "foreground")
    count = config.num_classes
    return VOC_CLASSES if count == len(VOC_CLASSES) else tuple(f"class {index}" for index in range(count))


def _check_plain(model: Network) -> None:
    plain = empty(model.config).state_dict().keys()
    added = [key for key in model.state_dict() if key not in plain]
    if added:
        raise CheckpointError(f"cannot save a model that is not a plain FCN; fold or remove {listing(added)}")
