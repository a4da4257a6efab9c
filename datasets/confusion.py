"""Segmentation accuracy from one confusion matrix over a whole data set."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

AbsentClasses = Literal["present", "gt_present", "all"]


class ConfusionMatrix:
    """Counts of pixels by true class (row) and predicted class (column), int64.

    Accumulate every image of a data set in one matrix and read the metrics once at the end: an average of per-image or
    per-batch scores is a different, smaller-or-larger number that depends on the batch size.
    Metrics are those of the FCN paper (section 5); all are in 0..1.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        """An empty matrix.

        Args:
            num_classes: Number of classes; labels are 0 to num_classes - 1.
            ignore_index: Label of pixels that belong to no class (void) and are not counted.
        """
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def update(self, target: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]]) -> None:
        """Count the pixels of one image or batch.

        Args:
            target: True classes, integers of any shape.
            prediction: Predicted classes, integers of the same shape.

        Raises:
            ValueError: If the shapes differ, an array holds no integers, or a pixel that counts has a target or a
                prediction that is no class.
        """
        for name, array in (("target", target), ("prediction", prediction)):
            if not np.issubdtype(array.dtype, np.integer):
                raise ValueError(f"{name} is {array.dtype}; classes are integers")
        if target.shape != prediction.shape:
            raise ValueError(
                f"target is {target.shape} and prediction {prediction.shape}; they must have the same shape"
            )
        valid = target != self.ignore_index
        true, predicted = target[valid].astype(np.int64), prediction[valid].astype(np.int64)
        for name, labels in (("target", true), ("prediction", predicted)):
            if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
                strange = labels[(labels < 0) | (labels >= self.num_classes)][0]
                raise ValueError(
                    f"{name} holds label {strange}; the {self.num_classes} classes are 0 to {self.num_classes - 1}"
                )
        pairs = true * self.num_classes + predicted
        self.counts += np.bincount(pairs, minlength=self.num_classes**2).reshape(self.counts.shape)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """The counts of both, for parts of a data set that were counted apart."""
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise ValueError(
                f"cannot add a matrix of {other.num_classes} classes ignoring {other.ignore_index} to one of "
                f"{self.num_classes} ignoring {self.ignore_index}"
            )
        total = ConfusionMatrix(self.num_classes, self.ignore_index)
        total.counts = self.counts + other.counts
        return total

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, (num_classes,); NaN where a class is neither true nor predicted."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return _ratio(hits, union)

    def mean_iou(self, absent: AbsentClasses = "present") -> float:
        """Mean intersection over union.

        Args:
            absent: Which classes are averaged: ``present``: those that are true or predicted somewhere (the paper's
                score.py); ``gt_present``: those that are true somewhere; ``all``: every class, an absent one
                counting 0.

        Raises:
            ValueError: If `absent` is none of these.
        """
        if absent not in get_args(AbsentClasses):
            raise ValueError(f"absent must be {', '.join(get_args(AbsentClasses))}, got {absent!r}")
        iou = self.iou()
        if absent == "all":
            iou = np.nan_to_num(iou, nan=0.0)
        elif absent == "gt_present":
            iou = iou[self.counts.sum(1) > 0]
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    def pixel_accuracy(self) -> float:
        """Share of pixels whose class is right."""
        return float(_ratio(np.diag(self.counts).sum(), self.counts.sum()))

    def mean_accuracy(self) -> float:
        """Mean over the true classes of the share of their pixels that is right."""
        accuracy = _ratio(np.diag(self.counts), self.counts.sum(1))
        return float(np.nanmean(accuracy)) if np.isfinite(accuracy).any() else float("nan")

    def frequency_weighted_iou(self) -> float:
        """Intersection over union of the true classes, weighted by how many pixels each has."""
        frequency = self.counts.sum(1)
        present = frequency > 0
        return float(_ratio((frequency[present] * self.iou()[present]).sum(), frequency.sum()))


def _ratio(part: NDArray[np.generic] | np.generic, whole: NDArray[np.generic] | np.generic) -> NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratio
