"""Writing an ONNX file whose weights are large, without a second copy of them in memory.

Protocol buffers are made in memory as a whole, and copied for most of what is done with them. Here the graph is made
without its weights, a few kilobytes, and the weights go from PyTorch's memory straight into the file. What is written
is an ordinary ONNX file, weights inside.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ..runtime.protobuf import length_delimited

# Fields of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = 7, 5, 9


@dataclass(frozen=True)
class Place:
    """Where the bytes of a weight lie in a file."""

    offset: int
    length: int


def write_onnx(path: Path, model: onnx.ModelProto, weights: Mapping[str, NDArray[np.generic]]) -> dict[str, Place]:
    """Write a model with its weights.

    Args:
        path: File to write.
        model: The model. Its initializers that are among `weights` have name, type and shape, and no data.
        weights: Weights by the initializer's name, each C-contiguous.

    Returns:
        Where each weight lies in the file.
    """
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    heads = {tensor.name: _head(tensor) for tensor in skeleton.graph.initializer if tensor.name in weights}
    kept = [tensor for tensor in skeleton.graph.initializer if tensor.name not in weights]
    del skeleton.graph.initializer[:]
    skeleton.graph.initializer.extend(kept)
    graph = skeleton.graph.SerializeToString()
    skeleton.ClearField("graph")
    # Each message begins with its length: from the inside out.
    raw = {name: length_delimited(_TENSOR_RAW_DATA, weights[name].nbytes) for name in heads}
    bodies = {name: len(heads[name]) + len(raw[name]) + weights[name].nbytes for name in heads}
    tensors = {name: length_delimited(_GRAPH_INITIALIZER, bodies[name]) for name in heads}
    size = len(graph) + sum(len(tensors[name]) + bodies[name] for name in heads)
    places = {}
    with path.open("wb") as file:
        file.write(skeleton.SerializeToString())
        file.write(length_delimited(_MODEL_GRAPH, size) + graph)
        for name, head in heads.items():
            file.write(tensors[name] + head + raw[name])
            places[name] = Place(file.tell(), weights[name].nbytes)
            file.write(weights[name].data)
    return places


def refer(model: onnx.ModelProto, places: Mapping[str, Place], file_name: str) -> onnx.ModelProto:
    """The same model with its weights left where they lie: in the file `file_name` in the model's own folder."""
    referring = onnx.ModelProto()
    referring.CopyFrom(model)
    for tensor in referring.graph.initializer:
        if tensor.name in places:
            place = places[tensor.name]
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", file_name), ("offset", place.offset), ("length", place.length)):
                tensor.external_data.add(key=key, value=str(value))
    return referring


def check_onnx(path: Path, referring: onnx.ModelProto) -> None:
    """Check that a model which refers to the weights in `path` follows the rules of ONNX.

    Raises:
        onnx.checker.ValidationError: If not.
    """
    with saved_beside(path, referring) as file:
        onnx.checker.check_model(str(file))


@contextmanager
def saved_beside(path: Path, model: onnx.ModelProto) -> Iterator[Path]:
    """A temporary file with a model, in the folder of `path`, to whose weights it may refer."""
    with tempfile.NamedTemporaryFile(prefix=f"{path.stem}-graph-", suffix=".onnx", dir=path.parent) as file:
        file.write(model.SerializeToString())
        file.flush()
        yield Path(file.name)


def _head(tensor: onnx.TensorProto) -> bytes:
    """What describes a tensor, without its values."""
    head = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    return bytes(head.SerializeToString())
