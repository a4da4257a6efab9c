from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from fcnrt.datasets.calibration import CalibrationData
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export import quantize_search
from fcnrt.export.engine.network import count_convolutions, parse_onnx, planned_convolutions
from fcnrt.export.quantize import as_tensorrt_reads, calibrate, open_graph, quantizable_layers, quantize
from fcnrt.export.to_onnx import ExportResult, export_onnx
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import EngineBuildError, ParityError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize

SCORES = ("score_fr", "score_pool4", "score_pool3")
TRUNK = [
    "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3",
    "conv5_1", "conv5_2", "conv5_3", "fc6", "fc7",
]  # fmt: skip


class Graphs(NamedTuple):
    float32: onnx.ModelProto
    int8: onnx.ModelProto


def scenes(count: int) -> tuple[np.ndarray, ...]:
    return tuple(render_scene(5, index, ImageSize(96, 96)).image for index in range(count))


@pytest.fixture(scope="module")
def graphs(make_checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """A slim FCN-8s, and the same with all its layers in INT8."""
    path = tmp_path_factory.mktemp("quantize") / "net.onnx"
    export_onnx(make_checkpoint(), path)
    graph = onnx.load(path)
    layers = quantizable_layers(graph, SCORES)
    return Graphs(graph, quantize(graph, calibrate(graph, layers, scenes(4), 5).ranges, layers))


@pytest.fixture(scope="module")
def exported(make_checkpoint, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """An INT8 export of a network with one layer whose input spans four orders of magnitude more in one channel."""
    checkpoint = make_checkpoint()
    model = checkpoint.model
    with torch.no_grad():  # exact in float32: a power of two into conv3_2, and out of conv3_3 again
        model.conv3_2.weight[0] *= 4096
        model.conv3_2.bias[0] *= 4096
        model.conv3_3.weight[:, 0] /= 4096
    frames = scenes(8)
    data = CalibrationData(frames[:4], frames[4:], None, "scenes")
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    return export_onnx(checkpoint, path, precision="int8", channel_order="bgr", calibration=data)


def test_all_convolutions_behind_a_relu_can_be_quantised_but_the_scores(graphs: Graphs) -> None:
    assert quantizable_layers(graphs.float32, SCORES) == TRUNK


def test_types_are_those_that_both_backends_take(graphs: Graphs) -> None:
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graphs.int8.graph.initializer}
    nodes = graphs.int8.graph.node
    for node in nodes:
        if node.op_type == "QuantizeLinear":
            zero = tensors[node.input[2]]
            assert (zero.dtype, zero.shape, zero) == (np.uint8, (), 0)
            assert tensors[node.input[1]].shape == ()
    convolutions = {node.name: node for node in nodes if node.op_type == "Conv"}
    for name in TRUNK:
        weight, scale = tensors[f"{name}.weight.int8"], tensors[f"{name}.weight.scale"]
        assert weight.dtype == np.int8
        assert (np.abs(weight.reshape(len(weight), -1)).max(1) == 127).all()  # each channel uses its whole range
        assert scale.shape == (len(weight),)
        assert tensors[f"{name}.bias"].dtype == np.float32
        assert f"{name}.weight" not in tensors
        assert convolutions[name].input[1] == f"{name}.weight.dequantized"
    for name in ("conv1_1", *SCORES):
        assert tensors[f"{name}.weight"].dtype == np.float32


def test_weights_are_rounded_to_the_nearest(graphs: Graphs) -> None:
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in graphs.float32.graph.initializer}
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in graphs.int8.graph.initializer}
    for name in TRUNK:
        scale = after[f"{name}.weight.scale"][:, None, None, None]
        error = np.abs(after[f"{name}.weight.int8"] * scale - before[f"{name}.weight"])
        assert (error <= scale * 0.5001).all()


def optimized_kinds(graph: onnx.ModelProto, folder: Path) -> list[str]:
    """Operators that ONNX Runtime makes of a graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]


def test_the_padding_of_100_keeps_no_layer_out_of_int8(make_checkpoint, tmp_path: Path) -> None:
    export_onnx(make_checkpoint(align="caffe"), tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx")
    layers = quantizable_layers(graph, SCORES)
    assert layers == TRUNK
    int8 = quantize(graph, calibrate(graph, layers, scenes(2), 5).ranges, layers)
    assert optimized_kinds(int8, tmp_path).count("QLinearConv") == len(TRUNK)


def test_onnx_runtime_computes_every_one_in_integers(graphs: Graphs, tmp_path: Path) -> None:
    kinds = optimized_kinds(graphs.int8, tmp_path)
    assert kinds.count("QLinearConv") == len(TRUNK)
    # uint8 starts at 0: rounding to it is a ReLU by itself, and no other is left.
    assert "Relu" not in kinds
    assert "FusedConv" not in kinds


def test_range_leaves_out_the_largest_few_and_takes_the_largest_frame(graphs: Graphs) -> None:
    layers = quantizable_layers(graphs.float32, SCORES)
    frames = scenes(3)
    each = [calibrate(graphs.float32, layers, [frame], 5) for frame in frames]
    together = calibrate(graphs.float32, layers, frames, 5)
    assert together.ranges == {name: max(one.ranges[name] for one in each) for name in together.ranges}
    assert (together.classes_seen == np.any([one.classes_seen for one in each], axis=0)).all()
    assert len(together.ranges) == len(TRUNK) + 1  # what each of them reads, and what the last one makes

    reads = next(node.input[0] for node in graphs.float32.graph.node if node.name == "conv1_2")
    probe = onnx.ModelProto()
    probe.CopyFrom(graphs.float32)
    probe.graph.output.append(onnx.helper.make_tensor_value_info(reads, onnx.TensorProto.FLOAT, None))
    (values,) = open_graph(probe, [reads])(frames[0])
    assert 0 < np.count_nonzero(values > each[0].ranges[reads]) <= 1e-4 * values.size


def test_read_as_signed_integers_it_is_the_same_up_to_the_calibrated_range(graphs: Graphs) -> None:
    signed = as_tensorrt_reads(graphs.int8)
    assert numpy_helper.to_array(signed.graph.initializer[-1]).dtype != np.uint8
    zeros = [numpy_helper.to_array(t) for t in signed.graph.initializer if t.name == "activation_zero_point"]
    assert [zero.dtype for zero in zeros] == [np.int8]
    # With the range wide enough for everything, nothing is clipped in either form.
    layers = quantizable_layers(graphs.float32, SCORES)
    ranges = {name: 4 * top for name, top in calibrate(graphs.float32, layers, scenes(4), 5).ranges.items()}
    wide = quantize(graphs.float32, ranges, layers)
    (frame,) = scenes(1)
    assert (open_graph(wide)(frame)[0] == open_graph(as_tensorrt_reads(wide))(frame)[0]).mean() > 0.999


def test_the_layer_that_costs_most_is_put_back_to_float(exported: ExportResult) -> None:
    report = exported.quantization
    assert report is not None
    assert report.kept_float[0] == "conv3_3"
    assert set(report.layers) | set(report.kept_float) == set(TRUNK)
    assert report.loss <= quantize_search.LARGEST_DISAGREEMENT
    assert (report.calibrated, report.validated, report.float_miou) == (4, 4, None)
    names = {tensor.name for tensor in onnx.load(exported.path).graph.initializer}
    assert "conv3_3.weight" in names
    assert "conv3_3.weight.int8" not in names


def test_the_file_says_what_it_is_and_carries_its_self_test(exported: ExportResult) -> None:
    with Segmenter.open(exported.path, device="cpu") as segment:
        assert segment.spec == exported.spec
        assert (segment.spec.precision, segment.spec.channel_order) == ("int8", "bgr")
        assert segment(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1)


def test_labels_decide_where_there_are_some(graphs: Graphs) -> None:
    frames = scenes(4)
    labels = tuple(open_graph(graphs.float32)(frame)[0][0] for frame in frames)  # the float graph is never wrong
    data = CalibrationData(frames, frames, labels, "scenes")
    _, report = quantize_search.quantize_within_limit(
        graphs.float32, data, score_layers=SCORES, num_classes=5, channel_order="rgb"
    )
    assert report.float_miou == 100
    assert report.loss <= quantize_search.LARGEST_LOSS


def test_no_layer_is_left(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize_search, "LARGEST_DISAGREEMENT", -1.0)
    data = CalibrationData(scenes(1), scenes(1), None, "a scene")
    with pytest.raises(ParityError, match=r"no layer of this network runs in INT8 within -1\.0 points of mIoU"):
        quantize_search.quantize_within_limit(
            graphs.float32, data, score_layers=(*SCORES, *TRUNK[2:]), num_classes=5, channel_order="rgb"
        )


def test_tensorrt_takes_the_plan(exported: ExportResult, tensorrt_rtx) -> None:
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    parsed = parse_onnx(exported.path, library)
    assert exported.quantization is not None
    layers = exported.quantization.layers
    assert count_convolutions(parsed, exported.spec) == {"fp32": 18 - len(layers), "int8": len(layers)}
    assert planned_convolutions(parsed, exported.spec) == list(layers)


def test_tensorrt_is_not_given_a_float_graph_that_promises_int8(
    graphs: Graphs, exported: ExportResult, tensorrt_rtx, tmp_path: Path
) -> None:
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    onnx.save(graphs.float32, tmp_path / "float.onnx")
    with pytest.raises(EngineBuildError, match="the graph is not the int8 that its metadata promise: no layer is int8"):
        count_convolutions(parse_onnx(tmp_path / "float.onnx", library), exported.spec)
