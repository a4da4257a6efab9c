"""`Hypothesis`: a mistake that somebody may have made, as what PyTorch would compute with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""RGB frame, uint8 (H, W, 3), to logits, float32 (classes, H, W); NaN where the mistake leaves nothing to compute."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A possible mistake.

    Attributes:
        text: What it is, to be read after ``looks like``: ``red and blue swapped``.
        predict: What PyTorch computes with this mistake made on purpose.
        tried: How the prediction was made, to be read after ``equal``: ``with the channels exchanged``.
    """

    text: str
    predict: Predict
    tried: str
