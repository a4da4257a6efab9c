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
    fill_bilinear(layer.weight)
    return layer


@torch.no_grad()
def fill_bilinear(weight: torch.Tensor) -> None:
    """Make the weights of a transposed convolution, (C, C, k, k), upsample each channel by itself, bilinearly."""
    if weight.is_meta:  # has no values; and arithmetic there makes PyTorch import its compiler, 150 MB
        return
    channels = range(weight.shape[0])
    weight.zero_()
    weight[channels, channels] = bilinear_kernel(weight.shape[2]).to(weight)


def is_bilinear(layer: nn.ConvTranspose2d) -> bool:
    """Whether the layer upsamples every channel by itself with exactly the bilinear filter; it may have a bias."""
    channels, mixed, height, width = layer.weight.shape
    if layer.groups != 1 or channels != mixed or height != width:
        return False
    if layer.stride != (height // 2, height // 2) or height % 2 != 0:
        return False
    expected = torch.empty_like(layer.weight)
    fill_bilinear(expected)
    return torch.equal(layer.weight.detach(), expected)
