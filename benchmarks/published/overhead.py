"""How much of what `fcnrt bench` measures is the measuring itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from ...datasets.synthetic import render_scene
from ...runtime.segmenter import Segmenter
from ...runtime.spec import ImageSize
from ..report import Outcome, Row
from ..timing import WarmUp, measure_alternately

_SEED = 77  # of the frame; the time does not depend on what it shows
_PERCENT_AT_MOST = 1.0


def measure_overhead(
    model: Path,
    size: ImageSize,
    *,
    rounds: int,
    warm_up: WarmUp,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Row:
    """Measure the time of nothing beside that of a network, as `fcnrt bench` measures everything.

    Args:
        model: Exported model.
        size: Size of the frame.
        rounds: Measured calls of each.
        warm_up: When to begin measuring.
        clock: A clock in nanoseconds.
    """
    frame = render_scene(_SEED, 0, size).image
    with Segmenter.open(model, device="cpu") as segment:
        calls: dict[str, Callable[[], object]] = {"nothing": lambda: None, "network": partial(segment, frame)}
        timing = measure_alternately(calls, rounds=rounds, warm_up=warm_up, clock=clock)
    share = 100 * median(timing.samples_ms["nothing"]) / median(timing.samples_ms["network"])
    return Row(
        name="bench-overhead",
        title=f"Measuring itself, beside a call of the demo FCN-8s, {size}",
        scope=(
            f"what fcnrt bench finds for a call that does nothing, beside that of one uint8 RGB frame of {size} "
            "in memory to its class map in memory, CPU; measured alternately in changing order in one process"
        ),
        unit="ms",
        samples=timing.samples_ms,
        outcomes=(Outcome(value=share, meaning="% of the time is the measuring's own", at_most=_PERCENT_AT_MOST),),
        conditions={"warm_up_rounds": timing.warm_up_rounds},
    )
