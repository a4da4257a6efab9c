"""A picture that explains a result: the input, the overlay, the classes, and how much of the picture each class has."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .class_shares import ClassShares
from .overlay import ClassPainter

_PANEL_WIDTHS = (240, 480)
_MOST_PANEL_HEIGHT = 2000  # a strip of a few columns would become as many times taller as it is widened
_MARGIN = 16
_ROW = 22
_SHARE_WIDTH = 70
_MOST_ROWS = 24
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_WHITE, _GREY, _BLACK = 255, 225, 0


def draw_report(
    frame: NDArray[np.uint8],
    class_map: NDArray[np.uint8],
    painter: ClassPainter,
    class_names: Sequence[str],
    *,
    opacity: float,
) -> NDArray[np.uint8]:
    """Three pictures side by side, and below them the classes as a bar chart that is the legend too, largest first.

    Args:
        frame: The input, uint8 (H, W, 3).
        class_map: Class of each of its pixels, uint8 (H, W).
        painter: Paints in the frame's channel order.
        class_names: One name per class.
        opacity: Weight of the class colours in the overlay, 0 to 1.

    Returns:
        A picture in the frame's channel order, uint8 (any, any, 3).
    """
    height, width = class_map.shape
    panel_width = int(np.clip(width, *_PANEL_WIDTHS))
    scale = min(panel_width / width, _MOST_PANEL_HEIGHT / height)
    panel_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shares = ClassShares(class_names)
    shares.add(class_map)
    rows = shares.largest()
    hidden = rows[_MOST_ROWS:]
    rows = rows[:_MOST_ROWS]

    top = 2 * _MARGIN + panel_size[1] + _ROW
    lines = len(rows) + bool(hidden)
    canvas = np.full((top + lines * _ROW + _MARGIN, 3 * panel_width + 4 * _MARGIN, 3), _WHITE, np.uint8)
    panels = {
        "input": frame,
        "overlay": painter.overlay(frame, class_map, opacity=opacity),
        "classes": painter.colorize(class_map),
    }
    for number, (caption, picture) in enumerate(panels.items()):
        left = _MARGIN + number * (panel_width + _MARGIN)
        # Classes have no values in between; photographs have.
        method = cv2.INTER_NEAREST if caption == "classes" or scale > 1 else cv2.INTER_AREA
        panel = cv2.resize(picture, panel_size, interpolation=method)
        _write(canvas, caption, left, _MARGIN)
        canvas[_MARGIN + _ROW : _MARGIN + _ROW + panel_size[1], left : left + panel_size[0]] = panel

    name_width = max(cv2.getTextSize(name, _FONT, _FONT_SCALE, 1)[0][0] for name, _ in rows)
    bars_left = min(2 * _MARGIN + _ROW + name_width, canvas.shape[1] // 2)
    bars_width = canvas.shape[1] - bars_left - _SHARE_WIDTH - _MARGIN
    for number, (name, share) in enumerate(rows):
        y = top + number * _ROW
        color = painter.colorize(np.full((1, 1), class_names.index(name), np.uint8))[0, 0]
        _write(canvas, name, _MARGIN + _ROW, y)
        canvas[y + 3 : y + _ROW - 3, _MARGIN : _MARGIN + _ROW - 6] = color
        canvas[y + 3 : y + _ROW - 3, bars_left : bars_left + bars_width] = _GREY
        canvas[y + 3 : y + _ROW - 3, bars_left : bars_left + max(1, round(share * bars_width))] = color
        _write(canvas, f"{100 * share:.1f} %", bars_left + bars_width + 8, y)
    if hidden:
        rest = sum(share for _, share in hidden)
        _write(canvas, f"and {len(hidden)} more classes: {100 * rest:.1f} %", _MARGIN + _ROW, top + len(rows) * _ROW)
    return canvas


def _write(canvas: NDArray[np.uint8], text: str, left: int, top: int) -> None:
    cv2.putText(canvas, text, (left, top + _ROW - 7), _FONT, _FONT_SCALE, (_BLACK,) * 3, 1, cv2.LINE_AA)
