"""Files whose weights are not copied on the way are ordinary ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fcnrt.export.onnx_file import check_onnx, refer, write_onnx

# Lengths on both sides of where their encoding grows by a byte.
SIZES = (1, 31, 32, 33, 4095, 4096, 600_000)


def make(size: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """y = x * weight + 1, the weight apart from the model."""
    weight = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "weight"], ["h"]), helper.make_node("Add", ["h", "one"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [
            TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[size]),
            numpy_helper.from_array(np.float32(1), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"key": "value"})
    return model, {"weight": weight}


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_the_model_with_its_weights(tmp_path: Path, size: int) -> None:
    model, weights = make(size)
    path = tmp_path / "net.onnx"
    places = write_onnx(path, model, weights)
    onnx.checker.check_model(str(path))
    written = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in written.graph.initializer}
    assert np.array_equal(numpy_helper.to_array(tensors["weight"]), weights["weight"])
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    for parts in (written, expected):
        del parts.graph.initializer[:]
    assert written == expected
    place = places["weight"]
    assert path.read_bytes()[place.offset : place.offset + place.length] == weights["weight"].tobytes()


def test_a_model_may_refer_to_the_weights_in_the_file(tmp_path: Path) -> None:
    model, weights = make(4096)
    path = tmp_path / "net.onnx"
    referring = refer(model, write_onnx(path, model, weights), path.name)
    check_onnx(path, referring)
    assert list(tmp_path.iterdir()) == [path]
    onnx.save(referring, tmp_path / "graph.onnx")
    assert (tmp_path / "graph.onnx").stat().st_size < 1000
    x = np.arange(4096, dtype=np.float32)
    for file in (path, tmp_path / "graph.onnx"):
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        assert np.array_equal(session.run(None, {"x": x})[0], x * weights["weight"] + 1)


def test_what_breaks_the_rules_of_onnx_is_found(tmp_path: Path) -> None:
    model, weights = make(32)
    model.graph.node[0].op_type = "Multiply"
    path = tmp_path / "net.onnx"
    referring = refer(model, write_onnx(path, model, weights), path.name)
    with pytest.raises(onnx.checker.ValidationError, match="No Op registered for Multiply"):
        check_onnx(path, referring)
