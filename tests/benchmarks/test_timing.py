from __future__ import annotations

from collections.abc import Callable

import pytest

from fcnrt.benchmarks.timing import WarmUp, measure_alternately, order_of_round

SHORT = WarmUp(window=1, max_rounds=3)


class Machine:
    """A clock that only work moves on, and a record of who worked."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def work(self, name: str, milliseconds: Callable[[int], float]) -> Callable[[], None]:
        def call() -> None:
            self.now_ns += round(milliseconds(self.calls.count(name)) * 1e6)
            self.calls.append(name)

        return call


def test_samples_are_the_candidates_own_times_in_milliseconds() -> None:
    machine = Machine()
    candidates = {"a": machine.work("a", lambda call: 10 + call), "b": machine.work("b", lambda call: 3)}
    timing = measure_alternately(candidates, rounds=3, warm_up=SHORT, pause_s=0, clock=machine.clock)
    assert timing.warm_up_rounds == 3
    assert timing.samples_ms == {"a": (13, 14, 15), "b": (3, 3, 3)}


def test_warm_up_ends_when_every_candidate_has_settled() -> None:
    machine = Machine()
    candidates = {
        "steady": machine.work("steady", lambda call: 5),
        "slow to start": machine.work("slow to start", lambda call: max(10.0, 100 - 10 * call)),
    }
    timing = measure_alternately(
        candidates, rounds=2, warm_up=WarmUp(window=3, tolerance=0.01), pause_s=0, clock=machine.clock
    )
    assert timing.settled
    # Calls 9, 10, 11, ... take 10 ms: six equal times are there after call 14, medians agree one call earlier.
    assert timing.warm_up_rounds == 14
    assert set(timing.samples_ms["slow to start"]) == {10}


def test_warm_up_is_bounded_and_says_so() -> None:
    machine = Machine()
    restless = {"restless": machine.work("restless", lambda call: 2.0**call)}
    timing = measure_alternately(
        restless, rounds=1, warm_up=WarmUp(window=2, max_rounds=7), pause_s=0, clock=machine.clock
    )
    assert (timing.settled, timing.warm_up_rounds) == (False, 7)


def test_a_candidate_that_fails_is_not_hidden() -> None:
    def fail() -> None:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        measure_alternately({"broken": fail}, rounds=1)


def test_nobody_always_runs_first_or_after_the_same_one() -> None:
    names = ("a", "b", "c")
    orders = [tuple(order_of_round(names, index)) for index in range(6)]
    assert len(set(orders)) == 6
    assert [order_of_round(("a", "b"), index)[0] for index in range(4)] in (["a", "b", "b", "a"], ["a", "b", "a", "b"])
