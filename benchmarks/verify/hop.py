"""`Hop`: how far one stage of a deployment is from PyTorch, and what is to be objected to it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...datasets.confusion import ConfusionMatrix
from ...export.ties import flip_margins
from ...runtime.pixel_agreement import PixelAgreement, percent
from ...runtime.spec import ImageSize, OutputName, Precision
from ..tolerance import TOLERANCES
from .boundary import boundary_band
from .flip_margins import BIN_EDGES, count_margins, tie_limit

_SMALLEST_CLASS = 200  # pixels; of fewer no share can be told
_WORST_FRAMES = 4
_KEPT_EVIDENCE = 24


@dataclass(frozen=True, eq=False)
class Evidence:
    """A frame and what a stage made of it.

    Attributes:
        name: Name of the frame.
        frame: uint8 (H, W, 3), RGB.
        class_map: What the stage returned, uint8 (H, W) unless something is very wrong.
    """

    name: str
    frame: NDArray[np.uint8]
    class_map: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class BadFrame:
    """A frame on which a stage differs from PyTorch.

    Attributes:
        evidence: The frame and the stage's class map.
        expected: PyTorch's class map, uint8 (H, W).
        ties: Where the two differ and the classes are nearly tied, bool (H, W).
        faults: Where they differ and the classes are not, bool (H, W).
    """

    evidence: Evidence
    expected: NDArray[np.uint8]
    ties: NDArray[np.bool_]
    faults: NDArray[np.bool_]

    @property
    def badness(self) -> tuple[float, float]:
        """For sorting: share of faults, then of ties."""
        return float(self.faults.mean()), float(self.ties.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Hop(PixelAgreement):
    """The comparison of one stage with PyTorch.

    Attributes:
        name: From where to where: ``PyTorch -> fp32 graph``.
        precision: What the stage computes in.
        checkpoint_sha256: Hash of the checkpoint that the stage says it was made from; None if it does not say.
        onnx: The stage's ONNX file; None if it has none.
        frames: Frames compared.
        failures: Frames that could not be compared, and why.
        sizes: Sizes of the frames that could be compared, and of those that could not.
        agreement: PyTorch's classes (rows) against the stage's (columns).
        faults: Pixels that differ where no two classes are nearly tied.
        class_faults: The same by PyTorch's class, (classes,).
        band: Pixels within the boundary band, and those of them that differ.
        interior: Pixels elsewhere, and those of them that differ.
        tie_margins: Histogram of the ties' flip margins over `BIN_EDGES`.
        fault_margins: That of the faults.
        tie_limit: Margin up to which a difference is a tie, as a share of the largest logit: the median over frames.
        output_faults: For each further output of the stage, the pixels at which it is not what follows from PyTorch's
            logits.
        accuracy: The stage against the ground truth; None without ground truth.
        reference_accuracy: PyTorch against the ground truth, on the same frames.
        class_names: One name per class.
        worst: The frames that differ most, worst first.
        evidence: Frames with faults, for the diagnosis.
    """

    name: str
    precision: Precision
    checkpoint_sha256: str | None
    onnx: Path | None
    frames: int
    failures: tuple[str, ...]
    sizes: tuple[frozenset[ImageSize], frozenset[ImageSize]]
    agreement: ConfusionMatrix
    faults: int
    class_faults: NDArray[np.int64]
    band: tuple[int, int]
    interior: tuple[int, int]
    tie_margins: NDArray[np.int64]
    fault_margins: NDArray[np.int64]
    tie_limit: float
    output_faults: Mapping[OutputName, int]
    accuracy: ConfusionMatrix | None
    reference_accuracy: ConfusionMatrix | None
    class_names: tuple[str, ...]
    worst: tuple[BadFrame, ...]
    evidence: tuple[Evidence, ...]

    @property
    def miou_difference(self) -> float | None:
        """The stage's mIoU less PyTorch's; None without ground truth."""
        if self.accuracy is None or self.reference_accuracy is None:
            return None
        # The classes that are averaged must be the same on both sides: those in the ground truth.
        return self.accuracy.mean_iou("gt_present") - self.reference_accuracy.mean_iou("gt_present")

    @property
    def wrong_outputs(self) -> list[OutputName]:
        """Further outputs that are not PyTorch's."""
        allowed = TOLERANCES[self.precision].fault_share * self.pixels
        return [name for name, faults in self.output_faults.items() if faults > allowed]

    @property
    def objections(self) -> list[str]:
        """What is wrong, in words; empty if the stage is still the PyTorch model."""
        found = []
        if self.failures:
            more = f" (and on {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            found.append(f"fails on {self.failures[0]}{more}")
        tolerance = TOLERANCES[self.precision]
        if self.faults > tolerance.fault_share * self.pixels:
            found.append(
                f"{percent(self.faults / self.pixels)} of the pixels differ and are no ties "
                f"(allowed in {self.precision}: {percent(tolerance.fault_share)})"
            )
        else:
            found += self._class_objections(tolerance.class_fault_share)
        loss = -100 * (self.miou_difference or 0.0)
        if loss > tolerance.mean_iou:
            found.append(
                f"mIoU is {loss:.2f} points lower than PyTorch's "
                f"(allowed in {self.precision}: {tolerance.mean_iou:.2f})"
            )
        for name in self.wrong_outputs:
            share = percent(self.output_faults[name] / self.pixels)
            found.append(
                f"the output {name} is not PyTorch's at {share} of the pixels "
                f"(allowed in {self.precision}: {percent(tolerance.fault_share)})"
            )
        return found

    def _class_objections(self, allowed: float) -> list[str]:
        pixels = self.agreement.counts.sum(1)
        shares = np.where(pixels >= _SMALLEST_CLASS, self.class_faults / np.maximum(pixels, 1), 0.0)
        worst = int(shares.argmax())
        if shares[worst] <= allowed:
            return []
        return [
            f"{percent(shares[worst])} of the class {self.class_names[worst]} differ and are no ties "
            f"(allowed in {self.precision}: {percent(allowed)})"
        ]


@dataclass
class HopTally:
    """Counts for a `Hop`, frame by frame."""

    name: str
    precision: Precision
    class_names: tuple[str, ...]
    checkpoint_sha256: str | None = None
    onnx: Path | None = None
    _frames: int = 0
    _ties: int = 0
    _faults: int = 0
    _failures: list[str] = field(default_factory=list)
    _sizes: tuple[set[ImageSize], set[ImageSize]] = field(default_factory=lambda: (set(), set()))
    _limits: list[float] = field(default_factory=list)
    _worst: list[tuple[tuple[float, float], int, BadFrame]] = field(default_factory=list)
    _evidence: list[Evidence] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        self._agreement = ConfusionMatrix(classes, ignore_index=-1)  # every pixel counts, also with 256 classes
        self._accuracy: tuple[ConfusionMatrix, ConfusionMatrix] | None = None  # the stage's, PyTorch's
        self._output_faults: dict[OutputName, int] = {}
        self._class_faults = np.zeros(classes, np.int64)
        self._regions = np.zeros((2, 2), np.int64)  # interior, band; pixels, differing
        self._margins = np.zeros((2, len(BIN_EDGES) - 1), np.int64)  # ties, faults

    def add_failure(self, frame: str, size: ImageSize, reason: str) -> None:
        """Note that the stage could not be run on a frame."""
        self._frames += 1
        self._failures.append(f"{frame}: {reason}")
        self._sizes[1].add(size)

    def add(
        self,
        evidence: Evidence,
        logits: NDArray[np.float32],
        *,
        label: NDArray[np.uint8] | None,
        half_logits: NDArray[np.float32] | None,
    ) -> None:
        """Compare the stage's class map of a frame with PyTorch's logits, float32 (classes, H, W)."""
        class_map = evidence.class_map
        size = ImageSize(*logits.shape[1:])
        problem = _malformed(class_map, logits.shape)
        if problem is not None:
            self.add_failure(evidence.name, size, problem)
            if len(self._evidence) < _KEPT_EVIDENCE:
                self._evidence.append(evidence)
            return
        self._frames += 1
        self._sizes[0].add(size)
        expected = logits.argmax(0).astype(np.uint8)
        differs = class_map != expected
        limit = tie_limit(logits, self.precision, half_logits)
        margins = flip_margins(logits, class_map)
        faults = differs & ~(margins <= limit)
        ties = differs & ~faults
        self._ties += int(np.count_nonzero(ties))
        self._faults += int(np.count_nonzero(faults))
        self._agreement.update(expected, class_map)
        self._class_faults += np.bincount(expected[faults], minlength=len(self.class_names))
        band = boundary_band(expected)
        for index, region in enumerate((~band, band)):
            self._regions[index] += np.count_nonzero(region), np.count_nonzero(differs & region)
        largest = max(float(np.abs(logits).max()), np.finfo(np.float32).tiny)
        self._limits.append(limit / largest)
        for index, kind in enumerate((ties, faults)):
            self._margins[index] += count_margins(margins[kind] / largest)
        if label is not None:
            classes = len(self.class_names)
            self._accuracy = self._accuracy or (ConfusionMatrix(classes), ConfusionMatrix(classes))
            for matrix, prediction in zip(self._accuracy, (class_map, expected), strict=True):
                matrix.update(label, prediction)
        if differs.any():
            bad = BadFrame(evidence, expected, ties, faults)
            heapq.heappush(self._worst, (bad.badness, self._frames, bad))
            if len(self._worst) > _WORST_FRAMES:
                heapq.heappop(self._worst)
        if faults.any() and len(self._evidence) < _KEPT_EVIDENCE:
            self._evidence.append(evidence)

    def add_outputs(self, faults: Mapping[OutputName, NDArray[np.bool_]]) -> None:
        """Note where the further outputs of a frame are not PyTorch's, each bool (H, W)."""
        for name, wrong in faults.items():
            self._output_faults[name] = self._output_faults.get(name, 0) + int(np.count_nonzero(wrong))

    def finish(self) -> Hop:
        """The hop, from everything that was added."""
        accuracy, reference_accuracy = self._accuracy or (None, None)
        return Hop(
            name=self.name,
            precision=self.precision,
            checkpoint_sha256=self.checkpoint_sha256,
            onnx=self.onnx,
            frames=self._frames,
            failures=tuple(self._failures),
            sizes=(frozenset(self._sizes[0]), frozenset(self._sizes[1])),
            agreement=self._agreement,
            pixels=int(self._agreement.counts.sum()),
            differing=self._ties + self._faults,
            faults=self._faults,
            class_faults=self._class_faults,
            interior=(int(self._regions[0, 0]), int(self._regions[0, 1])),
            band=(int(self._regions[1, 0]), int(self._regions[1, 1])),
            tie_margins=self._margins[0],
            fault_margins=self._margins[1],
            tie_limit=float(np.median(self._limits)) if self._limits else 0.0,
            output_faults=self._output_faults,
            accuracy=accuracy,
            reference_accuracy=reference_accuracy,
            class_names=self.class_names,
            worst=tuple(bad for _, _, bad in sorted(self._worst, key=lambda entry: entry[0], reverse=True)),
            evidence=tuple(self._evidence),
        )


def _malformed(class_map: NDArray[np.uint8], expected: tuple[int, ...]) -> str | None:
    classes, *size = expected
    if class_map.dtype != np.uint8 or class_map.shape != tuple(size):
        return f"returns {class_map.dtype} {class_map.shape}, the frame's class map is uint8 {tuple(size)}"
    if int(class_map.max()) >= classes:
        return f"returns class {int(class_map.max())}; there are {classes} classes"
    return None
