"""Reading the weights in a ``.caffemodel`` file: a NetParameter message of Caffe's protocol buffers.

Only the fields that hold layer names and weights are read; their numbers are those of Caffe's ``caffe.proto``.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..runtime.errors import CheckpointError
from ..runtime.protobuf import MalformedError, Message, TruncatedError, as_message

# NetParameter: layers of the present format and of the one before it (V1), with the fields of each.
_LAYER, _V1_LAYER = 100, 2
_NAME, _V1_NAME = 1, 4
_BLOBS, _V1_BLOBS = 7, 6
# BlobProto: sizes as a message or, in old files, as four numbers; values of either width.
_SHAPE, _SHAPE_DIM, _LEGACY_SHAPE = 7, 1, (1, 2, 3, 4)
_DATA, _DOUBLE_DATA = 5, 8

_PARAMETER_NAMES = ("weight", "bias")  # Caffe numbers the blobs of a layer


def read_caffe_file(path: Path) -> dict[str, torch.Tensor]:
    """The weights by name: blob 0 of layer ``fc6`` is ``fc6.weight``, blob 1 is ``fc6.bias``; memory-mapped.

    Raises:
        CheckpointError: If the file is truncated or no Caffe model, or a layer has more than weights and biases.
    """
    try:
        with path.open("rb") as file:
            # Private pages: PyTorch wants memory that may be written.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        tensors = dict(_tensors(Message(data, 0, len(data)), path))
    except TruncatedError as exc:
        size = path.stat().st_size
        raise CheckpointError(f"{path.name} is damaged or truncated ({size:,} bytes); download it again") from exc
    except (MalformedError, UnicodeDecodeError) as exc:
        raise CheckpointError(f"{path.name} is not a Caffe model, or is damaged; download or copy it again") from exc
    except OSError as exc:
        raise CheckpointError(f"cannot read {path}: {exc.strerror}") from exc
    if not tensors:
        raise CheckpointError(f"{path.name} holds no weights; a .prototxt describes a net, its weights are elsewhere")
    return tensors


def _tensors(net: Message, path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for number, value in net.fields():
        if number == _LAYER:
            name, blobs = _layer(as_message(value), _NAME, _BLOBS)
        elif number == _V1_LAYER:
            name, blobs = _layer(as_message(value), _V1_NAME, _V1_BLOBS)
        else:
            continue
        if len(blobs) > len(_PARAMETER_NAMES):
            raise CheckpointError(
                f"{path.name}: layer {name} has {len(blobs)} blobs, where an FCN's layers have weights and biases only"
            )
        for kind, blob in zip(_PARAMETER_NAMES, blobs, strict=False):
            tensor = _blob(blob)
            # Old files write every shape with four sizes, that of a bias as 1, 1, 1, n.
            yield f"{name}.{kind}", tensor.flatten() if kind == "bias" else tensor


def _layer(layer: Message, name_field: int, blobs_field: int) -> tuple[str, list[Message]]:
    name, blobs = "", []
    for number, value in layer.fields():
        if number == name_field:
            name = as_message(value).text()
        elif number == blobs_field:
            blobs.append(as_message(value))
    return name, blobs


def _blob(blob: Message) -> torch.Tensor:
    shape: list[int] = []
    legacy_shape: dict[int, int] = {}
    values: list[np.ndarray[tuple[int], np.dtype[np.floating]]] = []
    for number, value in blob.fields():
        if number == _SHAPE:
            shape = _sizes(as_message(value))
        elif number in _LEGACY_SHAPE and isinstance(value, int):
            legacy_shape[number] = value
        elif number in (_DATA, _DOUBLE_DATA):
            message = as_message(value)
            dtype = np.dtype("<f4" if number == _DATA else "<f8")
            count, rest = divmod(message.stop - message.start, dtype.itemsize)
            if rest:
                raise MalformedError
            values.append(np.frombuffer(message.data, dtype, count, message.start))
    if legacy_shape:
        shape = [legacy_shape.get(number, 1) for number in _LEGACY_SHAPE]
    # Values are one packed run; a writer may also give them one by one, or in several runs.
    array = values[0] if len(values) == 1 else np.concatenate([np.empty(0, "<f4"), *values])
    if math.prod(shape) != array.size:
        raise MalformedError
    return torch.from_numpy(array).reshape(shape)


def _sizes(shape: Message) -> list[int]:
    sizes: list[int] = []
    for number, value in shape.fields():
        if number != _SHAPE_DIM:
            continue
        sizes += [value] if isinstance(value, int) else value.varints()
    return sizes
