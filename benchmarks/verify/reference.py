"""`Reference`: the PyTorch module that a deployed model is held against."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ...export.lowering import half_precision_model
from ...export.reference import reference_logits
from ...fcn_models.checkpoint import Checkpoint
from ...fcn_models.preprocessing import PREPROCESSING, Preprocessing


class Reference:
    """A checkpoint's network in PyTorch, and the same with half precision emulated.

    Attributes:
        checkpoint: The network and what is known about it.
        preprocessing: What it was trained with.
        activation_scale_log2: The scaling that the deployed half-precision graph states.
    """

    def __init__(self, checkpoint: Checkpoint, *, half: bool = False, activation_scale_log2: int = 0) -> None:
        """Wrap a checkpoint.

        Args:
            checkpoint: The network.
            half: Whether to emulate half precision as well; without it `half_logits` returns None.
            activation_scale_log2: `ModelSpec.activation_scale_log2` of the deployed model.
        """
        self.checkpoint = checkpoint
        self.preprocessing: Preprocessing = PREPROCESSING[checkpoint.preprocessing]
        self.activation_scale_log2 = activation_scale_log2
        self._half_model = None
        if half:
            self._half_model = half_precision_model(
                checkpoint.model, self.preprocessing, activation_scale_log2=activation_scale_log2
            )
        # The last frame's logits are kept: several readers ask for them one after the other.
        self._last: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None
        self._last_half: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None

    def logits(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of an RGB frame, float32 (classes, H, W)."""
        if self._last is None or self._last[0] is not frame:
            self._last = (frame, reference_logits(self.checkpoint.model, self.preprocessing, frame[None])[0])
        return self._last[1]

    def half_logits(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The same in emulated half precision, with infinities and NaN where it overflows; None without emulation."""
        if self._half_model is None:
            return None
        if self._last_half is None or self._last_half[0] is not frame:
            unscaled = dataclasses.replace(self.preprocessing, scale=(1.0, 1.0, 1.0))
            logits = reference_logits(self._half_model, unscaled, frame[None])[0]
            self._last_half = (frame, logits * np.float32(2.0**-self.activation_scale_log2))
        return self._last_half[1]
