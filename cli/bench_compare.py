"""`fcnrt bench compare`: has anything become slower?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..benchmarks.bench.comparison import BenchComparison, SeriesChange

_MARKS = {"pass": "✔", "fail": "✘", "unclear pass": "?", "unclear fail": "✘?", "not judged": ""}

_MOST_ROUNDS = 1000  # that anybody would wait for


def _parse_share(text: str) -> str:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if match is None or not 0 < float(match[1]) <= 100:
        raise typer.BadParameter(f"{text!r} is not a share above 0 % and up to 100 %; write for example 5%")
    return match[1]


def compare(
    old: Annotated[Path, typer.Argument(metavar="A.json", help="Earlier result of fcnrt bench --json.")],
    new: Annotated[Path, typer.Argument(metavar="B.json", help="Later result.")],
    fail_on: Annotated[
        str, typer.Option(metavar="SHARE", help="Slowdown that must not pass.", callback=_parse_share)
    ] = "5%",
) -> None:
    """Compare two results of fcnrt bench; exit code 1 if something has become slower.

    Tested is the ratio of medians with a block bootstrap interval, 95 % for all of fcnrt's measurements together.

    PyTorch and peers are shown, not judged: where they changed as well, the machine did.
    """
    from ..benchmarks.bench.comparison import compare_reports
    from ..benchmarks.bench.report import BenchReport
    from .console import say

    comparison = compare_reports(BenchReport.read(old), BenchReport.read(new), limit=float(fail_on) / 100)
    for note in comparison.notes:
        say(f"note: {note}")
    for missing in comparison.missing:
        say(f"{missing}: not in {new}")
    typer.echo(_table(comparison))
    typer.echo(_verdict(comparison))
    if not comparison.passed:
        raise typer.Exit(1)


def _table(comparison: BenchComparison) -> str:
    from ..benchmarks.bench.tables import Table, number

    rows = tuple(
        (
            f"{change.old.member} · {change.old.scope} · {change.old.size} · batch {change.old.batch}",
            number(change.old.percentiles()["median"]),
            number(change.new.percentiles()["median"]),
            _change(change),
            _MARKS[change.outcome],
        )
        for change in comparison.changes
    )
    return Table("Median times in ms", ("", "before", "after", "change (interval)", ""), rows).plain()


def _change(change: SeriesChange) -> str:
    value, low, high = (
        f"{100 * (ratio - 1):+.1f}" for ratio in (change.ratio.value, change.ratio.low, change.ratio.high)
    )
    return f"{value} % ({low} .. {high})"


def _verdict(comparison: BenchComparison) -> str:
    limit = f"{100 * comparison.limit:g} %"
    judged = comparison.judged
    failed = [change for change in judged if change.failed]
    unclear = [change for change in judged if change.outcome.startswith("unclear")]
    needed = max((change.rounds_needed for change in unclear), default=0)
    cure = f"with --rounds {needed}" if needed <= _MOST_ROUNDS else "on a quieter machine"
    hint = f"; inconclusive for {len(unclear)} marked ?: measure both {cure}" if unclear else ""
    if failed:
        worst = max(failed, key=lambda change: change.ratio.value)
        name = f"{worst.old.member}, {worst.old.scope} at {worst.old.size}"
        return f"✘ slower by {limit} or nearly so: {len(failed)} of {len(judged)}, worst {name}{hint}"
    if comparison.missing:
        count = len(comparison.missing)
        return f"✘ {count} {'measurement is' if count == 1 else 'measurements are'} missing{hint}"
    if unclear:
        return f"✔ nothing is seen to be slower by {limit}{hint}"
    return f"✔ nothing is slower by {limit}: that is excluded for all {len(judged)} measurements"
