"""`BenchReport`: what one run of `fcnrt bench` found; kept as JSON with every raw sample."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...datasets.confusion import ConfusionMatrix
from ...runtime.pixel_agreement import PixelAgreement
from ..environment import Environment
from ..report_file import ReportFile, rounded

_FILE = ReportFile(kind="fcnrt bench", format=2, command="fcnrt bench --json FILE")

Scope = Literal["infer", "device", "end_to_end", "pipeline"]
SCOPES: dict[Scope, str] = {
    "infer": "the innermost part: of fcnrt the runner, which takes raw frames and returns class maps; of PyTorch and "
    "its peers the network alone, from normalised images to logits, without pre- and post-processing",
    "device": "the GPU's own time for the innermost part, between two events: of fcnrt from frames that are there "
    "already to class maps that stay there",
    "end_to_end": "uint8 RGB frames in memory to uint8 class maps in memory",
    "pipeline": "JPEG files to palette PNG files, per picture, with reading and writing beside the network",
}
"""What each scope of a measurement covers."""

ROUNDS_PER_PASS = 5
"""Calls in the other scopes for each pass from file to file, which takes as long as several of them."""

_PERCENTILES = {"median": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network and a way to run it, as far as it can be described without measuring speed.

    Attributes:
        name: Unique in the report.
        role: ``reference``: PyTorch, as it is before export; ``fcnrt``; ``peer``.
        compared_with: Name of the member that it is compared with; None if there is none.
        same_network: Whether the two hold the same weights, so that they must agree.
        file: Name of the file that was measured, without its folder.
        file_bytes: Size of that file, with what it refers to.
        precision: Type the convolutions run in.
        backend: Library that computes.
        device: Where, ``cpu`` or ``cuda:N``.
        load_s: Time to open it in a new process that has imported the library, in seconds; None if not measured.
        peak_memory_mib: The most physical memory that process held, in MiB, with a few frames of the first size; None
            if not measured.
        device_memory_mib: What that process had taken of the GPU's memory, in MiB, without CUDA's own context; None on
            the CPU, or if not measured.
    """

    name: str
    role: Literal["reference", "fcnrt", "peer"]
    compared_with: str | None
    same_network: bool
    file: str
    file_bytes: int
    precision: str
    backend: str
    device: str
    load_s: float | None = None
    peak_memory_mib: float | None = None
    device_memory_mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """Times of one member in one scope; series of the same size and batch were measured alternately.

    Attributes:
        member: Name of the member.
        scope: What was timed, a key of `SCOPES`.
        size: Size of the frames, ``HxW``.
        batch: Frames in a call.
        samples_ms: Time of each call in milliseconds (of ``pipeline``: of each pass over the files, per picture), in
            the order they were measured; rounded to 5 significant digits.
        warm_up_rounds: Calls before that were not counted.
        settled: Whether the times had settled by then.
    """

    member: str
    scope: Scope
    size: str
    batch: int
    samples_ms: tuple[float, ...]
    warm_up_rounds: int
    settled: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples_ms", tuple(map(rounded, self.samples_ms)))

    def percentiles(self) -> dict[str, float]:
        """Median, p90, p95, p99 and maximum in milliseconds; nothing is left out as an outlier."""
        return {name: float(np.percentile(self.samples_ms, p)) for name, p in _PERCENTILES.items()}

    def throughput(self) -> float:
        """Frames per second at the median time."""
        frames = 1 if self.scope == "pipeline" else self.batch
        return 1000 * frames / float(np.median(self.samples_ms))


@dataclass(frozen=True, kw_only=True)
class Accuracy(PixelAgreement):
    """How right one member is, and how far it agrees with the member it is compared with, if there is one.

    Attributes:
        member: Name of the member.
        counts: Confusion matrix over all pictures, true classes in rows; None without ground truth.
    """

    member: str
    counts: tuple[tuple[int, ...], ...] | None

    def confusion(self) -> ConfusionMatrix | None:
        """The counts as a `ConfusionMatrix`."""
        if self.counts is None:
            return None
        matrix = ConfusionMatrix(len(self.counts))
        matrix.counts = np.array(self.counts, np.int64)
        return matrix

    def mean_iou(self) -> float | None:
        """Mean intersection over union in points (0..100) over the classes that are true somewhere."""
        matrix = self.confusion()
        return None if matrix is None else 100 * matrix.mean_iou("gt_present")


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Everything that one run found.

    Attributes:
        environment: Where and with what it was measured.
        title: What was measured, in words.
        pictures: What the accuracy was measured on, in words.
        class_names: The classes.
        members: What was measured; the reference first, if there is one.
        series: The times.
        accuracy: The accuracies.
        notes: What the reader must know besides, one sentence each.
    """

    environment: Environment
    title: str
    pictures: str
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    series: tuple[Series, ...]
    accuracy: tuple[Accuracy, ...]
    notes: tuple[str, ...]

    def find(self, member: str, scope: Scope, size: str, batch: int) -> Series | None:
        """The series of a member, if it was measured."""
        wanted = (member, scope, size, batch)
        return next((s for s in self.series if (s.member, s.scope, s.size, s.batch) == wanted), None)

    def points(self) -> list[tuple[str, int]]:
        """Sizes and batches that were measured, in order."""
        return list(dict.fromkeys((series.size, series.batch) for series in self.series))

    def accuracy_of(self, member: str) -> Accuracy | None:
        """The accuracy of a member, if it was measured."""
        return next((accuracy for accuracy in self.accuracy if accuracy.member == member), None)

    def _document(self) -> dict[str, Any]:
        """The report with percentiles and scores written out for readers that are no fcnrt."""
        data = asdict(self)
        for series, written in zip(self.series, data["series"], strict=True):
            written["summary"] = {name: round(value, 4) for name, value in series.percentiles().items()}
            written["frames_per_s"] = round(series.throughput(), 3)
        for accuracy, written in zip(self.accuracy, data["accuracy"], strict=True):
            written["mean_iou_points"] = accuracy.mean_iou()
        return {"scopes": SCOPES, **data}

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            OutputError: If the file cannot be written.
        """
        _FILE.write(path, self._document())

    @classmethod
    def read(cls, path: Path) -> BenchReport:
        """The report in a file that `write` wrote.

        Raises:
            SourceError: If there is no such file, or it is not a report of this format.
        """
        return _FILE.read(path, _from_document)


def _from_document(document: dict[str, Any]) -> BenchReport:
    series = [
        Series(**{**_without(data, "summary", "frames_per_s"), "samples_ms": tuple(map(float, data["samples_ms"]))})
        for data in document["series"]
    ]
    if not all(found.samples_ms and all(0 < ms < inf for ms in found.samples_ms) for found in series):
        raise ValueError("a series has no samples, or a time that is not positive and finite")
    accuracy = [
        Accuracy(
            **{
                **_without(data, "mean_iou_points"),
                "counts": data["counts"] and tuple(tuple(map(int, row)) for row in data["counts"]),
            }
        )
        for data in document["accuracy"]
    ]
    return BenchReport(
        environment=Environment(**document["environment"]),
        title=document["title"],
        pictures=document["pictures"],
        class_names=tuple(document["class_names"]),
        members=tuple(Member(**data) for data in document["members"]),
        series=tuple(series),
        accuracy=tuple(accuracy),
        notes=tuple(document["notes"]),
    )


def _without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
