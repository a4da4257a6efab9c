"""The PyTorch side of every comparison: what a network computes for a frame before anything was exported."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..fcn_models.network import Network
from ..fcn_models.preprocessing import Preprocessing


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


@torch.no_grad()
def reference_logits(model: Network, preprocessing: Preprocessing, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of RGB frames, float32 (N, classes, H, W), computed by the module itself."""
    return model(normalize(frames, preprocessing)).numpy()  # type: ignore[no-any-return]
