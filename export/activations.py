"""How large the numbers inside a network get, and the scaling that keeps them within half precision."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..fcn_models.network import Network
from ..fcn_models.preprocessing import Preprocessing
from ..runtime.errors import ParityError
from .lowering import ChannelAffine, without_batch_norm
from .reference import normalize

# float16 ends at 65504. Frames in the field may drive activations higher than the samples did: a factor of 4 is kept.
_LARGEST_SAFE_ACTIVATION = 65504 / 4


@torch.no_grad()
def largest_activation(model: Network, preprocessing: Preprocessing, frames: Iterable[NDArray[np.uint8]]) -> float:
    """The largest absolute value that leaves any convolution or sum of the model on these frames.

    Args:
        model: The network, in eval mode, float32.
        preprocessing: Its pre-processing.
        frames: RGB frames, uint8 (H, W, 3).

    Raises:
        ParityError: If it is infinite.
    """
    largest = 0.0

    def watch(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, float(output.abs().max()))

    # As it will run: a batch normalisation brings back to size what the convolution before it makes large.
    model = without_batch_norm(model)
    watched = (nn.Conv2d, nn.ConvTranspose2d, nn.ReLU, ChannelAffine)  # ReLU follows where sums are made
    hooks = [
        layer.register_forward_hook(watch)
        for name, layer in model.named_modules()
        if isinstance(layer, watched) and name not in model.upsampling_layers
    ]
    try:
        for frame in frames:
            model(normalize(frame[None], preprocessing))
    finally:
        for hook in hooks:
            hook.remove()
    if math.isinf(largest):
        raise ParityError(
            "activations are infinite in PyTorch already, in float32: the weights are too large. Take another "
            "checkpoint, or train the network again."
        )
    return largest


def half_precision_scale(largest: float) -> int:
    """The power of two (0 or negative, as log2) that brings activations up to `largest` safely into float16."""
    if largest <= _LARGEST_SAFE_ACTIVATION:
        return 0
    return -math.ceil(math.log2(largest / _LARGEST_SAFE_ACTIVATION))
