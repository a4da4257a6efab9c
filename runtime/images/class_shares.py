"""How much of what was seen belongs to each class."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InferenceError


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
        """Count a class map, uint8 (H, W).

        Raises:
            InferenceError: If it holds a class that the network does not have.
        """
        # A fifth of the time of np.bincount, which first makes every pixel eight bytes long.
        pixels = cv2.calcHist([class_map], [0], None, [256], [0, 256]).ravel()
        classes = len(self._class_names)
        if pixels[classes:].any():
            raise InferenceError(
                f"the model returned class {pixels.nonzero()[0][-1]}, and names the {classes} classes 0 to "
                f"{classes - 1}: its file was damaged or changed; export it again"
            )
        self._pixels += pixels
        self.frame_count += 1

    def largest(self) -> list[tuple[str, float]]:
        """Name and share (0..1) of every class that was seen, largest first."""
        total = self._pixels.sum()
        return [
            (self._class_names[index], float(self._pixels[index] / total))
            for index in np.argsort(-self._pixels, kind="stable")[: len(self._class_names)]
            if self._pixels[index] > 0
        ]
