from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from fcnrt.runtime.video.running_clock import RunningClock

PICTURE, SOUND = 0, 1
STEP_S = {PICTURE: Fraction(1, 10), SOUND: Fraction(1, 50)}
UNIT = Fraction(1, 90_000)


def packet(stream: int, time_s: float, *, shown_later_s: float = 0.0) -> Any:
    """A packet of a stream; the clock needs no more of one."""
    ticks = round(Fraction(time_s).limit_denominator(1000) / UNIT)
    return SimpleNamespace(
        stream=SimpleNamespace(index=stream),
        time_base=UNIT,
        dts=ticks,
        pts=ticks + round(shown_later_s / UNIT),
        duration=round(STEP_S[stream] / UNIT),
    )


def moved(packets: list[Any]) -> tuple[list[float], list[bool]]:
    """The times in seconds that a clock gives them, and where it says that a stream came to a new stretch."""
    clock = RunningClock()
    arrivals = [clock.move(packet) for packet in packets]
    assert clock.has_restarted is any(arrivals)
    return [round(float(packet.dts * UNIT), 3) for packet in packets], arrivals


def test_a_clock_that_runs_is_left_alone() -> None:
    times = [0.0, 0.1, 0.2, 5.0, 5.1, 1800.0]  # losses of 5 s and of half an hour, whose lengths count
    assert moved([packet(PICTURE, time) for time in times]) == (times, [False] * 6)


@pytest.mark.parametrize("start_s", [0.0, 40_000.0])
def test_what_follows_a_restart_is_shown_right_after_what_came_before(start_s: float) -> None:
    before, after = [7.0, 7.1, 7.2], [start_s, start_s + 0.1]
    times, arrivals = moved([packet(PICTURE, time) for time in (*before, *after)])
    assert times == [7.0, 7.1, 7.2, 7.3, 7.4]
    assert arrivals == [False, False, False, True, False]


def test_times_of_showing_move_along() -> None:
    late = packet(PICTURE, 0.0, shown_later_s=0.2)
    clock = RunningClock()
    clock.move(packet(PICTURE, 9.9))
    clock.move(late)
    assert (late.dts * UNIT, late.pts * UNIT) == (10, Fraction(102, 10))


@pytest.mark.parametrize("first", [PICTURE, SOUND])
def test_sound_and_picture_keep_their_distance(first: int) -> None:
    """Whichever arrives first, and though the last picture from before comes after the first new sound."""
    second = 1 - first
    packets = [
        packet(first, 4.9),
        packet(second, 4.9),
        packet(first, 0.0),
        packet(second, 4.9 + float(STEP_S[second])),
        packet(second, 0.0),
        packet(first, float(STEP_S[first])),
    ]
    times, arrivals = moved(packets)
    assert times[3] == pytest.approx(4.9 + float(STEP_S[second]))
    assert times[4] == pytest.approx(max(times[2], times[3] + float(STEP_S[second])))
    assert times[5] - float(STEP_S[first]) == pytest.approx(times[4])
    assert arrivals == [False, False, True, False, True, False]


def test_a_stream_that_went_on_for_longer_is_not_squeezed() -> None:
    packets = [packet(SOUND, 2.0), packet(PICTURE, 5.0), packet(SOUND, 0.0), packet(PICTURE, 0.0), packet(SOUND, 0.02)]
    times, _ = moved(packets)
    assert times == [2.0, 5.0, 2.02, 5.1, 5.12]


def test_a_single_time_that_was_damaged_changes_nothing_after_it() -> None:
    times, _ = moved([packet(PICTURE, time) for time in (6.0, 6.1, 0.7, 6.3, 6.4)])
    assert times == [6.0, 6.1, 6.2, 6.3, 6.4]


def test_every_restart_counts() -> None:
    times, arrivals = moved([packet(PICTURE, time) for time in (0.0, 0.1, 0.2, 0.3) * 3])
    assert times == pytest.approx([number / 10 for number in range(12)])
    assert sum(arrivals) == 2


def test_packets_without_a_time_are_passed_on() -> None:
    clock, empty = RunningClock(), packet(PICTURE, 0.0)
    empty.dts = empty.pts = None
    clock.move(empty)
    empty.time_base = None
    assert clock.move(empty) is False
    assert empty.dts is None
