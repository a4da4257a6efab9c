from __future__ import annotations

import numpy as np
import pytest

from fcnrt.datasets.catalogue import CATALOGUE
from fcnrt.datasets.drawing.canvas import Canvas, Light, Pose
from fcnrt.datasets.drawing.sketch import Sketch
from fcnrt.fcn_models.voc import VOC_CLASSES, VOC_VOID
from fcnrt.runtime.spec import ImageSize

NO_LIGHT = Light(degrees=90, contrast=0.0, shadow=0.0)


def blank(size: ImageSize, light: Light = NO_LIGHT) -> Canvas:
    return Canvas(np.full((size.height, size.width, 3), 128, np.uint8), light)


def square() -> Sketch:
    sketch = Sketch(np.random.default_rng(0))
    sketch.box((0, 0), (2, 2), (255, 0, 0))
    return sketch


def test_a_pose_says_where_the_object_is() -> None:
    canvas = blank(ImageSize(100, 200))
    canvas.paint(square(), Pose(x=0.25, y=0.5, extent=0.4), 5)
    rows, columns = np.nonzero(canvas.label())
    # 30..69, one pixel of void around, and the outline itself, which OpenCV counts as inside.
    for found in (rows, columns):
        assert found.min() == pytest.approx(29, abs=1)
        assert found.max() == pytest.approx(70, abs=1)


@pytest.mark.parametrize(("side", "band"), [(64, 2), (256, 2), (512, 6), (1024, 10)])
def test_the_void_band_lies_on_the_outline_and_grows_with_the_frame(side: int, band: int) -> None:
    canvas = blank(ImageSize(side, side))
    canvas.paint(square(), Pose(x=0.5, y=0.5, extent=0.5), 5)
    row = canvas.label()[side // 2]
    edge = side // 4
    reach = band // 2
    assert (row[: edge - reach] == 0).all()
    assert (row[edge - reach : edge + reach] == VOC_VOID).all()
    assert (row[edge + reach : side // 2] == 5).all()


def test_objects_of_one_class_keep_an_outline_between_them() -> None:
    canvas = blank(ImageSize(128, 128))
    canvas.paint(square(), Pose(x=0.4, y=0.5, extent=0.5), 5)
    canvas.paint(square(), Pose(x=0.6, y=0.5, extent=0.5), 5)
    label = canvas.label()[64]
    inner = label[25:100]
    assert set(np.unique(inner)) == {5, VOC_VOID}


def test_later_objects_hide_earlier_ones() -> None:
    canvas = blank(ImageSize(128, 128))
    canvas.paint(square(), Pose(x=0.5, y=0.5, extent=0.5), 5)
    canvas.paint(square(), Pose(x=0.5, y=0.5, extent=0.6), 6)
    assert 5 not in canvas.label()


def test_marks_do_not_extend_the_silhouette() -> None:
    plain, marked = square(), square()
    marked.disc((0, 0), 1.5, (0, 255, 0), mark=True)
    canvases = [blank(ImageSize(64, 64)) for _ in range(2)]
    for canvas, sketch in zip(canvases, (plain, marked), strict=True):
        canvas.paint(sketch, Pose(x=0.5, y=0.5, extent=0.5), 5)
    np.testing.assert_array_equal(canvases[0].label(), canvases[1].label())
    changed = (canvases[0].image != canvases[1].image).any(axis=-1)
    assert changed.any()
    assert not changed[canvases[0].label() == 0].any()


def test_an_object_out_of_sight_changes_nothing() -> None:
    canvas = blank(ImageSize(64, 64))
    canvas.paint(square(), Pose(x=5.0, y=0.5, extent=0.5), 5)
    assert (canvas.image == 128).all()
    assert (canvas.label() == 0).all()


@pytest.mark.parametrize("kind", range(len(CATALOGUE)), ids=VOC_CLASSES[1:])
def test_the_label_covers_the_drawn_pixels_of_every_kind(kind: int) -> None:
    for variant in range(4):
        rng = np.random.default_rng([kind, variant])
        canvas = blank(ImageSize(128, 128))
        pose = Pose(x=0.5, y=0.5, extent=0.7, degrees=15, flip=bool(variant % 2), shear=0.1)
        canvas.paint(CATALOGUE[kind].draw(rng), pose, kind + 1)
        label = canvas.label()
        changed = (canvas.image != 128).any(axis=-1)
        # Nothing of the object outside its label and outline but the ends of thin points, and its label is painted.
        assert changed[label == 0].mean() < 0.001
        assert changed[label == kind + 1].mean() > 0.99
        assert (label == kind + 1).mean() > 0.04


def test_the_shadow_falls_along_the_light_and_is_not_labelled() -> None:
    canvas = blank(ImageSize(128, 128), Light(degrees=0, contrast=0.0, shadow=0.5))
    canvas.paint(square(), Pose(x=0.5, y=0.5, extent=0.5), 5)
    row, label = canvas.image[64, :, 0], canvas.label()[64]
    assert row[100] < 120
    assert label[100] == 0
    assert row[30] == 128


def test_the_same_sketch_keeps_its_appearance_under_another_pose() -> None:
    sketch = CATALOGUE[VOC_CLASSES.index("cow") - 1].draw(np.random.default_rng(3))
    pictures = []
    for x in (0.3, 0.7):
        canvas = blank(ImageSize(100, 200))
        canvas.paint(sketch, Pose(x=x, y=0.5, extent=0.8), 10)
        pictures.append(canvas.image)
    difference = np.abs(pictures[0][:, 5:115].astype(int) - pictures[1][:, 85:195].astype(int))
    assert difference.max() <= 2
