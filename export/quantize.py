"""INT8: the float graph with its convolutions between QuantizeLinear and DequantizeLinear nodes.

One scheme serves both backends. Activations that are never negative (behind a ReLU) become uint8 with zero point 0 and
a scale that puts the calibrated range on 0..127:

- ONNX Runtime takes a ReLU into the integer convolution before it only if the zero point is the lowest value; the
  signed symmetric form, 0 in the middle, leaves the ReLU in float32 and runs slower than the float graph. Processors
  without VNNI add pairs of products in 16 bits, where 2 * 255 * 127 would overflow and 2 * 127 * 127 does not.
- TensorRT knows signed integers only and reads uint8 as int8. Up to 127 both are the same number.

They differ in what they do with activations above the calibrated range: TensorRT clips them at 127, ONNX Runtime at
255. `as_tensorrt_reads` makes the difference visible on a CPU.

Weights are int8, symmetric, with one scale per output channel; biases stay float32, as TensorRT takes no others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..runtime.runners.cores import usable_cores

_LEVELS = 127  # of int8, symmetric

# Share of a frame's activations that the range covers: the few largest ones would cost all others resolution.
_COVERED = 0.9999

_ZERO = "activation_zero_point"

_MOVES = ("Concat", "Slice", "Expand")  # what repeats the padding: values go elsewhere and stay what they are

Run = Callable[[NDArray[np.uint8]], "list[NDArray[np.uint8]]"]


@dataclass(frozen=True)
class Calibration:
    """What was seen on calibration frames.

    Attributes:
        ranges: Upper end of the range of each activation to be quantised, by its tensor's name.
        classes_seen: Whether the network found the class anywhere, bool (classes,).
    """

    ranges: dict[str, float]
    classes_seen: NDArray[np.bool_]


def quantizable_layers(graph: onnx.ModelProto, score_layers: Collection[str]) -> list[str]:
    """Names of the convolutions that may run in INT8, in their order.

    Those are all that read activations which cannot be negative, but for the score layers: these decide between classes
    whose scores differ little and are a fraction of a percent of the work.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}

    def never_negative(tensor: str) -> bool:
        node = makers.get(tensor)
        if node is None or node.op_type not in ("Relu", "MaxPool", *_MOVES):
            return False
        return node.op_type == "Relu" or all(never_negative(name) for name in _moved(node))

    return [
        node.name
        for node in graph.graph.node
        if node.op_type == "Conv" and node.name not in score_layers and never_negative(node.input[0])
    ]


def calibrate(
    graph: onnx.ModelProto, layers: Collection[str], frames: Iterable[NDArray[np.uint8]], num_classes: int
) -> Calibration:
    """Run the float graph and note the ranges of what `layers` read and make, and the classes it finds.

    Args:
        graph: The exported graph, float32.
        layers: From `quantizable_layers`.
        frames: Frames in the graph's channel order, uint8 (H, W, 3).
        num_classes: Number of its classes.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    watched = _activations(probe, layers)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched)
    run = open_graph(probe, ("class_map", *watched))
    ranges = dict.fromkeys(watched, 0.0)
    seen = np.zeros(num_classes, np.bool_)
    for frame in frames:
        class_map, *activations = run(frame)
        seen[np.unique(class_map)] = True
        for name, values in zip(watched, activations, strict=True):
            flat = values.ravel()
            top = math.ceil(_COVERED * (flat.size - 1))
            ranges[name] = max(ranges[name], float(np.partition(flat, top)[top]))
    return Calibration(ranges, seen)


def quantize(graph: onnx.ModelProto, ranges: dict[str, float], layers: Collection[str]) -> onnx.ModelProto:
    """The graph with `layers` in INT8.

    Args:
        graph: The exported graph, float32.
        ranges: From `calibrate`.
        layers: Names of convolutions from `quantizable_layers`.
    """
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    body = result.graph
    weights = {tensor.name: tensor for tensor in body.initializer}
    activations = set(_activations(graph, layers))
    body.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), _ZERO))
    nodes: list[onnx.NodeProto] = []
    for node in body.node:
        if node.name in layers:
            weight = node.input[1]
            body.initializer.extend(_quantized_weight(weights[weight]))
            nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{weight}.int8", f"{weight}.scale"],
                    [f"{weight}.dequantized"],
                    name=f"{weight}.dequantize",
                    axis=0,
                )
            )
            node.input[1] = f"{weight}.dequantized"
        # Whoever reads a quantised activation reads what is left of it: then nobody needs the float32 one.
        for index, name in enumerate(node.input):
            if name in activations:
                node.input[index] = f"{name}.dequantized"
        nodes.append(node)
        for name in node.output:
            if name in activations:
                scale = numpy_helper.from_array(np.array(ranges[name] / _LEVELS or 1.0, np.float32), f"{name}.scale")
                body.initializer.append(scale)
                nodes += _quantize_and_back(name)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in body.initializer if tensor.name in used]
    del body.node[:]
    body.node.extend(nodes)
    del body.initializer[:]
    body.initializer.extend(kept)
    onnx.checker.check_model(result)
    return result


def as_tensorrt_reads(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of `quantize` with its activations as int8, which is how TensorRT takes the uint8."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    for tensor in result.graph.initializer:
        if tensor.name == _ZERO:
            tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.int8), _ZERO))
    return result


def open_graph(graph: onnx.ModelProto, outputs: Collection[str] = ("class_map",)) -> Run:
    """A function from a frame, uint8 (H, W, 3), to the outputs of a graph on the CPU, each with a batch of one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = list(outputs)
    return lambda frame: session.run(names, {"image": frame[np.newaxis]})


def _activations(graph: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """Tensors to quantise so that `layers` run in INT8: what they read, and what their ReLU makes.

    The latter is read by the next of them as a rule, and behind the last by a score layer. ONNX Runtime computes a
    convolution in integers only if its result is wanted in integers. In front of a pool, the pool's result is enough.
    """
    nodes = graph.graph.node
    makers = {name: node for node in nodes for name in node.output}
    read = [node.input[0] for node in nodes if node.name in layers]
    read = [name for tensor in read for name in (*_sources(tensor, makers), tensor)]
    made = {name for node in nodes if node.name in layers for name in node.output}
    for node in nodes:
        if node.op_type == "Relu" and node.input[0] in made:
            readers = [reader for reader in nodes if node.output[0] in reader.input]
            if all(reader.op_type == "Conv" for reader in readers):
                read.append(node.output[0])
    return list(dict.fromkeys(read))


def _moved(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node of `_MOVES` whose values it moves; the others say where to."""
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]


def _sources(tensor: str, makers: dict[str, onnx.NodeProto]) -> list[str]:
    """The one tensor that nodes of `_MOVES` made a tensor from, as a list; empty if there is none, or several.

    It is quantised as well: behind a convolution and its pool, ONNX Runtime looks no farther than the pool.
    """
    maker = makers.get(tensor)
    if maker is None or maker.op_type not in _MOVES:
        return []
    found = list(dict.fromkeys(name for moved in _moved(maker) for name in _sources(moved, makers) or [moved]))
    return found if len(found) == 1 else []


def _quantized_weight(tensor: onnx.TensorProto) -> list[onnx.TensorProto]:
    weight = numpy_helper.to_array(tensor)  # (out, in, kernel, kernel)
    largest = np.abs(weight).reshape(len(weight), -1).max(1)
    scale = np.where(largest > 0, largest / _LEVELS, 1.0).astype(np.float32)
    values = np.clip(np.rint(weight / scale[:, None, None, None]), -_LEVELS, _LEVELS).astype(np.int8)
    return [
        numpy_helper.from_array(values, f"{tensor.name}.int8"),
        numpy_helper.from_array(scale, f"{tensor.name}.scale"),
    ]


def _quantize_and_back(tensor: str) -> list[onnx.NodeProto]:
    scale = f"{tensor}.scale"
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, _ZERO], [f"{tensor}.uint8"], name=f"{tensor}.quantize"),
        helper.make_node(
            "DequantizeLinear",
            [f"{tensor}.uint8", scale, _ZERO],
            [f"{tensor}.dequantized"],
            name=f"{tensor}.dequantize",
        ),
    ]
