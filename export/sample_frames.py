"""Frames that stand for what a network will see, where the user brings none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..datasets.synthetic import render_scene
from ..runtime.spec import ImageSize

_SEED = 20  # fixed: an export is compared on the same frames every time

_SMALLEST_SCENE = 64  # below that nothing can be drawn; a smaller frame is a corner of a scene


def sample_frame(size: ImageSize, index: int) -> NDArray[np.uint8]:
    """A deterministic frame, uint8 (H, W, 3).

    Even indices are drawn scenes with smooth areas, as photographs have; odd ones are noise over the full range, which
    drives a network to larger activations and exposes errors at every pixel.
    """
    if index % 2 == 0:
        drawn = ImageSize(max(size.height, _SMALLEST_SCENE), max(size.width, _SMALLEST_SCENE))
        return np.ascontiguousarray(render_scene(_SEED, index, drawn).image[: size.height, : size.width])
    return np.random.default_rng([_SEED, index]).integers(0, 256, (size.height, size.width, 3), np.uint8)


def calibration_frames() -> list[NDArray[np.uint8]]:
    """Frames to measure activations on: scenes, noise, and the extremes black and white."""
    size = ImageSize(256, 256)
    extremes = [np.full((size.height, size.width, 3), value, np.uint8) for value in (0, 255)]
    return [sample_frame(size, index) for index in range(6)] + extremes
