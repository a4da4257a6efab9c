"""Bilinear upsampling by transposed convolution: its weights, and how to recognise them."""

from __future__ import annotations

import torch
from torch import nn


def bilinear_kernel(kernel_size: int) -> torch.Tensor:
    """The separable triangle filter of the FCN paper, float32 (kernel_size, kernel_size).

    For an even kernel of size 2s, a transposed convolution with stride s and this filter interpolates linearly.
    """
    factor = (kernel_size + 1) // 2
    center = factor - 1 if kernel_size % 2 == 1 else factor - 0.5
    ramp = 1 - (torch.arange(kernel_size, dtype=torch.float64) - center).abs() / factor
    return torch.outer(ramp, ramp).float()


def bilinear_conv_transpose(channels: int, *, stride: int, padding: int) -> nn.ConvTranspose2d:
    """A transposed convolution that upsamples each of `channels` maps by `stride`, initialised bilinearly.

    The weights are dense, (channels, channels, 2 * stride, 2 * stride), as in the published checkpoints: a trained
    network may mix classes while upsampling.
    """
    layer = nn.ConvTranspose2d(channels, channels, 2 * stride, stride, padding, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = bilinear_kernel(2 * stride)
    return layer


def is_bilinear(layer: nn.ConvTranspose2d) -> bool:
    """Whether the layer upsamples every channel by itself with exactly the bilinear filter; it may have a bias."""
    channels, mixed, height, width = layer.weight.shape
    if layer.groups != 1 or channels != mixed or height != width:
        return False
    if layer.stride != (height // 2, height // 2) or height % 2 != 0:
        return False
    expected = torch.zeros_like(layer.weight)
    expected[range(channels), range(channels)] = bilinear_kernel(height).to(expected)
    return torch.equal(layer.weight.detach(), expected)
