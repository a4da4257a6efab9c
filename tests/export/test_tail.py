from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fcnrt.export.tail import CHANNELS_LAST_FROM, lay_out_channels_last
from fcnrt.export.to_onnx import export_onnx


def tail(scale: int, *, by_sizes: bool = False, others_read_it: bool = False) -> onnx.ModelProto:
    """Enlarging by `scale` and arg-max, as the exporter writes them: by factors, or to sizes that are computed."""
    how = ["scores", "", "", "sizes"] if by_sizes else ["scores", "", "scales"]
    nodes = [
        helper.make_node(
            "Resize", how, ["logits"], name="enlarge", mode="linear", coordinate_transformation_mode="half_pixel"
        ),
        helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Cast", ["classes"], ["class_map"], to=TensorProto.UINT8),
    ]
    if by_sizes:
        nodes = [
            helper.make_node("Shape", ["scores"], ["shape"]),
            helper.make_node("Mul", ["shape", "factors"], ["sizes"]),
            *nodes,
        ]
    outputs = [helper.make_tensor_value_info("class_map", TensorProto.UINT8, ["n", "h", "w"])]
    if others_read_it:
        nodes.append(helper.make_node("ReduceMax", ["logits"], ["best"], keepdims=1))
        outputs.append(helper.make_tensor_value_info("best", TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5, "rows", "columns"])],
        outputs,
        [
            numpy_helper.from_array(np.array([1, 1, scale, scale], np.int64), "factors")
            if by_sizes
            else numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "scales")
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(graph: onnx.ModelProto, scores: NDArray[np.float32]) -> NDArray[np.uint8]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["class_map"], {"scores": scores})[0]


def sprinkled(rng: np.random.Generator, value: float) -> NDArray[np.float64]:
    scores = rng.normal(size=(2, 5, 7, 9))
    return np.where(rng.random(scores.shape) < 0.1, value, scores)


SCORES: dict[str, Callable[[np.random.Generator], NDArray[np.generic]]] = {
    "noise": lambda rng: rng.normal(size=(3, 5, 7, 9)),
    "ties": lambda rng: rng.integers(0, 3, (2, 5, 7, 9)),
    "all equal": lambda rng: np.ones((1, 5, 4, 4)),
    "nan": lambda rng: sprinkled(rng, np.nan),
    "infinity": lambda rng: sprinkled(rng, np.inf),
    "nothing but nan": lambda rng: np.full((1, 5, 3, 3), np.nan),
    "one cell": lambda rng: rng.normal(size=(2, 5, 1, 1)),
}


def test_sizes_that_are_computed_are_reordered() -> None:
    before, after = tail(3, by_sizes=True), tail(3, by_sizes=True)
    lay_out_channels_last(after)
    onnx.checker.check_model(after, full_check=True)
    kinds = [node.op_type for node in after.graph.node]
    assert kinds == ["Shape", "Mul", "Transpose", "Gather", "Resize", "ArgMax", "Cast"]
    for make in SCORES.values():
        scores = make(np.random.default_rng(8)).astype(np.float32)
        np.testing.assert_array_equal(run(before, scores), run(after, scores))


@pytest.mark.parametrize("scale", [2, 8, 32])
@pytest.mark.parametrize("kind", SCORES)
def test_class_maps_are_equal_to_the_bit(kind: str, scale: int) -> None:
    scores = SCORES[kind](np.random.default_rng(7)).astype(np.float32)
    before, after = tail(scale), tail(scale)
    lay_out_channels_last(after)
    onnx.checker.check_model(after, full_check=True)
    assert [node.op_type for node in after.graph.node] == ["Transpose", "Resize", "ArgMax", "Cast"]
    assert [tensor.name for tensor in after.graph.initializer] == ["upsampling.scales"]
    np.testing.assert_array_equal(run(before, scores), run(after, scores))


def test_scores_that_others_read_stay_where_they_are() -> None:
    graph = tail(8, others_read_it=True)
    lay_out_channels_last(graph)
    assert graph == tail(8, others_read_it=True)

    returned = tail(8)
    returned.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    before = onnx.ModelProto()
    before.CopyFrom(returned)
    lay_out_channels_last(returned)
    assert returned == before


def test_a_graph_without_such_an_end_stays_as_it_is(tiny_model) -> None:
    graph = onnx.load(tiny_model)
    lay_out_channels_last(graph)
    assert graph == onnx.load(tiny_model)


@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
@pytest.mark.parametrize("classes", [CHANNELS_LAST_FROM - 1, CHANNELS_LAST_FROM])
def test_exported_networks_of_many_classes_end_like_that(make_checkpoint, tmp_path, variant: str, classes: int) -> None:
    path = tmp_path / "net.onnx"
    export_onnx(make_checkpoint(variant=variant, num_classes=classes), path)
    graph = onnx.load(path).graph
    (argmax,) = (node for node in graph.node if node.op_type == "ArgMax")
    (resize,) = (node for node in graph.node if argmax.input[0] in node.output)
    (before,) = (node for node in graph.node if resize.input[0] in node.output)
    assert resize.op_type == "Resize"
    assert (before.op_type == "Transpose") == (classes >= CHANNELS_LAST_FROM)
