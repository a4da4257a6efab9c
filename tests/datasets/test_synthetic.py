from __future__ import annotations

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from fcnrt.datasets.catalogue import CATALOGUE
from fcnrt.datasets.synthetic import render_scene
from fcnrt.fcn_models.voc import VOC_CLASSES, VOC_VOID
from fcnrt.runtime.spec import ImageSize

SIZE = ImageSize(96, 96)


def fingerprint(seed: int, index: int) -> str:
    scene = render_scene(seed, index, SIZE)
    return hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest()


def test_another_process_draws_the_same_scene() -> None:
    code = (
        "import hashlib; from fcnrt.datasets.synthetic import render_scene; from fcnrt.runtime.spec import ImageSize;"
        "s = render_scene(7, 3, ImageSize(96, 96));"
        "print(hashlib.sha256(s.image.tobytes() + s.label.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == fingerprint(7, 3)


def test_a_scene_does_not_depend_on_those_drawn_before_it() -> None:
    alone = fingerprint(7, 3)
    fingerprint(7, 2)
    assert fingerprint(7, 3) == alone


def test_scenes_and_sets_differ() -> None:
    assert len({fingerprint(seed, index) for seed in range(3) for index in range(3)}) == 9


def test_names_are_unique() -> None:
    names = {render_scene(seed, index, ImageSize(8, 8)).name for seed in (0, 1, 10) for index in (0, 1, 10)}
    assert len(names) == 9


# Weights trained on the scenes depend on their content. Measured at 128x128, seed 1; OpenCV's drawing may shift edges
# by a pixel between versions, so the figures have a tolerance.
@pytest.mark.parametrize(
    ("index", "areas", "mean_colour"),
    [
        (0, {0: 12225, 2: 1537, 12: 1487, 255: 1135}, (78, 103, 84)),
        (1, {0: 10278, 8: 1382, 18: 3666, 255: 1058}, (167, 136, 128)),
        (5, {0: 13627, 13: 728, 15: 1145, 255: 884}, (55, 98, 59)),
        (9, {0: 10703, 8: 2716, 9: 1531, 255: 1434}, (117, 112, 80)),
    ],
)
def test_scenes_stay_what_the_demo_weights_were_trained_on(
    index: int, areas: dict[int, int], mean_colour: tuple[int, int, int]
) -> None:
    scene = render_scene(1, index, ImageSize(128, 128))
    labels, counts = np.unique(scene.label, return_counts=True)
    assert labels.tolist() == list(areas)
    np.testing.assert_allclose(counts, list(areas.values()), atol=60)
    np.testing.assert_allclose(scene.image.mean(axis=(0, 1)), mean_colour, atol=1.5)


@pytest.mark.parametrize("size", [ImageSize(1, 1), ImageSize(7, 3), ImageSize(64, 200), ImageSize(301, 160)], ids=str)
def test_any_size(size: ImageSize) -> None:
    scene = render_scene(0, 0, size)
    assert scene.image.shape == (size.height, size.width, 3)
    assert scene.label.shape == (size.height, size.width)
    assert scene.image.dtype == scene.label.dtype == np.uint8


@pytest.mark.parametrize("index", [12, 23, 28])
def test_a_pixel_above_the_horizon(index: int) -> None:
    assert render_scene(5, index, ImageSize(1, 1)).image.shape == (1, 1, 3)


def test_the_size_changes_the_resolution_and_not_the_scene() -> None:
    for index in range(5):
        small, large = (render_scene(2, index, ImageSize(side, side)) for side in (128, 256))
        shrunk = large.label[::2, ::2]
        scored = (small.label != VOC_VOID) & (shrunk != VOC_VOID)
        assert (small.label == shrunk)[scored].mean() > 0.99
        reduced = cv2.resize(large.image, (128, 128), interpolation=cv2.INTER_AREA)
        blurred = (cv2.blur(picture, (9, 9)).astype(int) for picture in (small.image, reduced))
        assert np.abs(np.subtract(*blurred)).mean() < 3


def test_all_classes_appear_about_equally_often() -> None:
    scenes = 300
    seen = np.zeros(256, int)
    for index in range(scenes):
        seen[np.unique(render_scene(11, index, ImageSize(48, 48)).label)] += 1
    assert len(CATALOGUE) == len(VOC_CLASSES) - 1
    assert seen[21:VOC_VOID].sum() == 0
    assert seen[0] == scenes
    objects = seen[1:21]
    assert objects.min() > 0.5 * objects.mean()
    assert objects.max() < 1.6 * objects.mean()


def test_objects_are_large_enough_for_a_network_that_sees_every_8th_pixel() -> None:
    shares = [
        (scene.label == label).mean()
        for scene in (render_scene(12, index, SIZE) for index in range(60))
        for label in np.unique(scene.label)
        if label not in (0, VOC_VOID)
    ]
    assert np.median(shares) > 0.06
    assert np.quantile(shares, 0.02) > 0.008


def test_most_of_a_scene_is_background_or_object_and_little_is_void() -> None:
    labels = np.stack([render_scene(13, index, ImageSize(256, 256)).label for index in range(10)])
    assert 0.5 < (labels == 0).mean() < 0.85
    assert 0.01 < (labels == VOC_VOID).mean() < 0.08
