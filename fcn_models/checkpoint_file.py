"""Reading the tensors of a checkpoint file, without running anything that may be in it."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ..runtime.checkpoint_mark import PICKLE_MARK, ZIP_MARK, looks_like_safetensors
from ..runtime.errors import CheckpointError
from .caffe_file import read_caffe_file
from .chainer_file import read_chainer_file
from .state_dict import find_state_dict, unwrap

METADATA_KEY = "fcnrt.checkpoint"
"""Name under which a checkpoint written by fcnrt holds its description (JSON)."""

CAFFE_ORIGIN = "Caffe model layout"
"""`CheckpointFile.origin` of Caffe's own files, which have every layer with weights, scales included."""

TRAINING_KEY = "fcnrt"
"""Name under which the state of a training by fcnrt holds its settings."""

_OLD_TORCH_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # first in what torch.save wrote before version 1.6
_HEAD = 32  # bytes that tell the formats apart
_FRAME = pickle.FRAME[0]  # first in a pickle of protocol 4 or higher
_NUMBERS = "?bBhHiIlLqQefd"  # NumPy's types of numbers; objects are none


@dataclass(frozen=True)
class CheckpointFile:
    """Content of a checkpoint file.

    Attributes:
        tensors: Tensors by name, possibly memory-mapped: copy what is to outlive the file.
        metadata: fcnrt's own description of the weights, JSON, if the file has one.
        arch: Name of the architecture as a training script noted it, if it did.
        origin: What messages call the layout, where the format tells more than the tensors' names.
        choice: What was taken and what was not, where the file has more than one network.
    """

    tensors: dict[str, torch.Tensor]
    metadata: str | None = None
    arch: str | None = None
    origin: str | None = None
    choice: str | None = None


def read_checkpoint_file(path: Path) -> CheckpointFile:
    """The tensors in a file written by ``torch.save`` (either format), safetensors, Chainer or Caffe.

    The content decides which; only Caffe's format has no mark of its own and is told by the suffix ``.caffemodel``.

    Raises:
        CheckpointError: If there is no such file, or it is empty, truncated, no checkpoint, or holds anything else
            than tensors and plain values. Code in a pickle is never run.
    """
    head, size = _head(path)
    suffix = path.suffix.lower()
    if suffix == ".safetensors" or looks_like_safetensors(head):
        return _read_safetensors(path, size)
    if suffix == ".caffemodel":
        return CheckpointFile(read_caffe_file(path), origin=CAFFE_ORIGIN)
    if head.startswith(ZIP_MARK):
        if _is_numpy_archive(path, size):
            return CheckpointFile(read_chainer_file(path), origin="wkentaro/fcn layout (Chainer)")
        return _from_torch(_torch_load(path, size, mmap=True), path)
    if head.startswith(PICKLE_MARK):
        if _OLD_TORCH_MAGIC not in head:
            raise CheckpointError(
                f"{path.name} refused: it is a pickle that torch.save did not write; only tensors are loaded"
            )
        return _from_torch(_torch_load(path, size, mmap=False), path)
    raise CheckpointError(
        f"{path.name} is not a checkpoint; expected a .pth file of PyTorch, a .safetensors file, a Chainer .npz or a "
        ".caffemodel"
    )


def _head(path: Path) -> tuple[bytes, int]:
    """First bytes and size of the file."""
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a directory; name the checkpoint file in it")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError as exc:
        raise CheckpointError(f"no such checkpoint: {path}") from exc
    except OSError as exc:
        raise CheckpointError(f"cannot read {path}: {exc.strerror}") from exc
    if not head:
        raise CheckpointError(f"{path.name} is empty (0 bytes); download or copy it again")
    return head, size


def _read_safetensors(path: Path, size: int) -> CheckpointFile:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as exc:
        raise _damaged(path, size) from exc
    found = unwrap(tensors, path.name)
    return CheckpointFile(found.tensors, metadata.get(METADATA_KEY), choice=found.choice)


def _is_numpy_archive(path: Path, size: int) -> bool:
    """Whether a ZIP archive is NumPy's and not PyTorch's; others are refused, better worded than by the reader."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as exc:
        raise _damaged(path, size) from exc
    if any(member.endswith(".npy") for member in members):
        return True
    if any(member.endswith("/constants.pkl") for member in members):
        raise CheckpointError(f"{path.name} is a TorchScript program; save the state_dict() of the module instead")
    if not any(member.endswith("/data.pkl") for member in members):
        raise CheckpointError(f"{path.name} is a ZIP archive without a PyTorch checkpoint in it")
    return False


def _torch_load(path: Path, size: int, *, mmap: bool) -> object:
    try:
        with torch.serialization.safe_globals(_harmless_globals()), warnings.catch_warnings():
            # What PyTorch warns of, a newer pickle for example, it cannot read either: that is said once, below.
            warnings.simplefilter("ignore")
            # Memory-mapped, so that optimiser state beside the weights is never read.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as exc:
        # A damaged or hostile file can make the unpickler raise almost anything.
        unsafe = re.search(r"GLOBAL (\S+\w) ", str(exc))
        if unsafe is not None:
            raise CheckpointError(
                f"{path.name} refused: contains {unsafe[1]}, which is code; only tensors are loaded. "
                "Save the state_dict() of the model by itself instead."
            ) from exc
        if f"Unsupported operand {_FRAME}" in str(exc):
            raise CheckpointError(
                f"{path.name} was saved with pickle_protocol=4 or higher, which PyTorch's safe reader does not know; "
                "save it again with torch.save without pickle_protocol"
            ) from exc
        raise _damaged(path, size) from exc


def _harmless_globals() -> list[Any]:
    """What training scripts keep beside the weights, and PyTorch takes for code although it only holds values.

    Pickles of NumPy's numbers, the best score so far for example, refer to all but the last; the two names of one
    function are those of NumPy 2 and NumPy 1. torchvision's reference scripts keep their command line as an
    ``argparse.Namespace``.
    """
    # Where the function lives depends on the installed NumPy, too.
    core = np._core if hasattr(np, "_core") else np.core
    scalar = core.multiarray.scalar
    return [
        (scalar, "numpy._core.multiarray.scalar"),
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(kind)) for kind in _NUMBERS},
        argparse.Namespace,
    ]


def _from_torch(content: object, path: Path) -> CheckpointFile:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not a state dict")
    if isinstance(content.get(TRAINING_KEY), Mapping):
        raise CheckpointError(
            f"{path.name} is the state of a training, to resume it; its weights are in the .safetensors files beside it"
        )
    found = find_state_dict(content, path.name)
    metadata, arch = content.get(METADATA_KEY), content.get("arch")
    return CheckpointFile(
        found.tensors,
        metadata if isinstance(metadata, str) else None,
        arch if isinstance(arch, str) else None,
        choice=found.choice,
    )


def _damaged(path: Path, size: int) -> CheckpointError:
    return CheckpointError(f"{path.name} is damaged or truncated ({size:,} bytes); download or copy it again")
