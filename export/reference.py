"""The PyTorch side of every comparison: what a network computes for a frame before anything was exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import conv2d

from ..fcn_models.network import Network
from ..fcn_models.preprocessing import Preprocessing
from ..runtime.errors import ParityError
from .decision import per_class
from .heap import return_free_memory

# Bytes of weights that a convolution works with at a time. Above 32 MiB glibc gets a block from the system and returns
# it; smaller ones it cuts out of one heap, where the result of each slice would lie in the way of the next one's.
_SLICE = 40 << 20


def normalize(frames: NDArray[np.uint8], preprocessing: Preprocessing) -> torch.Tensor:
    """RGB frames, uint8 (N, H, W, 3), as the network's input, float32 (N, 3, H, W)."""
    return normalize_images(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2), preprocessing)


def normalize_images(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """RGB images, uint8 (N, 3, H, W), as the network's input, float32 (N, 3, H, W), on the same device."""
    x = images.float()
    if preprocessing.channel_order == "bgr":
        x = x.flip(1)
    mean, scale = (x.new_tensor(value).view(1, 3, 1, 1) for value in (preprocessing.mean, preprocessing.scale))
    return (x - mean) * scale


def reference_logits(model: Network, preprocessing: Preprocessing, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of every class, float32 (N, classes, H, W), of RGB frames, computed by the module itself."""
    return per_class(network_logits(model, preprocessing, frames))


@torch.no_grad()
def network_logits(model: Network, preprocessing: Preprocessing, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the module returns for RGB frames, float32 (N, score_channels, H, W)."""
    with _large_layers_in_slices(model):
        return model(normalize(frames, preprocessing)).numpy()  # type: ignore[no-any-return]


def require_finite(logits: NDArray[np.float32], where: str) -> None:
    """Refuse a network that is broken before it is exported: nothing is far from an infinite logit, or equal to NaN.

    Args:
        logits: PyTorch's, float32.
        where: What they were computed for, for the message.

    Raises:
        ParityError: If one of them is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise ParityError(
            f"PyTorch's own logits are NaN or infinite on {where}, so there is nothing to compare with: weights are "
            "too large for float32, or a batch normalisation has a negative variance. Take another checkpoint, or "
            "train it again."
        )


@contextmanager
def _large_layers_in_slices(model: Network) -> Iterator[None]:
    """Let convolutions with large weights compute some of their output channels at a time.

    In every call oneDNN rearranges the weights of a convolution, twice; fc6 of a VGG16 has 411 MB.
    """
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.weight.nbytes > 2 * _SLICE
    ]
    for layer in layers:
        layer.forward = partial(_in_slices, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
        if layers:
            return_free_memory()


def _in_slices(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    weight, bias = layer.weight, layer.bias
    step = max(1, round(_SLICE / weight[0].nbytes))
    slices = []
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        part_bias = None if bias is None else bias[part]
        slices.append(conv2d(x, weight[part], part_bias, layer.stride, layer.padding, layer.dilation))
    return torch.cat(slices, 1)
