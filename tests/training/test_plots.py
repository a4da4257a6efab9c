from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fcnrt.datasets.labeled_image import LabeledImage
from fcnrt.training.module import Round
from fcnrt.training.plots import plot_history, plot_samples


def pixels(path: Path, color: tuple[int, int, int]) -> int:
    with Image.open(path) as picture:
        return int((np.asarray(picture.convert("RGB")) == color).all(-1).sum())


def test_void_is_not_drawn_as_background(tmp_path: Path) -> None:
    """In its own colour, beside the first class, which is black."""
    label = np.full((60, 80), 255, np.uint8)
    label[:, :40] = 0
    sample = LabeledImage(np.full((60, 80, 3), 77, np.uint8), label, "half")
    names, palette = ("background", "disc"), ((0, 0, 0), (255, 136, 0))
    prediction = np.ones((60, 80), np.uint8)
    plot_samples([sample], [prediction], tmp_path / "a.png", class_names=names, palette=palette, title="a")
    found = {name: pixels(tmp_path / "a.png", color) for name, color in zip(names, palette, strict=True)}
    void = pixels(tmp_path / "a.png", (224, 224, 192))
    assert void > 5000
    assert abs(found["background"] - void) < 0.25 * void
    assert found["disc"] > 1.5 * void  # the whole panel, and the legend's


def test_a_loss_that_hardly_falls_is_seen(tmp_path: Path) -> None:
    """Both curves, and below the upper edge, where the frame would hide them."""
    history = [
        Round(
            step=step,
            epoch=float(step),
            lr=0.1,
            train_loss=3.04 - 0.001 * step,
            val_loss=2.5,
            pixel_accuracy=0.9,
            mean_accuracy=0.5,
            mean_iou=0.4,
            seconds=1.0,
        )
        for step in (1, 2, 3)
    ]
    plot_history(history, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        drawn = np.asarray(picture.convert("RGB"))[:, : picture.width // 3]
    blue = np.argwhere((np.abs(drawn.astype(int) - (31, 119, 180)) < 20).all(-1))
    frame = np.argwhere((drawn < 60).all(-1).mean(1) > 0.5)[:, 0]  # the rows of the frame's upper and lower edge
    curve = blue[blue[:, 1] < 0.6 * drawn.shape[1]]  # the legend's sample of the line lies to the right
    assert len(curve) > 100
    assert curve[:, 0].min() > frame.min() + 5


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    """Dollar signs are no mathematics, which these would be none of, and signs without glyph are no warning."""
    label = np.zeros((20, 30), np.uint8)
    label[5:] = 1
    sample = LabeledImage(np.zeros((20, 30, 3), np.uint8), label, "cost $5^$ a")
    names, palette = ("$red_$", "汽车"), ((0, 0, 0), (255, 136, 0))
    plot_samples([sample], [label], tmp_path / "a.png", class_names=names, palette=palette, title="$6_$")
    assert pixels(tmp_path / "a.png", palette[1]) > 1000
