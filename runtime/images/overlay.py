"""Class maps in colour: alone, or laid over the frame they were made from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError
from ..opacity import DEFAULT_OPACITY, check_opacity
from ..spec import ChannelOrder


class ClassPainter:
    """Paints class maps in the colours of their classes.

    Example:
        >>> painter = ClassPainter([(0, 0, 0), (128, 0, 0)])
        >>> painter.colorize(np.array([[0, 1]], np.uint8)).tolist()
        [[[0, 0, 0], [128, 0, 0]]]

    Args:
        palette: One RGB colour (0..255) per class, 1 to 256 of them; classes beyond it are black.
        channel_order: Order of the channels of every frame that goes in or comes out.
    """

    def __init__(self, palette: Sequence[tuple[int, int, int]], *, channel_order: ChannelOrder = "rgb") -> None:
        colors = np.asarray(palette, np.uint8)  # (classes, 3)
        self._lookup = np.zeros((256, 1, 3), np.uint8)
        self._lookup[: len(colors), 0] = colors if channel_order == "rgb" else colors[:, ::-1]

    def colorize(self, class_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class map in colour, uint8 (H, W, 3).

        Args:
            class_map: Class of each pixel, uint8 (H, W).

        Raises:
            FrameError: If the array is not a class map.
        """
        if class_map.dtype != np.uint8 or class_map.ndim != 2 or class_map.size == 0:
            raise FrameError(f"a class map is a uint8 array (H, W), got {class_map.dtype} {class_map.shape}")
        return np.asarray(cv2.applyColorMap(class_map, self._lookup), np.uint8)

    def overlay(
        self, frame: NDArray[np.uint8], class_map: NDArray[np.uint8], *, opacity: float = DEFAULT_OPACITY
    ) -> NDArray[np.uint8]:
        """A new frame with the class colours laid over it; the background (class 0) shows the frame as it is.

        Args:
            frame: The picture, uint8 (H, W, 3); not changed.
            class_map: Class of each of its pixels, uint8 (H, W).
            opacity: Weight of the class colour, 0 (not visible) to 1 (covers the frame).

        Raises:
            FrameError: If one of the arrays is malformed, or their sizes differ.
            ValueError: If the opacity is not 0..1.
        """
        check_opacity(opacity)
        if frame.dtype != np.uint8 or frame.shape != (*class_map.shape, 3):
            raise FrameError(
                f"the frame must be uint8 and of the class map's size {class_map.shape}, "
                f"got {frame.dtype} {frame.shape}"
            )
        painted = self.colorize(class_map)
        # Three passes over the frame in OpenCV, the last two in place: a millisecond for 1280x720, where indexing
        # the palette with the class map in numpy takes nine.
        cv2.addWeighted(painted, opacity, frame, 1 - opacity, 0, dst=painted)
        background = np.equal(class_map, 0).view(np.uint8)  # cv2.compare does not take a single pixel
        cv2.copyTo(frame, background, painted)
        return painted
