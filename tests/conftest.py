"""Fixtures that every test may use: a tiny model under the same contract as an exported network.

Its classes are `red`, `green` and `blue`, and each pixel belongs to its strongest channel (the first one of equals),
so that the right answer can be written down by hand: `frame.argmax(axis=-1)`. Its confidence is the strongest
channel's value, and its logits are the channels themselves.
"""

from __future__ import annotations

import os

# Networks in tests are tiny: more threads than one only wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fcnrt.runtime.spec import METADATA_KEY, ModelSpec, OutputName

WriteTinyModel = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    """The spec inside `tiny_model`."""
    return ModelSpec(
        variant="fcn8s",
        class_names=("red", "green", "blue"),
        palette=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
        channel_order="rgb",
        outputs=("class_map",),
        precision="fp32",
        align="same",
        preprocessing="none",
        activation_scale_log2=0,
        opset=17,
        source="made by hand for tests",
        checkpoint_sha256="0" * 64,
        fcnrt_version="0.1.0",
    )


@pytest.fixture(scope="session")
def write_tiny_model(tiny_spec: ModelSpec) -> WriteTinyModel:
    """A function that writes a tiny model with the given outputs (and other metadata, if given): its path."""

    def write(
        path: Path, *, outputs: tuple[OutputName, ...] = ("class_map",), metadata: dict[str, str] | None = None
    ) -> Path:
        import numpy as np
        import onnx
        from onnx import TensorProto, helper

        spec = replace(tiny_spec, outputs=outputs)
        nodes = [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "identity"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["class_map"], to=TensorProto.UINT8),
        ]
        if "confidence" in outputs:
            nodes += [
                helper.make_node("ReduceMax", ["logits"], ["strongest"], axes=[1], keepdims=0),
                helper.make_node("Cast", ["strongest"], ["confidence"], to=TensorProto.UINT8),
            ]
        dims = ["batch", "height", "width"]
        declared = {
            "class_map": helper.make_tensor_value_info("class_map", TensorProto.UINT8, dims),
            "confidence": helper.make_tensor_value_info("confidence", TensorProto.UINT8, dims),
            "logits": helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "height", "width"]),
        }
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [*dims, 3])],
            [declared[name] for name in outputs],
            [onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :, None, None], "identity")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", spec.opset)], ir_version=8)
        helper.set_model_props(model, {METADATA_KEY: spec.to_json()} if metadata is None else metadata)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: WriteTinyModel) -> Path:
    """An ONNX file with the single output `class_map`, described by `tiny_spec`; do not modify it."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny_model") / "tiny.onnx")


@pytest.fixture(scope="session")
def cuda_device() -> str:
    """A CUDA device that ONNX Runtime can use. Without one the test is skipped, or fails if FCNRT_REQUIRE_CUDA=1."""
    import onnxruntime

    from fcnrt.runtime.runners.cuda import count_cuda_devices, cuda_obstacle

    obstacle = cuda_obstacle(onnxruntime, 0, count_devices=count_cuda_devices)
    if obstacle is not None:
        if os.environ.get("FCNRT_REQUIRE_CUDA") == "1":
            pytest.fail(f"FCNRT_REQUIRE_CUDA=1, but {obstacle}")
        pytest.skip(f"needs CUDA: {obstacle}")
    return "cuda:0"
