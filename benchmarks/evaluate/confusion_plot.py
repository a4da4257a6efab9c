"""A confusion matrix as a picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...datasets.confusion import ConfusionMatrix
from ...runtime.atomic import atomic_path
from ...runtime.errors import MissingDependencyError
from ..plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

_DPI = 120
_MOST_WRITTEN = 30  # classes; numbers would not be readable in more


def require_matplotlib() -> None:
    """Make sure that there will be a plot, before the long work that it shows.

    Raises:
        MissingDependencyError: If Matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependencyError("a plot needs Matplotlib, which is not installed. Run: pip install matplotlib")


def plot_confusion(confusion: ConfusionMatrix, class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Where the pixels of each class went, in percent of the class, as a PNG; only classes that occur.

    Args:
        confusion: The counts.
        class_names: One name per class.
        path: The file.
        title: What was measured.

    Raises:
        MissingDependencyError: If Matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with plain_text():
        figure = _figure(confusion, class_names, title)
        with atomic_path(path) as temporary:
            FigureCanvasAgg(figure).print_figure(temporary, dpi=_DPI, format="png")


def _figure(confusion: ConfusionMatrix, class_names: Sequence[str], title: str) -> Figure:
    from matplotlib.figure import Figure

    counts = confusion.counts
    occurring = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(occurring, occurring)]
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(100.0 * counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    names = [class_names[index] for index in occurring.tolist()]

    side = 2.5 + 0.36 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    # Errors are small shares that a linear scale would show as white.
    image = axes.imshow(np.sqrt(shares / 100), cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    if len(names) <= _MOST_WRITTEN:
        for row, column in np.argwhere(shares >= 0.5):
            share = shares[row, column]
            color = "white" if share > 35 else "black"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=color)
    bar = figure.colorbar(image, ax=axes, ticks=np.sqrt([0, 0.01, 0.1, 0.25, 0.5, 1]), shrink=0.7)
    bar.ax.set_yticklabels(["0", "1", "10", "25", "50", "100"])
    bar.set_label("% of the true class's pixels")
    return figure
