"""Synthetic scenes: drawn objects of the 20 PASCAL VOC classes on varied backdrops, labelled pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from ..runtime.spec import ImageSize
from .catalogue import CATALOGUE
from .drawing.backdrops import BACKDROPS
from .drawing.canvas import Canvas, Light, Pose
from .drawing.photo import Exposure
from .labeled_image import LabeledImage

_OBJECT_COUNTS = (1, 2, 3, 4)
_OBJECT_COUNT_SHARES = (0.3, 0.4, 0.2, 0.1)
_LARGEST_EXTENT = (0.8, 0.62, 0.54, 0.48)  # by number of objects, as a share of the shorter side
_SMALLEST_EXTENT = (0.48, 0.42, 0.38, 0.36)  # smaller ones are lost to a network that sees every 8th pixel
_LENGTH_FOR_ELONGATION = 0.35
_LONGEST = 0.95
_PLAUSIBLE_BACKDROP = 0.7
_PLACEMENT_TRIES = 5


class SyntheticScenes(Sequence[LabeledImage]):
    """The first scenes of a set, each drawn when it is asked for.

    Args:
        seed: Number of the set, at least 0.
        count: How many scenes.
        size: Size of each.
    """

    def __init__(self, seed: int, count: int, size: ImageSize) -> None:
        self._seed, self._indices, self._size = seed, range(count), size

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> LabeledImage: ...

    @overload
    def __getitem__(self, index: slice) -> list[LabeledImage]: ...

    def __getitem__(self, index: int | slice) -> LabeledImage | list[LabeledImage]:
        if isinstance(index, slice):
            return [self[number] for number in self._indices[index]]
        return render_scene(self._seed, self._indices[index], self._size)


def render_scene(seed: int, index: int, size: ImageSize) -> LabeledImage:
    """One synthetic scene with its labels.

    The scene depends on `seed` and `index` alone and is the same in every process; `size` changes its resolution, and
    the room around the objects where the aspect ratio differs. Sets made with different seeds share no scene: train
    with one seed and evaluate with another.

    Args:
        seed: Number of the set, at least 0.
        index: Number of the scene in the set, at least 0.
        size: Size of the picture; 256x256 is typical.

    Returns:
        The picture, and labels 0..20 in the order of `VOC_CLASSES` with a void band (255) along visible outlines.
    """
    rng = np.random.default_rng([seed, index])
    count = int(rng.choice(_OBJECT_COUNTS, p=_OBJECT_COUNT_SHARES))
    classes = rng.permutation(len(CATALOGUE))[:count]
    light = Light(degrees=rng.uniform(40, 140), contrast=rng.uniform(0.02, 0.2), shadow=rng.uniform(0.15, 0.5))
    exposure = Exposure.random(rng)
    sketches = [CATALOGUE[i].draw(rng) for i in classes]
    poses: list[Pose] = []
    for i, sketch in zip(classes, sketches, strict=True):
        extent = rng.uniform(_SMALLEST_EXTENT[count - 1], _LARGEST_EXTENT[count - 1])
        # A bus is longer than a cat at the same area.
        extent = min(extent * sketch.elongation**_LENGTH_FOR_ELONGATION, _LONGEST)
        x, y = _free_spot(rng, [(pose.x, pose.y) for pose in poses], extent)
        tilt = CATALOGUE[i].tilt
        poses.append(
            Pose(
                x=x,
                y=y,
                extent=extent,
                degrees=rng.uniform(-tilt, tilt),
                flip=bool(rng.random() < 0.5),
                shear=rng.uniform(-0.12, 0.12),
            )
        )

    places = CATALOGUE[classes[0]].places if rng.random() < _PLAUSIBLE_BACKDROP else BACKDROPS
    backdrop = places[rng.integers(len(places))](rng, size)
    canvas = Canvas(backdrop, light)
    for class_index, sketch, pose in zip(classes + 1, sketches, poses, strict=True):
        canvas.paint(sketch, pose, int(class_index))
    return LabeledImage(exposure.develop(canvas.image, rng), canvas.label(), scene_name(seed, index))


def scene_name(seed: int, index: int) -> str:
    """Name of a scene, unique for its seed and index."""
    return f"synthetic_{seed}_{index:06d}"


def _free_spot(rng: np.random.Generator, taken: Sequence[tuple[float, float]], extent: float) -> tuple[float, float]:
    """The centre farthest from those taken, among a few random ones that keep the object mostly in the frame."""
    margin = extent * 0.42
    candidates = margin + rng.random((_PLACEMENT_TRIES, 2)) * (1 - 2 * margin)
    best = 0
    if taken:
        best = int(np.linalg.norm(candidates[:, None] - np.asarray(taken), axis=2).min(axis=1).argmax())
    x, y = candidates[best]
    return float(x), float(y)
