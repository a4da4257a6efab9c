"""From an ONNX file to a TensorRT network, and what can be read off the network before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import EngineBuildError
from ..runtime.runners.tensorrt_library import TensorRtLibrary
from ..runtime.runners.tensorrt_messages import MessageLog, make_logger, shorten
from ..runtime.spec import ImageSize, ModelSpec


@dataclass(frozen=True)
class ParsedNetwork:
    """A network and what it hangs on; TensorRT's objects must not outlive their builder and logger.

    Attributes:
        trt: The TensorRT module.
        log: What TensorRT has said.
        logger: The logger that fills `log`.
        builder: Builder of `network`.
        network: The network, strongly typed.
    """

    trt: Any
    log: MessageLog
    logger: Any
    builder: Any
    network: Any


def parse_onnx(path: Path, library: TensorRtLibrary) -> ParsedNetwork:
    """The network in an ONNX file, every tensor with the type it has there.

    Raises:
        EngineBuildError: If TensorRT cannot take the graph; names the nodes.
    """
    trt = library.trt
    log = MessageLog()
    logger = make_logger(trt, log)
    builder = trt.Builder(logger)
    if builder is None:
        raise EngineBuildError(f"{library} cannot start a build: {log.take_errors() or 'it gave no reason'}")
    # From TensorRT 11 on every network is strongly typed and the flag is ignored.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        errors = [_describe(parser.get_error(i)) for i in range(parser.num_errors)]
        reason = "; ".join(dict.fromkeys(errors)) or log.take_errors() or "it gave no reason"
        raise EngineBuildError(f"{library} cannot take {path}: {reason}")
    log.take_errors()
    return ParsedNetwork(trt, log, logger, builder, network)


def _describe(error: Any) -> str:
    """A parser error with the node it is about."""
    text = shorten(" ".join(error.desc().split()))
    name, operator = error.node_name(), error.node_operator()
    return f"node {name or error.node()} ({operator or 'unknown operator'}): {text}"


@contextmanager
def input_size(network: Any, batch: int, size: ImageSize) -> Iterator[None]:
    """Fix the network's input to one size while the block runs: TensorRT then knows every tensor's shape."""
    image = network.get_input(0)
    image.shape = (batch, size.height, size.width, 3)
    try:
        yield
    finally:
        image.shape = (-1, -1, -1, 3)


def planned_convolutions(parsed: ParsedNetwork, spec: ModelSpec) -> list[str]:
    """Names of the convolution layers that must compute in the precision of the spec."""
    return [layer.name for layer in _convolutions(parsed) if not _may_be_float(layer, spec)]


def count_convolutions(parsed: ParsedNetwork, spec: ModelSpec) -> dict[str, int]:
    """The convolution layers by the type they compute in, once they are known to be as planned.

    A network is strongly typed: what is built computes in these types.

    Args:
        parsed: The network.
        spec: What the metadata promise.

    Returns:
        Number of layers by type, ``fp16`` and ``fp32``.

    Raises:
        EngineBuildError: If a layer has another type than the metadata promise.
    """
    trt = parsed.trt
    names = {trt.DataType.HALF: "fp16", trt.DataType.FLOAT: "fp32"}
    counts: dict[str, int] = {}
    wrong = []
    for layer in _convolutions(parsed):
        dtype = layer.get_output(0).dtype
        kind = names.get(dtype, str(dtype))
        counts[kind] = counts.get(kind, 0) + 1
        if kind != spec.precision and not (kind == "fp32" and _may_be_float(layer, spec)):
            wrong.append(f"{layer.name} is {kind}")
    if wrong:
        raise EngineBuildError(
            f"the graph is not the {spec.precision} that its metadata promise: {', '.join(wrong[:5])}"
            f"{' and more' if len(wrong) > 5 else ''}. Export the model again"
        )
    return counts


def _may_be_float(layer: Any, spec: ModelSpec) -> bool:
    """Whether a layer makes or enlarges class scores, which an fp16 export leaves in float32."""
    return spec.precision != "fp32" and layer.get_output(0).shape[1] == spec.num_classes


def _convolutions(parsed: ParsedNetwork) -> Iterator[Any]:
    kinds = (parsed.trt.LayerType.CONVOLUTION, parsed.trt.LayerType.DECONVOLUTION)
    for index in range(parsed.network.num_layers):
        layer = parsed.network.get_layer(index)
        if layer.type in kinds:
            yield layer
