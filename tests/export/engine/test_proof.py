from __future__ import annotations

from typing import Any

import pytest

from fcnrt.export.engine.proof import check_precision
from fcnrt.runtime.errors import EngineBuildError


def layer(name: str, kind: str, *, metadata: str = "") -> dict[str, Any]:
    """A layer as TensorRT's inspector writes it in JSON."""
    tensor = {"Name": "t", "Location": "Device", "Dimensions": [1, 64, 32, 32], "Format/Datatype": kind}
    return {"Name": name, "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": [tensor], "Metadata": metadata}


def test_counts_the_layers_that_show_it() -> None:
    layers = [
        layer("conv1_1 + node_relu", "Channel major FP16 format where channel % 8 == 0"),
        layer("__myl_Fused", "Half", metadata="[ONNX Layer: conv1_2]"),
        layer("score_fr", "Float"),
        {"Name": "conv1_1 without details"},
    ]
    assert check_precision(layers, "fp16", ["conv1_1", "conv1_2"]) == 2


def test_shows_int8() -> None:
    layers = [layer("conv1_2", "Int8 NC/32HW32"), layer("score_fr", "Float")]
    assert check_precision(layers, "int8", ["conv1_2"]) == 1
    with pytest.raises(EngineBuildError, match="the engine does not run in int8 as planned: conv1_2"):
        check_precision([layer("conv1_2", "Half")], "int8", ["conv1_2"])


def test_refuses_a_silently_wider_engine() -> None:
    layers = [layer("conv1_1", "Half"), layer("conv1_2", "Row major linear FP32")]
    with pytest.raises(EngineBuildError, match=r"the engine does not run in fp16 as planned: conv1_2\. Nothing was"):
        check_precision(layers, "fp16", ["conv1_1", "conv1_2"])
