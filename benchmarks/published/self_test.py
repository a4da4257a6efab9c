"""How long a deployed file takes to test itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..child_process import FCNRT_PROGRAM, run_child
from ..report import Outcome, Row


def measure_self_test(
    model: Path,
    folder: Path,
    *,
    name: str,
    network: str,
    launches: int,
    at_most_s: float | None = None,
    program: Sequence[str] = FCNRT_PROGRAM,
) -> Row:
    """Measure the wall time of ``fcnrt verify MODEL``.

    Args:
        model: An exported file.
        folder: Where to run it.
        name: Name of the row.
        network: What the file holds, in words.
        launches: Measured runs, after one that fills the file caches.
        at_most_s: The time that is aimed at, in seconds.
        program: The command that is `fcnrt`.

    Raises:
        InferenceError: If the file fails its test.
    """
    command = [*program, "verify", str(model)]
    run_child(command, folder=folder)
    seconds = tuple(run_child(command, folder=folder).wall_s for _ in range(launches))
    return Row(
        name=name,
        title=f"`fcnrt verify MODEL`, its own self-test, {network}",
        scope=(
            "wall time of the process of fcnrt verify with an exported float32 file and nothing else, from its start "
            f"to its end, on the CPU; file of {model.stat().st_size / 1e6:.1f} MB, of which the user's cache has "
            "nothing; file caches warm"
        ),
        unit="s",
        samples={"fcnrt verify": seconds},
        outcomes=(Outcome(value=median(seconds), meaning="s, median", at_most=at_most_s),),
    )
