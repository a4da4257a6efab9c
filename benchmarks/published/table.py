"""``python -m fcnrt.benchmarks.published.table``: put the measured figures into the README."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ...runtime.atomic import write_text
from ...runtime.errors import FcnrtError, OutputError, SourceError
from ..report import Outcome, Report, Row

BEGIN = "<!-- benchmark: begin -->"
END = "<!-- benchmark: end -->"

_ROOT = Path(__file__).resolve().parents[2]
README = _ROOT / "README.md"
RESULTS = _ROOT / "benchmarks" / "results" / "cpu.json"

_SHOWN_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "torch")


def render(report: Report) -> str:
    """The report as a Markdown table with a caption."""
    machine = report.environment
    versions = [f"Python {machine.python}"]
    versions += [f"{name} {machine.packages[name]}" for name in _SHOWN_PACKAGES if name in machine.packages]
    busy = f" The machine was busy (load average {machine.load_average})." if machine.busy else ""
    cores = ", ".join((f"{machine.cores} core{'' if machine.cores == 1 else 's'}", *machine.instruction_sets))
    caption = (
        f"Measured on {machine.date} on {machine.cpu} ({cores}, {machine.memory_gib:.0f} GiB), {', '.join(versions)}. "
        f"CPU only: no GPU was measured.{busy} Ratios are medians of pairs that were measured alternately in one run; "
        "in parentheses their 95 % bootstrap interval. `benchmarks/results/cpu.json` has every sample and what "
        "exactly was measured."
    )
    return f"{render_rows(report.rows)}\n\n{caption}"


def render_rows(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, without a caption; one line per outcome."""
    lines = ["| measured | medians | result | target |", "|---|---|---|---|"]
    for row in rows:
        medians = " · ".join(f"{name} {_number(values['median'])} {row.unit}" for name, values in row.summary().items())
        for index, outcome in enumerate(row.outcomes):
            first = (row.title, medians) if index == 0 else ("", "")
            lines.append(f"| {' | '.join((*first, _result(outcome), _target(outcome)))} |")
    return "\n".join(lines)


def replace_table(readme: str, table: str) -> str:
    """The README's text with another table between its markers.

    Raises:
        OutputError: If the text has no markers.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise OutputError(f"there is no place for the table: the text has no lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; exit code 1 and one line on stderr if the README is not, or cannot be, up to date."""
    parser = argparse.ArgumentParser(prog="python -m fcnrt.benchmarks.published.table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the README is not up to date")
    parser.add_argument("--readme", type=Path, default=README, help="file with the markers")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON that the benchmark wrote")
    options = parser.parse_args(arguments)
    try:
        table = render(Report.read(options.results))
        try:
            before = options.readme.read_text(encoding="utf-8")
        except OSError as exc:
            raise SourceError(f"{options.readme}: cannot be read ({exc.strerror})") from exc
        after = replace_table(before, table)
        if options.check and after != before:
            sys.exit(
                f"error: {options.readme} does not show the figures of {options.results}; "
                "run: python -m fcnrt.benchmarks.published.table"
            )
        if after != before:
            write_text(options.readme, after)
    except FcnrtError as exc:
        sys.exit(f"error: {exc}")


def _result(outcome: Outcome) -> str:
    interval = "" if outcome.interval is None else " ({} .. {})".format(*map(_number, outcome.interval))
    return f"{_number(outcome.value)}{interval} {outcome.meaning}"


def _target(outcome: Outcome) -> str:
    if outcome.met is None:
        return ""
    sign, target = (">=", outcome.at_least) if outcome.at_least is not None else ("<=", outcome.at_most)
    return f"{sign} {target:g}: {'met' if outcome.met else 'missed'}"


def _number(value: float) -> str:
    """Three significant digits, trailing zeros included."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


if __name__ == "__main__":
    main()
