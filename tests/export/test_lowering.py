from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fcnrt.export.lowering import (
    BilinearUpsampling,
    emulate_half,
    fold_input_scale,
    lower_to_half,
    lower_upsampling,
    reverse_input_channels,
    scale_activations,
)
from fcnrt.fcn_models.fcn import FCN, FCNConfig, Variant
from fcnrt.fcn_models.network import NetworkConfig
from fcnrt.fcn_models.registry import build
from fcnrt.fcn_models.upsampling import bilinear_conv_transpose, is_bilinear


def slim(variant: Variant = "fcn8s", **values: object) -> FCN:
    torch.manual_seed(1)
    return FCN(FCNConfig(variant=variant, num_classes=5, width=1 / 16, fc_channels=16, **values)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (5, 4)])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("stride", [2, 8, 16, 32])
@torch.no_grad()
def test_interpolation_equals_the_transposed_convolution(stride: int, padded: bool, size: tuple[int, int]) -> None:
    padding = stride // 2 if padded else 0
    layer = bilinear_conv_transpose(3, stride=stride, padding=padding).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(BilinearUpsampling(stride, padding)(x), layer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("align", ["same", "caffe"])
@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
@torch.no_grad()
def test_lowered_network_computes_the_same(variant: Variant, align: str) -> None:
    model = slim(variant, align=align)
    lowered = copy.deepcopy(model)
    lower_upsampling(lowered)
    assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in lowered.children())
    for height, width in ((1, 1), (33, 70), (97, 64)):
        x = torch.randn(1, 3, height, width)
        torch.testing.assert_close(lowered(x), model(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_bilinear_upsampling_with_a_bias_is_lowered() -> None:
    torch.manual_seed(2)
    model = build(NetworkConfig(variant="fcn32s_resnet18", num_classes=5, width=1 / 16)).eval()
    assert is_bilinear(model.transpose_conv)  # as the book initialises it
    nn.init.normal_(model.transpose_conv.bias)
    lowered = copy.deepcopy(model)
    lower_upsampling(lowered)
    assert isinstance(lowered.transpose_conv, BilinearUpsampling)
    for height, width in ((1, 1), (33, 70), (97, 64)):
        x = torch.randn(1, 3, height, width)
        torch.testing.assert_close(lowered(x), model(x), rtol=1e-5, atol=1e-5)


def test_learned_upsampling_is_kept() -> None:
    model = slim()
    with torch.no_grad():
        model.upscore2.weight[0, 1, 0, 0] = 0.1
    lower_upsampling(model)
    assert isinstance(model.upscore2, nn.ConvTranspose2d)
    assert isinstance(model.upscore8, BilinearUpsampling)


@torch.no_grad()
def test_reversed_channels() -> None:
    model = slim()
    x = torch.randn(1, 3, 40, 40)
    expected = model(x)
    reverse_input_channels(model)
    torch.testing.assert_close(model(x.flip(1)), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_input_scale_moves_into_the_first_layer() -> None:
    model = slim()
    x = torch.randn(1, 3, 40, 40)
    scale = (0.5, 2.0, 3.0)
    expected = model(x * torch.tensor(scale).view(1, 3, 1, 1))
    fold_input_scale(model, scale)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_emulated_half_precision_is_half_precision(make_checkpoint) -> None:
    model = make_checkpoint(width=1 / 8, fc_channels=64).model
    exact, half, emulated = copy.deepcopy(model), copy.deepcopy(model), copy.deepcopy(model)
    lower_to_half(half)
    emulate_half(emulated)
    x = torch.randn(1, 3, 65, 40)
    error = (half(x.half()) - exact(x)).abs().mean()
    assert error > 0
    # The same roundings; only the order of sums differs, which now and then tips one of them.
    assert (emulated(x) - half(x.half())).abs().mean() < 0.3 * error
    overflowing = copy.deepcopy(model)
    overflowing.conv2_1.weight.mul_(1e6)
    emulate_half(overflowing)
    assert not overflowing(x).isfinite().all()


@pytest.mark.parametrize("log2", [-3, -8])
@torch.no_grad()
def test_scaling_activations_is_exact(log2: int) -> None:
    model = slim()
    x = torch.randn(1, 3, 65, 40) * 100
    expected = model(x)
    scale_activations(model, log2)
    assert torch.equal(model(x), expected * 2.0**log2)


def test_half_precision_keeps_the_score_layers_in_float() -> None:
    model = slim()
    lower_to_half(model)
    types = {name.removesuffix(".weight"): tensor.dtype for name, tensor in model.state_dict().items()}
    assert types["conv1_1"] == types["fc7"] == torch.float16
    assert types["score_fr.in_float"] == types["score_pool3.in_float"] == types["upscore8"] == torch.float32
    assert model(torch.zeros(1, 3, 40, 40).half()).dtype == torch.float32
