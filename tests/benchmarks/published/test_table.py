from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.published.table import BEGIN, END, README, RESULTS, main, render, replace_table
from fcnrt.benchmarks.report import Outcome, Report, Row
from fcnrt.runtime.errors import OutputError

REPORT = Report(
    environment=Environment(
        date="2026-11-21",
        cpu="Some CPU",
        processors=4,
        cores=2,
        memory_gib=23.6,
        system="Linux",
        python="3.11.2",
        packages={"fcnrt": "0.1.0", "onnxruntime": "1.31.0", "torch": "2.15.0", "numpy": "2.4.0"},
        thread_settings={},
        commit=None,
        load_average=0.1,
    ),
    rows=(
        Row(
            name="demo",
            title="Demo, 512x512",
            scope="end to end",
            unit="ms",
            samples={"fcnrt": (117.9, 118.0, 250.0), "usual route": (196.0, 197.0, 199.0)},
            outcomes=(
                Outcome(value=1.6694, meaning="times as fast as the usual route", interval=(1.6, 1.704), at_least=1.5),
                Outcome(value=0.996, meaning="times as fast as nothing", at_least=1.0),
            ),
        ),
        Row(
            name="help",
            title="`fcnrt --help`",
            scope="wall time",
            unit="s",
            samples={"fcnrt --help": (0.18,)},
            outcomes=(Outcome(value=0.18, meaning="s, median", at_most=0.3),),
        ),
    ),
)


def test_every_outcome_is_a_line_with_its_interval_and_verdict() -> None:
    lines = render(REPORT).splitlines()
    assert lines[2:5] == [
        "| Demo, 512x512 | fcnrt 118 ms · usual route 197 ms "
        "| 1.67 (1.60 .. 1.70) times as fast as the usual route | >= 1.5: met |",
        "|  |  | 0.996 times as fast as nothing | >= 1: missed |",
        "| `fcnrt --help` | fcnrt --help 0.180 s | 0.180 s, median | <= 0.3: met |",
    ]


def test_the_caption_names_machine_date_and_that_there_was_no_gpu() -> None:
    caption = render(REPORT).splitlines()[-1]
    assert "2026-11-21 on Some CPU (2 cores, 24 GiB), Python 3.11.2, onnxruntime 1.31.0, torch 2.15.0." in caption
    assert "CPU only: no GPU was measured." in caption
    assert "busy" not in caption


def test_the_caption_admits_a_busy_machine() -> None:
    busy = dataclasses.replace(REPORT.environment, load_average=3.5)
    assert "The machine was busy (load average 3.5)." in render(dataclasses.replace(REPORT, environment=busy))


def test_only_the_part_between_the_markers_changes() -> None:
    readme = f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"
    assert replace_table(readme, "new") == f"# Title\n\n{BEGIN}\nnew\n{END}\n\nrest\n"


@pytest.mark.parametrize("readme", ["no markers", f"{BEGIN}\nno end", f"{END}\nwrong order\n{BEGIN}"])
def test_without_markers_there_is_no_place(readme: str) -> None:
    with pytest.raises(OutputError, match="there is no place for the table"):
        replace_table(readme, "table")


def test_the_program_fills_the_readme_and_checks_it(tmp_path: Path) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "cpu.json"
    readme.write_text(f"# Title\n{BEGIN}\n{END}\n")
    REPORT.write(results)
    files = ["--readme", str(readme), "--results", str(results)]
    with pytest.raises(SystemExit, match="does not show the figures"):
        main([*files, "--check"])
    assert "Some CPU" not in readme.read_text()
    main(files)
    assert render(REPORT) in readme.read_text()
    main([*files, "--check"])


def test_a_missing_result_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .*cpu\.json: cannot be read"):
        main(["--results", str(tmp_path / "cpu.json")])


def test_the_readme_shows_the_committed_figures() -> None:
    if not RESULTS.exists():
        pytest.skip(f"nothing was measured yet: no {RESULTS.name}")
    if BEGIN not in README.read_text(encoding="utf-8"):
        pytest.skip("the README has no place for the table yet")
    main(["--check"])
