"""Turning video frames upright: cameras store them as the sensor lies, with a matrix that says how to show them."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """Steps that turn a stored frame upright, in this order; angles other than right ones are left alone.

    Attributes:
        transpose: Exchange rows and columns.
        flip_vertical: Turn the rows upside down.
        flip_horizontal: Mirror left and right.
    """

    transpose: bool = False
    flip_vertical: bool = False
    flip_horizontal: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """What the frame's display matrix asks for."""
        try:
            side_data = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:
            # PyAV lists none if it does not know the kind of one of them, like EXIF in the frames of Motion JPEG. Then
            # it still tells the angle, counterclockwise, but not whether the frame is mirrored.
            angle = frame.rotation
            return cls(
                transpose=abs(angle) == 90,
                flip_vertical=angle in (90, 180, -180),
                flip_horizontal=angle in (-90, 180, -180),
            )
        if side_data is None:
            return cls()
        # Nine 32-bit integers; a stored pixel (x, y) is shown at (a*x + c*y, b*x + d*y).
        a, b, _, c, d, *_ = np.frombuffer(side_data, np.int32).tolist()  # type: ignore[call-overload]
        if a == d == 0:
            return cls(transpose=True, flip_vertical=b < 0, flip_horizontal=c < 0)
        return cls(flip_vertical=d < 0 and b == c == 0, flip_horizontal=a < 0 and b == c == 0)

    def apply(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame, uint8 (H, W, 3), turned upright; the same array if there is nothing to do."""
        if self.transpose:
            frame = np.asarray(cv2.transpose(frame), np.uint8)
        if self.flip_vertical and self.flip_horizontal:
            return np.asarray(cv2.flip(frame, -1), np.uint8)
        if self.flip_vertical:
            return np.asarray(cv2.flip(frame, 0), np.uint8)
        if self.flip_horizontal:
            return np.asarray(cv2.flip(frame, 1), np.uint8)
        return frame
