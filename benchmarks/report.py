"""`Report`: what was measured, where, and whether it is what was aimed at; kept as JSON with every raw sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .environment import Environment
from .report_file import ReportFile, rounded

_FILE = ReportFile(kind="fcnrt's benchmarks", format=1, command="make benchmark")


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
        object.__setattr__(self, "value", rounded(self.value))
        if self.interval is not None:
            low, high = self.interval
            object.__setattr__(self, "interval", (rounded(low), rounded(high)))

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
        samples = {name: tuple(map(rounded, values)) for name, values in self.samples.items()}
        object.__setattr__(self, "samples", samples)

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

    def _document(self) -> dict[str, Any]:
        """The report with summaries and verdicts written out for readers that are no fcnrt."""
        rows = []
        for row in self.rows:
            data = asdict(row)
            data["summary"] = row.summary()
            data["outcomes"] = [{**asdict(outcome), "met": outcome.met} for outcome in row.outcomes]
            rows.append(data)
        return {"environment": asdict(self.environment), "rows": rows, "notes": self.notes}

    def to_json(self) -> str:
        """The report as JSON."""
        return _FILE.text(self._document())

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            OutputError: If the file cannot be written.
        """
        _FILE.write(path, self._document())

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report in a file that `write` wrote.

        Raises:
            SourceError: If there is no such file, or it is not a report of this format.
        """
        return _FILE.read(path, _from_document)


def _from_document(document: dict[str, Any]) -> Report:
    return Report(
        environment=Environment(**document["environment"]),
        rows=tuple(_row(data) for data in document["rows"]),
        notes=tuple(map(str, document.get("notes", ()))),
    )


def _row(data: dict[str, Any]) -> Row:
    values = {key: value for key, value in data.items() if key != "summary"}
    outcomes = []
    for given in values["outcomes"]:
        outcome = {key: value for key, value in given.items() if key != "met"}
        outcome["interval"] = outcome["interval"] and tuple(outcome["interval"])
        outcomes.append(Outcome(**outcome))
    return Row(**{**values, "outcomes": tuple(outcomes)})
