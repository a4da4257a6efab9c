"""Pictures of a frame on which a stage differs from PyTorch: frame, both class maps, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.images.overlay import ClassPainter
from .hop import BadFrame

FAULT_COLOUR = (226, 45, 45)
TIE_COLOUR = (240, 180, 40)

_LARGEST_SIDE = 480  # pixels; enough to see where, and the report stays small enough to mail
_DIMMED = 0.35


@dataclass(frozen=True)
class FramePictures:
    """Four pictures of one size, each a PNG file's bytes.

    Attributes:
        frame: The frame.
        expected: PyTorch's class map in the classes' colours.
        deployed: The stage's class map in the classes' colours.
        differences: The frame, dimmed, with faults and ties painted over it.
    """

    frame: bytes
    expected: bytes
    deployed: bytes
    differences: bytes


def draw(bad: BadFrame, palette: Sequence[tuple[int, int, int]]) -> FramePictures:
    """The pictures of a frame.

    Args:
        bad: The frame and what was found on it.
        palette: One RGB colour per class.
    """
    painter = ClassPainter(palette)
    frame = bad.evidence.frame
    height, width = bad.expected.shape
    shrink = min(1.0, _LARGEST_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    differences = (cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) * _DIMMED).astype(np.uint8)
    for where, colour in ((bad.ties, TIE_COLOUR), (bad.faults, FAULT_COLOUR)):
        # A single pixel must not disappear when the picture shrinks.
        share = cv2.resize(where.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        differences[share > 0] = colour
    return FramePictures(
        frame=_png(small),
        expected=_png(_shrunk(painter.colorize(bad.expected), size)),
        deployed=_png(_shrunk(painter.colorize(bad.evidence.class_map), size)),
        differences=_png(differences),
    )


def _shrunk(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _png(rgb: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return data.tobytes()
