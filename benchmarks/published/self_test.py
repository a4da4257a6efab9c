"""How long a deployed file takes to test itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..child_process import FCNRT_PROGRAM, run_child
from ..report import Outcome, Row
from .startup import AGAIN, FIRST, delete_kept_graphs

_VERIFY = "fcnrt verify"


def measure_self_test(
    model: Path,
    folder: Path,
    *,
    name: str,
    network: str,
    launches: int,
    at_most_s: float | None = None,
    from_empty_cache: bool = False,
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
        from_empty_cache: Whether each run follows one that finds nothing in the cache, which is measured too; the
            graphs in the cache (see `fcnrt.runtime.runners.optimized_graph`) are deleted for that.
        program: The command that is `fcnrt`.

    Raises:
        InferenceError: If the file fails its test.
    """
    command = [*program, "verify", str(model)]
    run_child(command, folder=folder)
    seconds: dict[str, list[float]] = {name: [] for name in ((FIRST, AGAIN) if from_empty_cache else (_VERIFY,))}
    for _ in range(launches):
        if from_empty_cache:
            delete_kept_graphs()
        for times in seconds.values():
            times.append(run_child(command, folder=folder).wall_s)
    return Row(
        name=name,
        title=f"`fcnrt verify MODEL`, its own self-test, {network}",
        scope=(
            "wall time of the process of fcnrt verify with an exported float32 file and nothing else, from its start "
            f"to its end, on the CPU; file of {model.stat().st_size / 1e6:.1f} MB; {FIRST}: nothing of it in the "
            f"user's cache; {AGAIN}: opened before; file caches warm"
        ),
        unit="s",
        samples={name: tuple(times) for name, times in seconds.items()},
        outcomes=tuple(
            Outcome(value=median(times), meaning="s, median" if name == _VERIFY else f"s, {name}", at_most=at_most_s)
            for name, times in seconds.items()
        ),
    )
