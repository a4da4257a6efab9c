"""Frames in the order of channels that a network takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .spec import ChannelOrder


def in_channel_order(rgb: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.uint8]:
    """RGB frames, uint8 (..., H, W, 3), in another order of channels; contiguous, and itself where nothing changes."""
    return np.ascontiguousarray(rgb if channel_order == "rgb" else rgb[..., ::-1])
