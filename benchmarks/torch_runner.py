"""The reference: a network in PyTorch, eager, as it is before anything is exported."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..export.reference import normalize
from ..fcn_models.fcn import FCN
from ..fcn_models.preprocessing import Preprocessing


class TorchRunner:
    """A `Route` through the module itself, on the CPU with PyTorch's default threads.

    Args:
        model: The network; put into eval mode.
        preprocessing: What it was trained with.
    """

    def __init__(self, model: FCN, preprocessing: Preprocessing) -> None:
        self._model = model.eval()
        self._preprocessing = preprocessing

    @torch.inference_mode()
    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class map, uint8 (H, W), of an RGB frame, uint8 (H, W, 3)."""
        logits = self._model(normalize(frame[np.newaxis], self._preprocessing))  # (1, classes, H, W)
        return logits[0].argmax(0).to(torch.uint8).numpy()  # type: ignore[no-any-return]
