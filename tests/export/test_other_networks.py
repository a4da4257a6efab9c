"""Every network of the registry besides the paper's three, slim, through the whole export."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from fcnrt.export.engine.build import EngineOptions, build_engine
from fcnrt.export.lowering import without_batch_norm
from fcnrt.export.to_onnx import ExportResult, export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.network import Network, NetworkConfig
from fcnrt.fcn_models.registry import NETWORKS, build
from fcnrt.fcn_models.upsampling import bilinear_kernel
from fcnrt.fcn_models.voc import voc_palette
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import Precision

# Width and the operators its graph may have besides those that all have.
SLIM = {
    "fcn32s_resnet18": 1 / 16,
    "fcn8s_concat": 1 / 32,
    "fcn8s_vgg16_bnhead": 1 / 16,
    "fcn_resnet50": 1 / 16,
    "fcn_resnet101": 1 / 16,
    "linknet": 1 / 8,
    "unet": 1 / 16,
}
_COMMON = {"ArgMax", "Cast", "Concat", "Conv", "MaxPool", "Relu", "Shape", "Sub", "Transpose"}
_CROP = {"Add", "Div", "Reshape", "Slice", "Squeeze"}  # arithmetic with sizes besides the slice itself
_OPERATORS = {
    "fcn32s_resnet18": {"ConvTranspose"} | _CROP,
    "fcn8s_concat": {"ConvTranspose", "Mul"} | _CROP,
    "fcn8s_vgg16_bnhead": {"ConvTranspose"} | _CROP,
    "fcn_resnet50": {"Add", "Gather", "Resize"},
    "fcn_resnet101": {"Add", "Gather", "Resize"},
    "linknet": {"ConvTranspose"} | _CROP,
    "unet": {"ConvTranspose"} | _CROP,
}


def slim(variant: str, **values: object) -> Network:
    """A slim network with random weights of which each matters; activations keep their size."""
    torch.manual_seed(0)
    if variant == "fcn8s_vgg16_bnhead":
        values = {"fc_channels": 24} | values
    model = build(NETWORKS[variant].config(variant=variant, num_classes=5, width=SLIM[variant], **values))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=layer.stride[0] / layer.kernel_size[0] / layer.in_channels**0.5)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.2)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, 0.3, 1.0)
        if getattr(layer, "bias", None) is not None:
            nn.init.normal_(layer.bias, std=0.2)  # type: ignore[arg-type]
    return model.eval()


def checkpoint_of(model: Network) -> Checkpoint:
    return Checkpoint(
        model=model,
        preprocessing="imagenet_rgb",
        class_names=tuple(f"class {i}" for i in range(5)),
        palette=voc_palette()[:5],
        layout="made for a test",
        source="random weights",
        sha256="ab" * 32,
    )


def test_every_network_is_tried() -> None:
    assert set(NETWORKS) == {"fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"} | set(SLIM)


@pytest.mark.parametrize("variant", sorted(SLIM))
@torch.no_grad()
def test_output_has_the_inputs_size(variant: str) -> None:
    model = slim(variant)
    for height, width in ((1, 1), (2, 35), (17, 16), (64, 33), (70, 129)):
        assert model(torch.zeros(2, 3, height, width)).shape == (2, 5, height, width)


@pytest.mark.parametrize("variant", sorted(SLIM))
@torch.no_grad()
def test_batch_normalisation_folds_away(variant: str) -> None:
    model = slim(variant)
    folded = without_batch_norm(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert without_batch_norm(folded) is folded
    x = torch.randn(1, 3, 70, 45)
    expected = model(x)
    torch.testing.assert_close(folded(x), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


Export = Callable[[str, Precision], tuple[Network, ExportResult]]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A function that returns a slim network and its export; do not modify either.

    In half precision with activations that must be scaled, and with all outputs.
    """

    @cache
    def make(variant: str, precision: Precision) -> tuple[Network, ExportResult]:
        model, path = slim(variant), tmp_path_factory.mktemp(variant) / "net.onnx"
        if precision == "fp32":
            return model, export_onnx(checkpoint_of(model), path, channel_order="bgr")
        with torch.no_grad():
            model.first_layer.weight.mul_(3000)
        outputs = ("class_map", "confidence", "logits")
        return model, export_onnx(checkpoint_of(model), path, precision=precision, outputs=outputs)

    return make


@pytest.mark.parametrize("variant", sorted(SLIM))
def test_exports_in_half_precision_even_where_activations_must_be_scaled(variant: str, export: Export) -> None:
    model, result = export(variant, "fp16")
    assert result.spec.activation_scale_log2 < 0
    assert (result.spec.variant, result.spec.align) == (variant, "native")
    graph = onnx.load(result.path).graph
    types = {tensor.name.rpartition(".")[0]: tensor.data_type for tensor in graph.initializer if "." in tensor.name}
    for name in (*model.score_layers, *model.upsampling_layers):
        assert types.pop(name, TensorProto.FLOAT) == TensorProto.FLOAT
    assert set(types.values()) == {TensorProto.FLOAT16}


@pytest.mark.parametrize("variant", sorted(SLIM))
def test_exports_in_single_precision_with_plain_operators(variant: str, export: Export) -> None:
    model, result = export(variant, "fp32")
    graph = onnx.load(result.path).graph
    assert {node.op_type for node in graph.node} <= _COMMON | _OPERATORS[variant]
    names = {name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}
    assert names == {node.name for node in graph.node if node.op_type == "Conv"}
    # The graph is traced at 2x97x131; none of these numbers may be baked in as a shape.
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    integers = {int(value) for array in constants if array.dtype == np.int64 for value in array.ravel()}
    assert not integers & {97, 131, 49, 66, 33, 25, 17, 13}
    with Segmenter.open(result.path, device="cpu") as segment:
        assert segment(np.zeros((13, 7, 3), np.uint8)).shape == (13, 7)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("variant", sorted(SLIM))
def test_tensorrt_builds_an_engine(
    variant: str, precision: Precision, export: Export, tensorrt_rtx: Any, tmp_path: Path
) -> None:
    model, exported = export(variant, precision)
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    profiles = tuple(map(OptimizationProfile.parse, ("32x32,64x64,128x128", "64x64,256x256,512x640")))
    result = build_engine(
        exported.path, tmp_path / "net.engine", EngineOptions(profiles=profiles), machine=(library, None)
    )
    assert result.manifest.profiles == profiles
    layers = {name for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))}
    single = layers & {*model.score_layers, *model.upsampling_layers} if precision == "fp16" else layers
    expected = {"fp32": len(single), "fp16": len(layers - single)}
    assert result.manifest.convolutions == {kind: count for kind, count in expected.items() if count}


def test_a_fresh_upsampling_with_a_bias_is_interpolation_also_in_half_precision(tmp_path: Path) -> None:
    model = slim("fcn32s_resnet18")
    with torch.no_grad():
        model.first_layer.weight.mul_(3000)
        channels = range(5)
        model.transpose_conv.weight.zero_()
        model.transpose_conv.weight[channels, channels] = bilinear_kernel(64)
    result = export_onnx(checkpoint_of(model), tmp_path / "net.onnx", precision="fp16")
    assert result.spec.activation_scale_log2 < 0  # which the bias must follow
    operators = {node.op_type for node in onnx.load(result.path).graph.node}
    assert "Resize" in operators
    assert "ConvTranspose" not in operators


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"width 0\.001 would leave a layer without channels"):
        NetworkConfig(variant="fcn_resnet50", width=0.001)
    with pytest.raises(ValueError, match="num_classes must be 2 to 256"):
        NetworkConfig(variant="fcn_resnet50", num_classes=1)
