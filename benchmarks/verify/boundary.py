"""The band along the borders between classes, where most differences of a sound deployment lie."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BAND_PIXELS = 3
"""Half the width of the band: how far from a border a pixel may be."""


def boundary_band(class_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a pixel of another class is within `BAND_PIXELS` rows and columns, bool (H, W)."""
    window = np.ones((2 * BAND_PIXELS + 1, 2 * BAND_PIXELS + 1), np.uint8)
    highest, lowest = cv2.dilate(class_map, window), cv2.erode(class_map, window)
    band: NDArray[np.bool_] = highest != lowest
    return band
