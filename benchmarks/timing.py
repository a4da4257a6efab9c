"""Measuring several things against each other: alternately, in one run, so that all meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Thread pools spin for some milliseconds after their work in the hope of more, at the cost of whoever comes next.
_PAUSE_S = 0.02


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """When to begin measuring: caches, clocks and allocators have settled, seen by the times themselves.

    Attributes:
        window: Calls whose median is compared with the median of as many calls before.
        tolerance: Largest relative difference of the two that counts as settled.
        max_rounds: Rounds after which measuring begins anyway; a busy machine never settles.
    """

    window: int = 5
    tolerance: float = 0.03
    max_rounds: int = 40

    def settled(self, times: Sequence[float]) -> bool:
        """Whether the last `window` times are as long as those before them."""
        if len(times) < 2 * self.window:
            return False
        before, last = (
            float(np.median(part)) for part in (times[-2 * self.window : -self.window], times[-self.window :])
        )
        return abs(last - before) <= self.tolerance * before


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of several candidates; the same index is the same round, in which they ran right after each other.

    Attributes:
        samples_ms: Wall-clock time of each call in milliseconds, by candidate.
        warm_up_rounds: Rounds that were run before and are not among the samples.
        settled: Whether the warm-up ended because the times had settled, not because it had lasted long enough.
    """

    samples_ms: Mapping[str, tuple[float, ...]]
    warm_up_rounds: int
    settled: bool


def measure_alternately(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: WarmUp | None = None,
    pause_s: float = _PAUSE_S,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Timing:
    """Call every candidate once per round, in an order that changes from round to round.

    Whatever disturbs the machine for longer than a round hits all candidates alike, and none of them always runs
    first or after the same other one.

    Args:
        candidates: What to call, by name. A candidate returns when its work is done: one on a GPU synchronises itself.
        rounds: Number of measured rounds, at least 1.
        warm_up: When to begin measuring; `WarmUp()` if left out.
        pause_s: Idle time before each call, in seconds.
        clock: A clock in nanoseconds.
    """
    warm_up = warm_up or WarmUp()
    names = tuple(candidates)

    def run_round(index: int) -> dict[str, float]:
        times = {}
        for name in order_of_round(names, index):
            candidate = candidates[name]
            time.sleep(pause_s)
            start = clock()
            candidate()
            times[name] = (clock() - start) / 1e6
        return times

    warming: list[dict[str, float]] = []
    settled = False
    while not settled and len(warming) < warm_up.max_rounds:
        warming.append(run_round(len(warming)))
        settled = all(warm_up.settled([times[name] for times in warming]) for name in names)
    measured = [run_round(index) for index in range(rounds)]
    return Timing(
        samples_ms={name: tuple(times[name] for times in measured) for name in names},
        warm_up_rounds=len(warming),
        settled=settled,
    )


def order_of_round(names: Sequence[str], index: int) -> list[str]:
    """The order in round `index`: rotated by one each round, and reversed after every full turn."""
    turn, start = divmod(index, len(names))
    rotated = [*names[start:], *names[:start]]
    return rotated[::-1] if turn % 2 else rotated
