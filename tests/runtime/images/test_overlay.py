from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.errors import FrameError
from fcnrt.runtime.images.overlay import ClassPainter

PALETTE = ((9, 9, 9), (200, 0, 40), (0, 255, 0))


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def class_map() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 3, (20, 30), np.uint8)


def test_colorize_gives_each_class_its_colour(class_map: NDArray[np.uint8]) -> None:
    colors = ClassPainter(PALETTE).colorize(class_map)

    np.testing.assert_array_equal(colors, np.array(PALETTE, np.uint8)[class_map])


def test_classes_beyond_the_palette_are_black() -> None:
    assert not ClassPainter(PALETTE).colorize(np.full((2, 2), 255, np.uint8)).any()


@pytest.mark.parametrize("opacity", [0, 0.25, 0.6, 1])
def test_overlay_blends_every_class_but_the_background(
    frame: NDArray[np.uint8], class_map: NDArray[np.uint8], opacity: float
) -> None:
    before = frame.copy()

    result = ClassPainter(PALETTE).overlay(frame, class_map, opacity=opacity)

    blend = opacity * np.array(PALETTE)[class_map] + (1 - opacity) * frame
    expected = np.where(class_map[..., None] == 0, frame, blend)
    assert np.abs(result - expected).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(result[class_map == 0], frame[class_map == 0])
    np.testing.assert_array_equal(frame, before)


def test_bgr_frames_get_bgr_colours(frame: NDArray[np.uint8], class_map: NDArray[np.uint8]) -> None:
    rgb = ClassPainter(PALETTE).overlay(frame, class_map)
    bgr = ClassPainter(PALETTE, channel_order="bgr").overlay(frame[..., ::-1], class_map)

    np.testing.assert_array_equal(bgr[..., ::-1], rgb)


def test_arrays_that_do_not_fit_are_refused(frame: NDArray[np.uint8], class_map: NDArray[np.uint8]) -> None:
    painter = ClassPainter(PALETTE)
    with pytest.raises(FrameError, match=r"class map's size \(20, 29\), got uint8 \(20, 30, 3\)"):
        painter.overlay(frame, class_map[:, 1:])
    with pytest.raises(FrameError, match=r"a class map is a uint8 array \(H, W\), got int64 \(20, 30\)"):
        painter.colorize(class_map.astype(np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"opacity is 0 \(not visible\) to 1 \(covers the frame\), got 60"):
        painter.overlay(frame, class_map, opacity=60)


def test_a_single_pixel() -> None:
    frame = np.full((1, 1, 3), 100, np.uint8)
    painter = ClassPainter([(0, 0, 0), (200, 0, 0)])
    for index, expected in ((0, [100, 100, 100]), (1, [150, 50, 50])):
        assert painter.overlay(frame, np.full((1, 1), index, np.uint8), opacity=0.5)[0, 0].tolist() == expected
