"""Pictures of a training: its curves, and what the network makes of a few pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..benchmarks.plain_text import plain_text
from ..datasets.labeled_image import LabeledImage
from ..fcn_models.voc import VOC_VOID
from ..runtime.atomic import atomic_path
from ..runtime.images.overlay import ClassPainter
from .module import Round

_VOID_COLOR = (224, 224, 192)  # of PASCAL VOC's label images
_DPI = 100
_MOST_LEGEND_ROWS = 24


@plain_text()
def plot_history(history: Sequence[Round], path: Path) -> None:
    """Loss, pixel accuracy and mean IoU against the epochs, as a PNG.

    Raises:
        OutputError: If the file cannot be written.
    """
    epochs = [entry.epoch for entry in history]
    best = max(history, key=lambda entry: entry.mean_iou)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, accuracy, iou = figure.subplots(1, 3)
    loss.plot(epochs, [entry.train_loss for entry in history], label="training", marker=".")
    loss.plot(epochs, [entry.val_loss for entry in history], label="validation", marker=".")
    highest = max(max(entry.train_loss, entry.val_loss) for entry in history)
    loss.set(title="Loss (mean cross entropy per pixel)", ylim=(0, 1.1 * highest or None))
    loss.legend(loc="lower left")
    accuracy.plot(epochs, [100 * entry.pixel_accuracy for entry in history], color="C1", marker=".")
    accuracy.set(title="Pixel accuracy, validation (%)", ylim=(0, 100))
    iou.plot(epochs, [100 * entry.mean_iou for entry in history], color="C1", marker=".")
    iou.axvline(best.epoch, color="grey", linewidth=0.8, linestyle=":")
    iou.set(title=f"mIoU, validation (%), best {100 * best.mean_iou:.1f}", ylim=(0, 100))
    for axes in (loss, accuracy, iou):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    _write(figure, path)


@plain_text()
def plot_samples(
    samples: Sequence[LabeledImage],
    predictions: Sequence[NDArray[np.uint8]],
    path: Path,
    *,
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    title: str,
) -> None:
    """Input, truth and prediction of each sample side by side, with a legend of the classes, as a PNG.

    Args:
        samples: Pictures with their labels.
        predictions: Class maps, uint8 (H, W), one of each sample.
        path: File to write.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        title: Headline.

    Raises:
        OutputError: If the file cannot be written.
    """
    colors = [*palette, *[_VOID_COLOR] * (VOC_VOID + 1 - len(palette))]
    painter = ClassPainter(colors)
    figure = Figure(figsize=(9.6, 2.7 * len(samples) + 0.5), layout="constrained")
    grid = figure.subplots(len(samples), 3, squeeze=False)
    for row, sample, prediction in zip(grid, samples, predictions, strict=True):
        panels = (sample.image, painter.colorize(sample.label), painter.colorize(prediction))
        for axes, panel in zip(row, panels, strict=True):
            axes.imshow(panel, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(sample.name, fontsize=7)
    for axes, heading in zip(grid[0], ("input", "truth", "prediction"), strict=True):
        axes.set_title(heading, fontsize=10)
    shown = np.unique(np.concatenate([np.unique(a) for a in (*(s.label for s in samples), *predictions)]))
    handles = [
        Patch(
            facecolor=np.divide(colors[index], 255),
            edgecolor="grey",
            label="void" if index == VOC_VOID else class_names[index],
        )
        for index in shown[:_MOST_LEGEND_ROWS]
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)
    figure.suptitle(title, fontsize=10)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    # Without pyplot there is neither a window system to ask for nor a list of figures that grows.
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)
