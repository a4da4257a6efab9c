"""Class colours laid over the decoded planes of a video frame, without going through RGB and back."""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from ..opacity import check_opacity
from .color import VideoColor

_FORMAT = "yuv420p"


def has_planes_to_paint(frame: av.VideoFrame, color: VideoColor) -> bool:
    """Whether `PlanePainter` can work on this frame: 4:2:0 in 8 bits, limited range, even size, the video's colours."""
    return (
        frame.format.name == _FORMAT
        and frame.width % 2 == frame.height % 2 == 0
        and frame.color_range != ColorRange.JPEG
        and color.is_of(frame)
    )


class PlanePainter:
    """`ClassPainter.overlay` on frames as they come from the decoder and go into the encoder.

    Blending is linear and so is the step from RGB to luma and chroma, so that the colours are the same; half the bytes
    are touched, two conversions are saved, and the background keeps its bytes. Each chroma sample takes the class of
    the upper left of its four pixels.

    Args:
        palette: One RGB colour (0..255) per class; classes beyond it are black.
        color: Colour space of the frames.
        opacity: Weight of the class colour, 0 (not visible) to 1 (covers the frame).

    Raises:
        ValueError: If the opacity is not 0..1.
    """

    def __init__(self, palette: Sequence[tuple[int, int, int]], color: VideoColor, *, opacity: float) -> None:
        check_opacity(opacity)
        colors = np.zeros((256, 3))
        colors[: len(palette)] = palette
        self._lookups = color.from_rgb(colors).T.copy()  # (3, 256)
        self._opacity = opacity

    def overlay(self, frame: av.VideoFrame, class_map: NDArray[np.uint8]) -> av.VideoFrame:
        """A new frame with the class colours laid over it; the background (class 0) shows the frame as it is.

        Args:
            frame: One that `has_planes_to_paint`; not changed, since the decoder may still need it.
            class_map: Class of each of its pixels, uint8 (H, W).
        """
        painted = av.VideoFrame(frame.width, frame.height, _FORMAT)
        quarter = class_map[::2, ::2].copy()
        self._paint(_plane(frame, 0), class_map, self._lookups[0], _plane(painted, 0))
        for index in (1, 2):
            self._paint(_plane(frame, index), quarter, self._lookups[index], _plane(painted, index))
        return painted

    def _paint(
        self,
        plane: NDArray[np.uint8],
        classes: NDArray[np.uint8],
        lookup: NDArray[np.uint8],
        painted: NDArray[np.uint8],
    ) -> None:
        cv2.LUT(classes, lookup, dst=painted)
        cv2.addWeighted(painted, self._opacity, plane, 1 - self._opacity, 0, dst=painted)
        background = np.equal(classes, 0).view(np.uint8)  # cv2.compare does not take a single pixel
        cv2.copyTo(plane, background, painted)


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    plane = frame.planes[index]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
    return np.asarray(rows[:, : plane.width], np.uint8)
