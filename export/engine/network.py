"""From an ONNX file to a TensorRT network, and what can be read off the network before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.engines.tensorrt_library import TensorRtLibrary, made_or_none
from ...runtime.errors import EngineBuildError
from ...runtime.runners.tensorrt_messages import MessageLog, make_logger, shorten
from ...runtime.spec import ImageSize, ModelSpec


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
    builder = made_or_none(trt.Builder, logger)
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
    if spec.precision == "int8":
        dequantized = _dequantized(parsed)
        return [layer.name for layer in _convolutions(parsed) if _in_int8(layer, dequantized)]
    may_be_float = _may_be_float(parsed, spec)
    return [layer.name for layer in _convolutions(parsed) if layer.name not in may_be_float]


def count_convolutions(parsed: ParsedNetwork, spec: ModelSpec) -> dict[str, int]:
    """The convolution layers by the type they compute in, once they are known to be as planned.

    A network is strongly typed: what is built computes in these types.

    Args:
        parsed: The network.
        spec: What the metadata promise.

    Returns:
        Number of layers by type: ``int8``, ``fp16`` and ``fp32``.

    Raises:
        EngineBuildError: If a layer has another type than the metadata promise.
    """
    trt = parsed.trt
    names = {trt.DataType.HALF: "fp16", trt.DataType.FLOAT: "fp32"}
    dequantized = _dequantized(parsed)
    may_be_float = _may_be_float(parsed, spec)
    counts: dict[str, int] = {}
    wrong = []
    for layer in _convolutions(parsed):
        dtype = layer.get_output(0).dtype
        kind = "int8" if _in_int8(layer, dequantized) else names.get(dtype, str(dtype))
        counts[kind] = counts.get(kind, 0) + 1
        if kind != spec.precision and not (kind == "fp32" and layer.name in may_be_float):
            wrong.append(f"{layer.name} is {kind}")
    if spec.precision == "int8" and "int8" not in counts:
        wrong.append("no layer is int8")
    if wrong:
        raise EngineBuildError(
            f"the graph is not the {spec.precision} that its metadata promise: {', '.join(wrong[:5])}"
            f"{' and more' if len(wrong) > 5 else ''}. Export the model again"
        )
    return counts


def _may_be_float(parsed: ParsedNetwork, spec: ModelSpec) -> set[str]:
    """Names of the convolutions that may stay float32: in INT8 whatever cost too much, in fp16 what makes scores."""
    if spec.precision == "fp32":
        return set()
    if spec.precision == "int8":
        return {layer.name for layer in _convolutions(parsed)}
    return _score_layers(parsed, spec.logit_channels)


def _score_layers(parsed: ParsedNetwork, channels: int) -> set[str]:
    """Names of the convolutions that make or enlarge class scores: the last ones on the way to the outputs."""
    kinds, network = parsed.trt.LayerType, parsed.network
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    waiting = [network.get_output(index).name for index in range(network.num_outputs)]
    scores, seen = set(), set()
    while waiting:
        name = waiting.pop()
        layer = makers.get(name)
        if layer is None or name in seen or layer.type == kinds.SHAPE:  # of a shape only the numbers go on
            continue
        seen.add(name)
        read = range(layer.num_inputs)
        if layer.type in (kinds.CONVOLUTION, kinds.DECONVOLUTION):
            if layer.get_output(0).shape[1] != channels:
                continue
            scores.add(layer.name)
            enlarges = layer.type == kinds.DECONVOLUTION and layer.get_input(0).shape[1] == channels
            read = range(1 if enlarges else 0)
        inputs = [layer.get_input(index) for index in read]
        waiting += [tensor.name for tensor in inputs if tensor is not None]
    return scores


def _dequantized(parsed: ParsedNetwork) -> set[str]:
    """Names of the tensors that come from INT8."""
    layers = (parsed.network.get_layer(index) for index in range(parsed.network.num_layers))
    return {layer.get_output(0).name for layer in layers if layer.type == parsed.trt.LayerType.DEQUANTIZE}


def _in_int8(layer: Any, dequantized: set[str]) -> bool:
    """Whether a convolution's activations and weights come from INT8, so that it computes in it."""
    tensors = [layer.get_input(index) for index in range(min(layer.num_inputs, 2))]
    return len(tensors) == 2 and all(tensor is not None and tensor.name in dequantized for tensor in tensors)


def _convolutions(parsed: ParsedNetwork) -> Iterator[Any]:
    kinds = (parsed.trt.LayerType.CONVOLUTION, parsed.trt.LayerType.DECONVOLUTION)
    for index in range(parsed.network.num_layers):
        layer = parsed.network.get_layer(index)
        if layer.type in kinds:
            yield layer
