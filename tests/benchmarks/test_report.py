from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.report import Outcome, Report, Row
from fcnrt.runtime.errors import OutputError, SourceError

ROW = Row(
    name="demo",
    title="Demo",
    scope="frame to class map",
    unit="ms",
    samples={"fcnrt": (1.0, 2.0, 3.1234567), "other": (2.0, 4.0, 6.0)},
    outcomes=(
        Outcome(value=1.9, meaning="times as fast", interval=(1.8, 2.0), at_least=1.5),
        Outcome(value=0.4, meaning="s", at_most=0.3),
        Outcome(value=7, meaning="of nothing"),
    ),
    conditions={"warm_up_rounds": 10, "warm_up_settled": True},
)


def report() -> Report:
    rows = (ROW, dataclasses.replace(ROW, name="second"))
    return Report(environment=Environment.here(), rows=rows, notes=("one GPU was asleep",))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    report().write(tmp_path / "cpu.json")
    assert Report.read(tmp_path / "cpu.json") == report()


def test_the_json_holds_samples_summaries_and_verdicts(tmp_path: Path) -> None:
    document = json.loads(report().to_json())
    assert list(document) == ["kind", "format", "environment", "rows", "notes"]
    row = document["rows"][0]
    assert row["samples"]["fcnrt"] == [1, 2, 3.1235]
    assert row["summary"]["other"] == {"median": 4, "p90": pytest.approx(5.6), "p99": pytest.approx(5.96)}
    assert [outcome["met"] for outcome in row["outcomes"]] == [True, False, None]


def test_a_series_of_samples_is_one_line() -> None:
    assert '"fcnrt": [1.0, 2.0, 3.1235],\n' in report().to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not a report"),
        ('{"format": 1, "environment": {}, "rows": [{"outcomes": 3}]}', "a damaged report"),
        ('{"kind": "fcnrt bench", "format": 1}', "not a report of fcnrt's benchmarks; write one with: make benchmark"),
        ('{"format": 99}', "a report of format 99; this fcnrt reads 1"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cpu.json").write_text(text)
    with pytest.raises(SourceError, match=message):
        Report.read(tmp_path / "cpu.json")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No such file or directory.*make benchmark"):
        Report.read(tmp_path / "cpu.json")


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        report().write(tmp_path / "nowhere" / "cpu.json")
