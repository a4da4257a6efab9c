"""How much of what was seen belongs to each class."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


class ClassShares:
    """Counts the pixels of each class over any number of class maps.

    Args:
        class_names: One name per class; index = value in the class maps.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = tuple(class_names)
        self._pixels = np.zeros(256, np.float64)
        self.frame_count = 0

    def add(self, class_map: NDArray[np.uint8]) -> None:
        """Count a class map, uint8 (H, W)."""
        # A fifth of the time of np.bincount, which first makes every pixel eight bytes long.
        self._pixels += cv2.calcHist([class_map], [0], None, [256], [0, 256]).ravel()
        self.frame_count += 1

    def largest(self) -> list[tuple[str, float]]:
        """Name and share (0..1) of every class that was seen, largest first."""
        total = self._pixels.sum()
        return [
            (self._class_names[index], float(self._pixels[index] / total))
            for index in np.argsort(-self._pixels, kind="stable")[: len(self._class_names)]
            if self._pixels[index] > 0
        ]
