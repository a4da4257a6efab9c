from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.images.overlay import ClassPainter
from fcnrt.runtime.images.report import draw_report

PALETTE = [(10, 20, 30), (200, 30, 40), (20, 190, 60), (50, 70, 210)]
NAMES = ("background", "a class of a very long name, longer than others", "Straße", "unseen")
WHITE = (255, 255, 255)


def _picture() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A frame of 100x400, three quarters background, the others 20 and 5 percent."""
    frame = np.full((100, 400, 3), (120, 130, 140), np.uint8)
    class_map = np.zeros((100, 400), np.uint8)
    class_map[:, 300:380] = 1
    class_map[:, 380:] = 2
    return frame, class_map


def _runs(row: NDArray[np.uint8], color: tuple[int, ...]) -> list[int]:
    """Lengths of the stretches of this colour."""
    same = np.concatenate([[0], (row == color).all(-1).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(same) == 1), np.flatnonzero(np.diff(same) == -1)
    return (ends - starts).tolist()


def test_bars_are_as_long_as_the_shares() -> None:
    frame, class_map = _picture()
    report = draw_report(frame, class_map, ClassPainter(PALETTE), NAMES, opacity=0.6)
    chart = report[-3 * 22 - 16 :]
    grey = (225, 225, 225)
    for number, share in enumerate((0.75, 0.2, 0.05)):
        row = chart[number * 22 + 11]
        bar, rest = _runs(row, PALETTE[number])[-1], max(_runs(row, grey))
        assert bar / (bar + rest) == pytest.approx(share, abs=0.003)
    assert not (report == PALETTE[3]).all(-1).any()  # what was not seen has no row


def test_the_panels_are_input_overlay_and_classes() -> None:
    frame, class_map = _picture()
    painter = ClassPainter(PALETTE)
    report = draw_report(frame, class_map, painter, NAMES, opacity=0.6)
    panels = [report[16 + 22 : 16 + 22 + 100, left : left + 400] for left in (16, 432, 848)]
    np.testing.assert_array_equal(panels[0], frame)
    np.testing.assert_array_equal(panels[1], painter.overlay(frame, class_map, opacity=0.6))
    np.testing.assert_array_equal(panels[2], painter.colorize(class_map))


@pytest.mark.parametrize("size", [(1, 1), (2000, 7), (7, 3000), (30_000, 1)])
def test_any_size_has_a_report(size: tuple[int, int]) -> None:
    frame, class_map = np.full((*size, 3), 90, np.uint8), np.ones(size, np.uint8)
    report = draw_report(frame, class_map, ClassPainter(PALETTE), NAMES, opacity=0.5)
    assert report.shape[0] < 3000 and report.shape[2] == 3
    assert (report == PALETTE[1]).all(-1).any()


def test_many_classes_are_summed_up() -> None:
    names = tuple(f"class {number}" for number in range(60))
    palette = [(number, 200, 100) for number in range(60)]
    class_map = np.repeat(np.arange(60, dtype=np.uint8), 100).reshape(60, 100)
    report = draw_report(np.zeros((60, 100, 3), np.uint8), class_map, ClassPainter(palette), names, opacity=0.5)
    assert report.shape[0] == 2 * 16 + 22 + round(60 * 240 / 100) + 25 * 22 + 16
