from __future__ import annotations

import pytest
import torch
from torch import nn

from fcnrt.fcn_models.upsampling import bilinear_conv_transpose, bilinear_kernel, is_bilinear


def test_kernel_of_size_4() -> None:
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.equal(bilinear_kernel(4), torch.outer(ramp, ramp))


@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_interpolates_linearly(stride: int) -> None:
    layer = bilinear_conv_transpose(2, stride=stride, padding=stride // 2)
    x = torch.arange(6.0).expand(1, 2, 5, 6)
    expected = (torch.arange(6 * stride) + 0.5) / stride - 0.5
    inside = slice(stride, 5 * stride)
    torch.testing.assert_close(layer(x)[0, 0, 2 * stride, inside], expected[inside], rtol=0, atol=1e-5)


def test_recognises_bilinear_weights() -> None:
    layer = bilinear_conv_transpose(3, stride=8, padding=4)
    assert is_bilinear(layer)
    with torch.no_grad():
        layer.weight[0, 1, 3, 3] = 1e-6  # mixes classes a little: learned
    assert not is_bilinear(layer)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(3, 3, 4, 2, 1),  # random weights
        nn.ConvTranspose2d(3, 3, 4, 4, bias=False),
        nn.ConvTranspose2d(3, 3, 3, 2, bias=False),
        nn.ConvTranspose2d(3, 2, 4, 2, bias=False),
        nn.ConvTranspose2d(3, 3, 4, 2, groups=3, bias=False),
    ],
)
def test_other_transposed_convolutions_are_not_bilinear(layer: nn.ConvTranspose2d) -> None:
    assert not is_bilinear(layer)
