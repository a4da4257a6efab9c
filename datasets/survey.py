"""Reading every picture of a data set once, before the long work begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..fcn_models.voc import VOC_VOID
from ..runtime.errors import DatasetError
from .labeled_image import LabeledImage

_READERS = 4  # decoders let go of Python's lock


def count_labels(
    pictures: Sequence[LabeledImage],
    num_classes: int,
    *,
    purpose: str = "",
    on_picture: Callable[[], None] = lambda: None,
) -> NDArray[np.int64]:
    """Pixels of each class, int64 (num_classes,); every picture is decoded and checked on the way.

    Args:
        pictures: The data set.
        num_classes: Number of classes.
        purpose: What the pictures are for, for messages: `` to learn from``.
        on_picture: Called after each picture, to show progress.

    Raises:
        DatasetError: Naming the file, if one cannot be read or does not fit; or if nothing is labelled but void.
    """

    def count(index: int) -> NDArray[np.int64]:
        return np.bincount(pictures[index].label.ravel(), minlength=256)

    total = np.zeros(256, np.int64)
    with ThreadPoolExecutor(_READERS) as pool:
        for counts in pool.map(count, range(len(pictures))):
            total += counts
            on_picture()
    foreign = np.flatnonzero(total[num_classes:VOC_VOID])
    if len(foreign):
        raise DatasetError(
            f"label {num_classes + int(foreign[0])} is there; the {num_classes} classes are 0 to {num_classes - 1}"
        )
    if not total[:num_classes].any():
        raise nothing_labelled(len(pictures), purpose)
    return total[:num_classes]


def nothing_labelled(pictures: int, purpose: str = "") -> DatasetError:
    """The error to raise if all pixels of so many pictures are void."""
    plural = "" if pictures == 1 else "s"
    return DatasetError(
        f"no pixel of {pictures:,} picture{plural}{purpose} is labelled: all of them are void ({VOC_VOID})"
    )
