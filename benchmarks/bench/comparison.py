"""Two runs of `fcnrt bench` against each other: has anything become slower, and is the evidence good enough to say so?

The quantity is the ratio of medians, new over old, of each of fcnrt's series that both runs hold. Its interval comes
from a moving block bootstrap: calls that follow each other share the state of the machine, so resampling them one by
one would make the interval too narrow. Its confidence is 95 % for all series together (Bonferroni), so that many series
do not raise false alarms.

A limit of 5 % means: a slowdown of 5 % must not pass, equal runs must not fail. So

- the series passes if the whole interval lies clearly below the limit: a slowdown of 5 % is excluded. Clearly, because
  two processes differ by a little that no interval from within one of them can know, such as where memory happened to
  lie: the last fifth of the limit is left to that;
- otherwise it fails if the whole interval lies above 1: it is slower for certain, and perhaps by 5 %;
- otherwise, and where there are fewer samples than such a confidence takes, noise hides the answer. Whichever is nearer
  to the measured ratio then decides, no slowdown or one of 5 %, because that errs as rarely on either side as the
  samples allow; the result is marked as unclear, with how many rounds would have told.

Demanding an interval wholly above the limit instead would pass half of all slowdowns that are exactly as large as it.

PyTorch and the peers are no work of fcnrt's and are not judged. They were called in the same rounds: where one of them
became slower as well, or faster, it is the machine that changed, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import SourceError
from ..ratio import Ratio
from .report import ROUNDS_PER_PASS, BenchReport, Member, Series

_CONFIDENCE = 0.95
_RESAMPLES = 4000
_MOST_RESAMPLED = 2_000_000  # numbers at once: bounds the memory
_SEED = 0  # fixed: the same files always give the same verdict
_CLEARLY_BELOW = 0.8  # of the limit
# An interval that reaches so far to either side of a ratio is told from both 1 and the limit, wherever the ratio lies.
_TELLING_HALF_WIDTH = 0.4  # of the limit

Outcome = Literal["pass", "fail", "unclear pass", "unclear fail", "not judged"]


@dataclass(frozen=True, kw_only=True)
class SeriesChange:
    """How the times of one series changed.

    Attributes:
        old: The earlier times.
        new: The later times.
        ratio: Median of the new times over that of the old, with its interval; above 1 is slower.
        outcome: Whether that is within the limit, and whether the samples suffice to tell.
        rounds_needed: About how many rounds of `fcnrt bench` in both runs would have told.
    """

    old: Series
    new: Series
    ratio: Ratio
    outcome: Outcome
    rounds_needed: int

    @property
    def failed(self) -> bool:
        """Whether the series is slower than allowed."""
        return self.outcome in ("fail", "unclear fail")


@dataclass(frozen=True, kw_only=True)
class BenchComparison:
    """What became of every series.

    Attributes:
        limit: Slowdown that fails, as a share: 0.05.
        changes: The series that both runs hold.
        missing: Series of fcnrt's that only the old run holds, in words.
        notes: Why the two may not be comparable, in sentences.
    """

    limit: float
    changes: tuple[SeriesChange, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def judged(self) -> list[SeriesChange]:
        """The series of fcnrt's own."""
        return [change for change in self.changes if change.outcome != "not judged"]

    @property
    def passed(self) -> bool:
        """Whether no series is slower than allowed, and none has disappeared."""
        return not self.missing and not any(change.failed for change in self.changes)


def compare_reports(old: BenchReport, new: BenchReport, *, limit: float) -> BenchComparison:
    """Compare the times of two runs.

    Args:
        old: The earlier run.
        new: The later run.
        limit: Slowdown that fails, as a share, above 0: 0.05.

    Raises:
        SourceError: If the two have no series in common.
    """
    own = {member.name for member in old.members if member.role == "fcnrt"}
    renamed = _renamed(old, new)
    pairs = [
        (before, new.find(renamed.get(before.member, before.member), before.scope, before.size, before.batch))
        for before in old.series
    ]
    found = [(before, after) for before, after in pairs if after is not None]
    judged = sum(before.member in own for before, _ in found)
    if not judged:
        raise SourceError(
            "the two results have no measurement in common; measure both with the same models and sizes. One has "
            f"{_own(old)}; the other {_own(new)}"
        )
    confidence = 1 - (1 - _CONFIDENCE) / judged
    changes = tuple(
        _change(before, after, limit=limit, confidence=confidence, judged=before.member in own)
        for before, after in found
    )
    return BenchComparison(
        limit=limit,
        changes=changes,
        missing=tuple(
            f"{before.member} {before.scope} at {before.size}, batch {before.batch}"
            for before, after in pairs
            if after is None and before.member in own
        ),
        notes=(*_differences(old, new), *_drift(changes, limit)),
    )


def _renamed(old: BenchReport, new: BenchReport) -> dict[str, str]:
    """By their names in the old run, the new names of the members that have another one.

    A model that is measured alone has another name than among several; then it is known by its file.
    """
    present = {member.name for member in new.members}
    names = {_place(member): member.name for member in new.members}
    return {
        member.name: names[_place(member)]
        for member in old.members
        if member.name not in present and _place(member) in names
    }


def _place(member: Member) -> tuple[str, ...]:
    return member.role, member.file, member.backend, member.device


def _own(report: BenchReport) -> str:
    """What a report has measured of fcnrt's own, in words."""
    own = [f"{member.file} ({member.backend} {member.device})" for member in report.members if member.role == "fcnrt"]
    return f"{', '.join(own)} at {', '.join(dict.fromkeys(size for size, _ in report.points()))}"


def _change(before: Series, after: Series, *, limit: float, confidence: float, judged: bool) -> SeriesChange:
    ratio = ratio_of_medians(after.samples_ms, before.samples_ms, confidence=confidence)
    outcome = judge(ratio, limit)
    count = min(len(before.samples_ms), len(after.samples_ms))
    fewest = ceil(1 + log2(1 / (1 - confidence)))  # of fewer, not even lowest to highest has the median so surely
    if count < fewest and not outcome.startswith("unclear"):
        outcome = "unclear fail" if outcome == "fail" else "unclear pass"
    # The interval narrows with the square root of the number of samples.
    half_width = (ratio.high - ratio.low) / 2
    needed = max(fewest, count * (half_width / (_TELLING_HALF_WIDTH * limit)) ** 2)
    per_sample = ROUNDS_PER_PASS if before.scope == "pipeline" else 1
    return SeriesChange(
        old=before,
        new=after,
        ratio=ratio,
        outcome=outcome if judged else "not judged",
        rounds_needed=10 * ceil(per_sample * needed / 10),
    )


def _drift(changes: Sequence[SeriesChange], limit: float) -> list[str]:
    """What changed without being fcnrt's, by more than half the limit and for certain; in sentences."""
    return [
        f"{change.old.member} ({change.old.scope} at {change.old.size}), measured beside it, changed by "
        f"{100 * (change.ratio.value - 1):+.1f} %: the machine is not what it was"
        for change in changes
        if change.outcome == "not judged"
        and abs(change.ratio.value - 1) > limit / 2
        and not change.ratio.low <= 1 <= change.ratio.high
    ]


def judge(ratio: Ratio, limit: float) -> Outcome:
    """Whether a ratio of times is within a limit; see the top of this file."""
    if ratio.high < 1 + _CLEARLY_BELOW * limit:
        return "pass"
    if ratio.low > 1:
        return "fail"
    return "unclear pass" if ratio.value < sqrt(1 + limit) else "unclear fail"


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float], *, confidence: float) -> Ratio:
    """The ratio of two medians of independent series, with a moving block bootstrap interval.

    Args:
        numerator: Positive samples in the order they were measured.
        denominator: Likewise; there need not be as many.
        confidence: Of the interval, in 0..1.
    """
    rng = np.random.default_rng(_SEED)
    upper, lower = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    ratios = _resampled_medians(upper, rng) / _resampled_medians(lower, rng)
    low, high = np.percentile(ratios, (50 * (1 - confidence), 50 * (1 + confidence)))
    return Ratio(float(np.median(upper) / np.median(lower)), float(low), float(high))


def _resampled_medians(samples: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians of series put together from random blocks of the samples, (resamples,)."""
    count = samples.size
    length = max(1, round(count ** (1 / 3)))  # the usual rate at which dependence is kept
    blocks = -(-count // length)
    at_once = max(1, _MOST_RESAMPLED // (blocks * length))
    medians = []
    for first in range(0, _RESAMPLES, at_once):
        resamples = min(at_once, _RESAMPLES - first)
        # Blocks run over the end to the beginning: every sample is drawn equally often.
        starts = rng.integers(0, count, (resamples, blocks, 1))
        chosen = (starts + np.arange(length)).reshape(resamples, -1)[:, :count] % count
        medians.append(np.median(samples[chosen], axis=1))
    return np.concatenate(medians)


def _differences(old: BenchReport, new: BenchReport) -> list[str]:
    """What else differs between the two runs, in sentences."""
    notes = []
    # Members are named after how they run: another network under the same name is no slowdown of this one.
    if old.title != new.title:
        notes.append(f"other networks: {old.title} before, {new.title} after")
    precisions = {member.name: member.precision for member in new.members}
    for member in old.members:
        precision = precisions.get(member.name, member.precision)
        if precision != member.precision:
            notes.append(f"{member.name}: {member.precision} before, {precision} after")
    before, after = old.environment, new.environment
    for name in ("cpu", "cores", "python", "thread_settings"):
        if getattr(before, name) != getattr(after, name):
            what = name.replace("_", " ")
            notes.append(f"{what}: {getattr(before, name)} before, {getattr(after, name)} after")
    for name in dict.fromkeys((*before.packages, *after.packages)):
        versions = before.packages.get(name, "none"), after.packages.get(name, "none")
        if name != "fcnrt" and versions[0] != versions[1]:
            notes.append(f"{name}: {versions[0]} before, {versions[1]} after")
    for report, which in ((old, "old"), (new, "new")):
        if report.environment.busy:
            notes.append(
                f"the machine was busy before the {which} run (load average {report.environment.load_average})"
            )
    return notes
