"""Picture and label change together: the mistake that spoils half of a training is to mirror one of them only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fcnrt.datasets.labeled_image import LabeledImage
from fcnrt.runtime.spec import ImageSize
from fcnrt.training.augmentation import Augmentation

SEEDS = range(30)


@pytest.fixture
def picture() -> LabeledImage:
    """30x40: the red channel tells the class at every pixel; the classes are in quarters, and void is in the middle."""
    label = np.zeros((30, 40), np.uint8)
    label[:15, 20:], label[15:, :20], label[15:, 20:] = 1, 2, 3
    label[12:18, 16:24] = 255
    image = np.stack([np.where(label == 255, 200, 40 * label), np.full_like(label, 9), np.full_like(label, 7)], -1)
    image.setflags(write=False)  # as readers give them
    return LabeledImage(image, label, "quarters")


def test_without_changes_it_is_the_picture(picture: LabeledImage) -> None:
    image, label = Augmentation(crop=None)(picture, 0)
    np.testing.assert_array_equal(image.permute(1, 2, 0), picture.image)
    np.testing.assert_array_equal(label, picture.label)
    assert (image.dtype, label.dtype, type(image)) == (torch.uint8, torch.uint8, torch.Tensor)


def test_both_are_mirrored_or_neither(picture: LabeledImage) -> None:
    mirrored = 0
    for seed in SEEDS:
        image, label = Augmentation(crop=None, mirrored=True)(picture, seed)
        flipped = label.numpy()[0, 0] == 1
        expected = picture.label[:, ::-1] if flipped else picture.label
        np.testing.assert_array_equal(label, expected)
        np.testing.assert_array_equal(image[0], np.where(expected == 255, 200, 40 * expected))
        mirrored += int(flipped)
    assert 5 < mirrored < 25


def test_both_are_cut_out_at_the_same_place(picture: LabeledImage) -> None:
    places = set()
    for seed in SEEDS:
        image, label = Augmentation(crop=ImageSize(16, 12))(picture, seed)
        assert (tuple(image.shape), tuple(label.shape)) == ((3, 16, 12), (16, 12))
        np.testing.assert_array_equal(image[0], np.where(label == 255, 200, 40 * label))
        places.add(bytes(label.numpy()))
    assert len(places) > 20


def test_what_lies_outside_is_void(picture: LabeledImage) -> None:
    image, label = Augmentation(crop=ImageSize(64, 80))(picture, 3)
    inside = (image[1] == 9).numpy()  # nothing else has this green
    assert inside.sum() == 30 * 40
    assert (label.numpy()[~inside] == 255).all()
    assert (label.numpy()[inside] != 255).sum() == (picture.label != 255).sum()


def test_scaling_keeps_the_aspect_and_makes_no_new_labels(picture: LabeledImage) -> None:
    heights = []
    for seed in SEEDS:
        image, label = Augmentation(crop=None, scales=(0.5, 2.0))(picture, seed)
        height, width = label.shape
        assert image.shape[1:] == label.shape
        assert width == pytest.approx(40 / 30 * height, abs=1.2)
        assert set(np.unique(label)) <= {0, 1, 2, 3, 255}  # never 254, never 1.5
        heights.append(height)
        # Away from the borders of the classes the picture still tells the class.
        assert image[0, 2, -3] == 40
        assert label[2, -3] == 1
    assert 15 <= min(heights) < 20
    assert 50 < max(heights) <= 60


def test_scaling_interpolates_pictures_and_not_labels(picture: LabeledImage) -> None:
    in_between = 0
    for seed in SEEDS:
        image, label = Augmentation(crop=None, scales=(1.5, 2.0))(picture, seed)
        assert set(label.unique().tolist()) == {0, 1, 2, 3, 255}
        in_between += len(set(image[0].unique().tolist()) - {0, 40, 80, 120, 200})
    assert in_between > 10 * len(SEEDS)


def test_scaling_does_not_move_the_label_against_the_picture() -> None:
    """Half a pixel at every border is what taking the corner of each pixel, instead of its middle, comes to."""
    label = np.broadcast_to(np.arange(200, dtype=np.uint8), (40, 200))
    ramp = LabeledImage(np.repeat(label[..., None], 3, -1), label, "ramp")  # each pixel shows its own label
    for seed in SEEDS:
        image, found = Augmentation(crop=None, scales=(0.5, 2.0))(ramp, seed)
        assert abs(float((image[0].float() - found.float())[:, 10:-10].mean())) < 0.1


def test_the_seed_alone_decides(picture: LabeledImage) -> None:
    augmentation = Augmentation(crop=ImageSize(20, 20), scales=(0.5, 2.0), mirrored=True)
    before = torch.get_rng_state()
    first = augmentation(picture, 5)
    torch.rand(9)
    again, other = augmentation(picture, 5), augmentation(picture, 6)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    torch.set_rng_state(before)
    augmentation(picture, 5)
    assert torch.equal(torch.get_rng_state(), before)
