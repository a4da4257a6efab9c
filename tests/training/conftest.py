from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fcnrt.datasets.labeled_image import LabeledImage
from fcnrt.fcn_models.fcn import Variant
from fcnrt.training.start import Start, from_scratch

MakeStart = Callable[..., Start]


@pytest.fixture(scope="session")
def squares() -> list[LabeledImage]:
    """Five pictures of different sizes, none a multiple of 32: a bright square with a void edge, on noise."""
    random = np.random.default_rng(0)
    pictures = []
    for index in range(5):
        height, width = 40 + 3 * index, 55 - 2 * index
        image = random.integers(0, 90, (height, width, 3), dtype=np.uint8)
        label = np.zeros((height, width), np.uint8)
        top, left = random.integers(2, 12, 2)
        label[top : top + 24, left : left + 24] = 255
        label[top + 1 : top + 23, left + 1 : left + 23] = 1
        image[label == 1] += 150
        pictures.append(LabeledImage(image, label, f"square{index}"))
    return pictures


@pytest.fixture(scope="session")
def make_start() -> MakeStart:
    """A function that makes a very slim network with random weights; two classes unless others are given."""

    def make(variant: Variant = "fcn8s", *, names: tuple[str, ...] = ("background", "square"), seed: int = 0) -> Start:
        palette = tuple((12 * index, 0, 0) for index in range(len(names)))
        return from_scratch(variant, names, palette, width=1 / 16, fc_channels=16, seed=seed)

    return make
