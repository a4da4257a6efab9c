"""`Report`: what was measured, where, and whether it is what was aimed at; kept as JSON with every raw sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ..runtime.atomic import atomic_path
from ..runtime.errors import SourceError
from .environment import Environment
from .sample_json import format_samples

_FORMAT = 1
_SIGNIFICANT_DIGITS = 5  # more than any clock or machine repeats


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One figure that a measurement comes to; rounded to 5 significant digits.

    Attributes:
        value: The figure.
        meaning: How a sentence that begins with the figure goes on: ``times as fast as the usual route``.
        interval: The 95 % interval of the figure, if it has one.
        at_least: The figure that is aimed at, if larger is better.
        at_most: The figure that is aimed at, if smaller is better.
    """

    value: float
    meaning: str
    interval: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _rounded(self.value))
        if self.interval is not None:
            low, high = self.interval
            object.__setattr__(self, "interval", (_rounded(low), _rounded(high)))

    @property
    def met(self) -> bool | None:
        """Whether the figure is what was aimed at; None if nothing was."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement.

    Attributes:
        name: Short name, unique in a report.
        title: What was measured, for a table.
        scope: What exactly was measured: from where to where, in what order, under what conditions.
        unit: Unit of the samples.
        samples: Raw samples by what they belong to; rounded to 5 significant digits.
        outcomes: What the samples come to.
        conditions: What else is worth knowing, such as the length of the warm-up.
    """

    name: str
    title: str
    scope: str
    unit: str
    samples: Mapping[str, tuple[float, ...]]
    outcomes: tuple[Outcome, ...]
    conditions: Mapping[str, float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rounded = {name: tuple(map(_rounded, values)) for name, values in self.samples.items()}
        object.__setattr__(self, "samples", rounded)

    def summary(self) -> dict[str, dict[str, float]]:
        """Median, 90th and 99th percentile of each series of samples."""
        percentiles = {"median": 50, "p90": 90, "p99": 99}
        return {
            name: {key: round(float(np.percentile(values, p)), 4) for key, p in percentiles.items()}
            for name, values in self.samples.items()
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one run of the benchmarks found.

    Attributes:
        environment: Where it was measured.
        rows: What was measured.
        notes: What the reader must know besides, one sentence each.
    """

    environment: Environment
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as JSON, with summaries and verdicts written out for readers that are no fcnrt."""
        rows = []
        for row in self.rows:
            data = asdict(row)
            data["summary"] = row.summary()
            data["outcomes"] = [{**asdict(outcome), "met": outcome.met} for outcome in row.outcomes]
            rows.append(data)
        document = {"format": _FORMAT, "environment": asdict(self.environment), "rows": rows, "notes": self.notes}
        return format_samples(document, indent=2)

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            OutputError: If the file cannot be written.
        """
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report in a file that `write` wrote.

        Raises:
            SourceError: If there is no such file, or it is not a report of this format.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise SourceError(f"{path}: a report of format {document['format']}; this fcnrt reads {_FORMAT}")
            rows = tuple(_row(data) for data in document["rows"])
            notes = tuple(map(str, document.get("notes", ())))
            return cls(environment=Environment(**document["environment"]), rows=rows, notes=notes)
        except OSError as exc:
            raise SourceError(f"{path}: cannot be read ({exc.strerror}); measure with: make benchmark") from exc
        except (ValueError, TypeError, KeyError) as exc:
            if isinstance(exc, SourceError):
                raise
            raise SourceError(f"{path}: not a report of fcnrt's benchmarks ({exc!r})") from exc


def _rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def _row(data: dict[str, object]) -> Row:
    values = {key: value for key, value in data.items() if key != "summary"}
    outcomes = []
    for given in values["outcomes"]:  # type: ignore[attr-defined]  # a wrong type is reported by the caller
        outcome = {key: value for key, value in given.items() if key != "met"}
        outcome["interval"] = outcome["interval"] and tuple(outcome["interval"])
        outcomes.append(Outcome(**outcome))
    return Row(**{**values, "outcomes": tuple(outcomes)})  # type: ignore[arg-type]
