"""Ties: pixels whose best classes are so close that rounding decides between them; everything else is a fault."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.spec import Precision

LOGIT_RTOL: dict[Precision, float] = {
    # Relative to the largest logit of the frame.
    # float32: sums of up to 25,088 products in another order; the largest seen is 3e-6.
    "fp32": 5e-5,
    # float16: 11 bits (5e-4) per rounding, through 15 layers whose errors average out; the largest seen is 2e-3, and
    # 3e-3 where the sums are float16 as well.
    "fp16": 1e-2,
    # int8: 7 bits per activation, through 14 layers; the largest seen is 2.6e-2, on the demo networks. Exports in INT8
    # are judged by mIoU; this only tells ties from firm differences.
    "int8": 5e-2,
}
"""How far a logit may be off, by what the network is computed in."""


def tie_gap(logits: NDArray[np.floating[Any]], precision: Precision) -> float:
    """The largest difference of two logits that rounding can turn around.

    Args:
        logits: PyTorch's, of a frame or a batch.
        precision: What the network is computed in.
    """
    # Two logits may move towards each other, each by what the precision explains.
    return 2 * LOGIT_RTOL[precision] * float(np.abs(logits).max())


def flip_margins(logits: NDArray[np.float32], class_map: NDArray[np.uint8]) -> NDArray[np.float32]:
    """By how much each pixel's chosen class is below the best one; 0 where they are the same.

    Args:
        logits: PyTorch's, float32 (..., classes, H, W).
        class_map: The chosen classes, uint8 (..., H, W).
    """
    index = class_map[..., np.newaxis, :, :].astype(np.int64)
    chosen = np.take_along_axis(logits, index, axis=-3)[..., 0, :, :]
    margins: NDArray[np.float32] = logits.max(-3) - chosen
    return margins
