"""Segmentation accuracy from one confusion matrix over a whole data set."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

AbsentClasses = Literal["present", "ground_truth", "all"]


class ConfusionMatrix:
    """Counts of pixels by true class (row) and predicted class (column), int64.

    Accumulate every image of a data set in one matrix and read the metrics once at the end: an average of per-image or
    per-batch scores is a different, smaller-or-larger number that depends on the batch size.
    Metrics are those of the FCN paper (section 5); all are in 0..1.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def add(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count the pixels of one image or batch.

        Args:
            truth: True classes, integers of any shape; values that are no class (void, 255) are not counted.
            prediction: Predicted classes, same shape.

        Raises:
            ValueError: If the shapes differ, or a prediction is no class.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape} and prediction {prediction.shape}; they must have the same shape")
        if prediction.size and int(prediction.max()) >= self.num_classes:
            raise ValueError(f"prediction holds class {int(prediction.max())}; there are {self.num_classes} classes")
        valid = truth < self.num_classes
        pairs = truth[valid].astype(np.int64) * self.num_classes + prediction[valid]
        self.counts += np.bincount(pairs, minlength=self.num_classes**2).reshape(self.counts.shape)

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, (num_classes,); NaN where a class is neither true nor predicted."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return _ratio(hits, union)

    def mean_iou(self, absent: AbsentClasses = "present") -> float:
        """Mean intersection over union.

        Args:
            absent: Which classes are averaged: ``present``: those that are true or predicted somewhere (the paper's
                score.py); ``ground_truth``: those that are true somewhere; ``all``: every class, an absent one
                counting 0.
        """
        iou = self.iou()
        if absent == "all":
            iou = np.nan_to_num(iou, nan=0.0)
        elif absent == "ground_truth":
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
