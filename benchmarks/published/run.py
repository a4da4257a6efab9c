"""``python -m fcnrt.benchmarks.published.run``: measure speed and memory of this installation on this machine's CPU."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...runtime.atomic import check_writable
from ...runtime.errors import FcnrtError
from ..environment import Environment
from ..report import Report, Row
from .suite import BENCHMARKS, Setup
from .table import render_rows

_OUTPUT = Path("benchmarks/results/cpu.json")


def measure(names: Sequence[str], setup: Setup, *, progress: Callable[[str], None] = lambda text: None) -> Report:
    """Run benchmarks, one after the other.

    Args:
        names: Which, keys of `BENCHMARKS`.
        setup: What to measure and how often.
        progress: Told what begins and what was found, in lines.

    Raises:
        FcnrtError: If something cannot be measured.
    """
    environment = Environment.here()
    if environment.busy:
        progress(
            f"warning: this machine is busy (load average {environment.load_average} on {environment.processors} "
            "processors); figures measured now mean little"
        )
    rows: list[Row] = []
    for name in names:
        progress(f"{name} ...")
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fcnrt-benchmark-") as folder:
            found = BENCHMARKS[name](setup, Path(folder))
        rows += found
        for row in found:
            for outcome in row.outcomes:
                verdict = {None: "", True: " (target met)", False: " (target missed)"}[outcome.met]
                progress(f"  {row.name}: {outcome.value:.3g} {outcome.meaning}{verdict}")
        progress(f"  took {time.monotonic() - start:.0f} s")
    return Report(environment=environment, rows=tuple(rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; exit code 1 and one line on stderr if something cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m fcnrt.benchmarks.published.run", description=__doc__)
    parser.add_argument(
        "--output",
        type=Path,
        help=f"file for the results, JSON; {_OUTPUT} if everything is measured, none if only a part is",
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--repeats", type=_positive, metavar="N", help="measure everything N times (for a quick try: 2)"
    )
    options = parser.parse_args(arguments)
    output = options.output or (None if options.only else _OUTPUT)
    setup = Setup() if options.repeats is None else Setup().repeated(options.repeats)
    try:
        if output is not None:
            check_writable(output)
        from ...export.requirements import require_export_packages

        require_export_packages("the benchmark")
        report = measure(
            options.only or list(BENCHMARKS), setup, progress=lambda text: print(text, file=sys.stderr, flush=True)
        )
        if output is not None:
            report.write(output)
    except FcnrtError as exc:
        sys.exit(f"error: {exc}")
    print(render_rows(report.rows))
    if output is not None:
        print(f"\n{output} written; next: python -m fcnrt.benchmarks.published.table", file=sys.stderr)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


if __name__ == "__main__":
    main()
