"""Opening an ONNX file without reading its weights: ONNX Runtime gets the graph and is told where in the file they lie.

A file with its weights inside is read into memory as a whole and taken apart there, a second copy. Weights that lie in
a file of their own are mapped instead. The place where an exported file's weights lie serves as well: what is opened
is the same graph, a few kilobytes, that names the file itself as the one that holds its weights.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any

from ..protobuf import VARINT, Message, as_message, length_delimited, varint

# Fields of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 9, 13, 14, 1  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto

_WEIGHT = 1024  # bytes from which on a constant is left in the file
_FIRST_RELEASE = (1, 21)  # of ONNX Runtime that takes a graph in memory and weights in a file
_FOLDER = "session.model_external_initializers_file_folder_path"


def open_in_place(onnxruntime: Any, path: Path, options: Any) -> Any:
    """A session on the CPU of an exported file whose weights are mapped, where ONNX Runtime can do that.

    As long as the session is there, nothing may be written into the file; replacing it by another one does no harm once
    the session is there.

    Args:
        onnxruntime: The imported module.
        path: The exported file.
        options: Session options; changed.

    Raises:
        Exception: Whatever ONNX Runtime raises; its errors have no common base class.
    """
    model: str | bytes = str(path)
    if _release(onnxruntime) >= _FIRST_RELEASE:
        file = path.resolve()  # ONNX Runtime takes no link out of the folder
        model = _without_weights(file)
        options.add_session_config_entry(_FOLDER, str(file.parent))
    # Without enable_fallback=0 a failing provider is reported by print and replaced.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _release(onnxruntime: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(onnxruntime.__version__))[:2])


def _without_weights(path: Path) -> bytes:
    """The model in `path`, each weight replaced by its place there."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        model = bytearray()
        for number, value, written in Message(data, 0, len(data)).fields_as_written():
            model += _graph(as_message(value), path.name) if number == _MODEL_GRAPH else written.raw()
        return bytes(model)


def _graph(graph: Message, file_name: str) -> bytes:
    parts = bytearray()
    for number, value, written in graph.fields_as_written():
        parts += _initializer(as_message(value), file_name) if number == _GRAPH_INITIALIZER else written.raw()
    return _field(_MODEL_GRAPH, parts)


def _initializer(tensor: Message, file_name: str) -> bytes:
    parts = bytearray()
    for number, value, written in tensor.fields_as_written():
        if number == _RAW_DATA and (weight := as_message(value)).stop - weight.start >= _WEIGHT:
            place = {"location": file_name, "offset": str(weight.start), "length": str(weight.stop - weight.start)}
            for entry in place.items():
                parts += _field(_EXTERNAL_DATA, _text(_KEY, entry[0]) + _text(_VALUE, entry[1]))
            parts += varint(_DATA_LOCATION << 3 | VARINT) + varint(_EXTERNAL)
        else:
            parts += written.raw()
    return _field(_GRAPH_INITIALIZER, parts)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, body: bytes | bytearray) -> bytes:
    return length_delimited(number, len(body)) + body
