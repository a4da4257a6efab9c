"""Accuracy of several networks on the same pictures: against ground truth, and against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...datasets.confusion import ConfusionMatrix
from ...datasets.labeled_image import LabeledImage
from ...export.ties import flip_margins, tie_gap
from .report import Accuracy
from .subject import Subject


def measure_accuracy(
    subjects: Mapping[str, Subject],
    compared_with: Mapping[str, str | None],
    pictures: Iterable[LabeledImage],
    *,
    labelled: bool,
    on_picture: Callable[[], None] = lambda: None,
) -> list[Accuracy]:
    """Run every network on every picture.

    Each network has one confusion matrix over all pictures, so that the score is that of the whole set.

    Args:
        subjects: The networks by name.
        compared_with: For each name that of the network whose class maps it is compared with, or None.
        pictures: The pictures.
        labelled: Whether their labels are classes of these networks.
        on_picture: Called after each picture.

    Raises:
        DatasetError: If a picture cannot be read.
        InferenceError: If a network fails.
    """
    tallies = {
        name: _Tally(subject, None if (other := compared_with[name]) is None else subjects[other], labelled)
        for name, subject in subjects.items()
    }
    for picture in pictures:
        frames = np.array(picture.image[np.newaxis])  # a copy: PyTorch minds pictures that cannot be written
        class_maps = {name: subject.segmenter(subject.frames(frames)) for name, subject in subjects.items()}
        for name, tally in tallies.items():
            other = compared_with[name]
            tally.add(frames, picture.label, class_maps[name], None if other is None else class_maps[other])
        on_picture()
    return [tally.result(name) for name, tally in tallies.items()]


class _Tally:
    """Counts of one network."""

    def __init__(self, subject: Subject, other: Subject | None, labelled: bool) -> None:
        spec = subject.segmenter.spec
        self._confusion = ConfusionMatrix(spec.num_classes) if labelled else None
        self._logits = None if other is None else other.logits
        self._precision = spec.precision
        self._pixels = self._differing = self._faults = 0

    def add(
        self,
        frames: NDArray[np.uint8],
        label: NDArray[np.uint8],
        class_map: NDArray[np.uint8],
        expected: NDArray[np.uint8] | None,
    ) -> None:
        """Count one picture: frames (1, H, W, 3), label (H, W), class maps (1, H, W)."""
        if self._confusion is not None:
            self._confusion.update(label, class_map[0])
        if expected is None:
            return
        differing = class_map != expected
        count = int(np.count_nonzero(differing))
        self._pixels += class_map.size
        self._differing += count
        if count and self._logits is not None:  # computed again, but only where there is something to explain
            logits = self._logits(frames)  # (1, classes, H, W)
            tie = tie_gap(logits, self._precision)
            self._faults += int(np.count_nonzero(flip_margins(logits, class_map) > tie))

    def result(self, member: str) -> Accuracy:
        """What was counted."""
        counts = None
        if self._confusion is not None and self._confusion.counts.any():  # not if all was void
            counts = tuple(tuple(map(int, row)) for row in self._confusion.counts)
        return Accuracy(
            member=member,
            counts=counts,
            pixels=self._pixels,
            differing=self._differing,
            faults=None if self._logits is None else self._faults,
        )
