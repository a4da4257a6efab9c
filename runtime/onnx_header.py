"""What an exported ONNX file says about itself, read in a millisecond: without a backend and without its weights.

An ONNX file is one protocol-buffers message. Only the fields wanted here are read and the rest is jumped
over, so that a wrong, cut or foreign file is named as such before any backend sees it, and the metadata of a 500 MB
network cost nothing. Field numbers are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from .checkpoint_mark import is_checkpoint
from .engines.engine_file import is_engine
from .errors import ModelFileError
from .output_layout import output_layouts
from .protobuf import VARINT, MalformedError, Message, TruncatedError, as_message
from .spec import METADATA_KEY, ModelSpec

_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_METADATA = 1, 7, 14
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12
_NAME, _TYPE = 1, 2  # of ValueInfoProto
_TENSOR_TYPE = 1
_ELEMENT_TYPE, _SHAPE = 1, 2
_DIMENSION = 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2
_KEY, _VALUE = 1, 2  # of StringStringEntryProto

_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}


@dataclass(frozen=True)
class TensorInfo:
    """Name, element type and dimensions of a graph's input or output; a dimension left open is its name."""

    name: str
    dtype: str
    dims: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join(map(str, self.dims))}]"


@dataclass(frozen=True, kw_only=True)
class OnnxHeader:
    """What an exported file says about itself.

    Attributes:
        spec: The metadata that fcnrt wrote into the file.
        inputs: The graph's inputs, in order.
        outputs: The graph's outputs, in order.
        file_bytes: Size of the file.
    """

    spec: ModelSpec
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    file_bytes: int


def read_onnx_header(path: Path) -> OnnxHeader:
    """The header of an ONNX file that fcnrt exported, checked against the contract of exported graphs.

    Raises:
        ModelFileError: If the file is missing, unreadable, truncated, not ONNX, not written by fcnrt, or if its graph
            is not what its metadata says.
    """
    header, _ = _read(path)
    _check_contract(header, path)
    return header


def read_metadata(path: Path) -> dict[str, str]:
    """Every metadata entry of an ONNX file that fcnrt exported, by key.

    Raises:
        ModelFileError: If the file is missing, unreadable, truncated, not ONNX or not written by fcnrt.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[OnnxHeader, dict[str, str]]:
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a directory; name the .onnx file in it")
        with path.open("rb") as file:
            if file.read(1) == b"":
                raise ModelFileError(f"{path} is empty; export it again with: fcnrt export -o {path}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(data, path)
    except FileNotFoundError as exc:
        raise ModelFileError(f"{path} does not exist; export a model with: fcnrt export -o {path}") from exc
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _parse(data: mmap.mmap, path: Path) -> tuple[OnnxHeader, dict[str, str]]:
    if data[0] != _MODEL_IR_VERSION << 3 | VARINT:  # every ONNX writer puts the format version first
        if is_engine(path):
            raise ModelFileError(
                f"{path} is a TensorRT engine, not an ONNX file; give the .onnx file it was built from"
            )
        if is_checkpoint(path):
            raise ModelFileError(
                f"{path} is a checkpoint, not an ONNX file; export it first: fcnrt export --checkpoint {path}"
            )
        raise ModelFileError(f"{path} is not an ONNX file; make one with: fcnrt export")
    message = Message(data, 0, len(data))
    graph: Message | None = None
    metadata: dict[str, str] = {}
    try:
        for number, value in message.fields():
            if number == _MODEL_GRAPH:
                graph = as_message(value)
            elif number == _MODEL_METADATA:
                entry = dict(as_message(value).fields())
                metadata[as_message(entry[_KEY]).text()] = as_message(entry[_VALUE]).text()
        inputs = () if graph is None else _tensors(graph, _GRAPH_INPUT)
        outputs = () if graph is None else _tensors(graph, _GRAPH_OUTPUT)
    except TruncatedError as exc:
        raise ModelFileError(f"{path} is truncated after {len(data):,} bytes; copy or export it again") from exc
    except (MalformedError, KeyError, UnicodeDecodeError) as exc:
        raise ModelFileError(f"{path} is damaged: it does not follow the ONNX format; copy or export it again") from exc
    if METADATA_KEY not in metadata:
        raise ModelFileError(
            f"{path} was not written by fcnrt (it has no metadata {METADATA_KEY!r}); export the network from its "
            "checkpoint with: fcnrt export"
        )
    try:
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
    except ModelFileError as exc:
        raise ModelFileError(f"{path}: {exc}") from exc
    return OnnxHeader(spec=spec, inputs=inputs, outputs=outputs, file_bytes=len(data)), metadata


def _check_contract(header: OnnxHeader, path: Path) -> None:
    """Raise unless `image` and the outputs that the metadata names have the agreed types and the same open sizes."""
    image = header.inputs[0] if len(header.inputs) == 1 else None
    if (
        image is None
        or (image.name, image.dtype) != ("image", "uint8")
        or len(image.dims) != 4
        or image.dims[3] != 3
        or any(isinstance(dim, int) for dim in image.dims[:3])
    ):
        expected = ("image uint8 [batch, height, width, 3]",)
        raise _contract_error(path, "input", header.inputs, expected)
    batch, height, width, _ = image.dims
    known = {
        name: TensorInfo(name, layout.dtype, layout.dims(batch, height, width))
        for name, layout in output_layouts(header.spec).items()
    }
    expected_outputs = tuple(known.get(name, f"no output named {name}") for name in header.spec.outputs)
    if header.outputs != expected_outputs:
        raise _contract_error(path, "output", header.outputs, expected_outputs)


def _contract_error(
    path: Path, kind: str, found: tuple[TensorInfo, ...], expected: tuple[TensorInfo | str, ...]
) -> ModelFileError:
    return ModelFileError(
        f"{path} is not what its metadata says: the graph's {kind} is {', '.join(map(str, found)) or 'missing'}, "
        f"expected {', '.join(map(str, expected))}; export it again"
    )


def _tensors(graph: Message, field: int) -> tuple[TensorInfo, ...]:
    return tuple(_tensor(as_message(value)) for number, value in graph.fields() if number == field)


def _tensor(message: Message) -> TensorInfo:
    info = dict(message.fields())
    tensor_type = dict(as_message(dict(as_message(info[_TYPE]).fields())[_TENSOR_TYPE]).fields())
    element_type = tensor_type[_ELEMENT_TYPE]
    dims = []
    if _SHAPE in tensor_type:  # a tensor of unknown rank has none
        for number, value in as_message(tensor_type[_SHAPE]).fields():
            if number == _DIMENSION:
                dims.append(_dimension(as_message(value)))
    return TensorInfo(
        name=as_message(info[_NAME]).text(),
        dtype=_ELEMENT_TYPES.get(element_type, f"type-{element_type}") if isinstance(element_type, int) else "unknown",
        dims=tuple(dims),
    )


def _dimension(message: Message) -> str | int:
    for number, value in message.fields():
        if number == _DIMENSION_VALUE and isinstance(value, int):
            return value
        if number == _DIMENSION_NAME:
            return as_message(value).text()
    return "?"
