from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from fcnrt.runtime.run.pipeline import QUEUE_CAPACITY, Channel, StageTimes, run_pipeline


def _doubled(items: Iterable[int]) -> Iterator[int]:
    return (2 * item for item in items)


def test_order_is_kept_whatever_is_slow() -> None:
    delay = random.Random(0)
    results: list[int] = []

    def slowly(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            time.sleep(delay.random() * 0.002)
            yield item

    def sink(result: int) -> None:
        time.sleep(delay.random() * 0.002)
        results.append(result)

    run_pipeline(slowly(range(200)), lambda items: _doubled(slowly(items)), sink)

    assert results == [2 * item for item in range(200)]


def test_stages_overlap() -> None:
    def slowly(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            time.sleep(0.01)
            yield item

    start = time.perf_counter()
    run_pipeline(slowly(range(30)), slowly, lambda result: time.sleep(0.01))

    assert time.perf_counter() - start < 0.75 * 3 * 30 * 0.01


def test_a_transform_may_return_more_or_fewer_results() -> None:
    results: list[int] = []

    def pairs(items: Iterable[int]) -> Iterator[int]:
        waiting: list[int] = []
        for item in items:
            waiting.append(item)
            if len(waiting) == 2:
                yield sum(waiting)
                waiting.clear()
        yield from waiting

    run_pipeline(range(5), pairs, results.append)

    assert results == [1, 5, 4]


def test_a_slow_sink_holds_the_source_back() -> None:
    read = 0
    furthest = 0
    written = 0

    def source() -> Iterator[int]:
        nonlocal read
        for item in range(60):
            read += 1
            yield item

    def sink(result: int) -> None:
        nonlocal furthest, written
        time.sleep(0.002)
        furthest = max(furthest, read - written)
        written += 1

    run_pipeline(source(), _doubled, sink)

    # Two full queues and one item in the hands of each stage.
    assert written == 60
    assert 3 <= furthest <= 2 * QUEUE_CAPACITY + 3


class _BrokenError(Exception):
    pass


def _failing(items: Iterable[int], at: int, error: type[BaseException] = _BrokenError) -> Iterator[int]:
    for item in items:
        if item == at:
            raise error(f"at {item}")
        yield item


def test_a_source_that_goes_on_by_itself_never_waits_and_loses_the_oldest() -> None:
    all_read = threading.Event()
    times = StageTimes()
    results: list[int] = []

    def source() -> Iterator[int]:
        yield from range(100)
        all_read.set()

    def busy_meanwhile(items: Iterator[int]) -> Iterator[int]:
        yield next(items)
        assert all_read.wait(5), "the source waited"
        yield from items

    run_pipeline(source(), busy_meanwhile, results.append, times=times, may_drop=lambda item: item % 10 > 0)

    kept = [item for item in results if item % 10]
    assert [item for item in results if item % 10 == 0] == list(range(0, 100, 10))
    assert kept[-QUEUE_CAPACITY:] == [97, 98, 99]
    assert len(kept) <= QUEUE_CAPACITY + 1  # and perhaps the first that was taken
    assert results == sorted(results)
    assert times.dropped == 100 - len(results)


def test_an_error_of_the_source_comes_after_everything_read_before() -> None:
    results: list[int] = []

    with pytest.raises(_BrokenError, match="at 7"):
        run_pipeline(_failing(range(100), 7), _doubled, results.append)

    assert results == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("error", [_BrokenError, KeyboardInterrupt])
def test_an_error_between_stops_the_source_and_finishes_the_sink(error: type[BaseException]) -> None:
    results: list[int] = []
    read: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield len(read) - 1

    with pytest.raises(error):
        run_pipeline(endless(), lambda items: _failing(items, 20, error), results.append)

    assert results == list(range(20))
    assert len(read) <= 20 + QUEUE_CAPACITY + 2


def test_an_error_of_the_sink_stops_everything() -> None:
    def sink(result: int) -> None:
        if result == 10:
            raise _BrokenError("disk full")

    def endless() -> Iterator[int]:
        item = 0
        while True:
            yield item
            item += 1

    with pytest.raises(_BrokenError, match="disk full"):
        run_pipeline(endless(), _doubled, sink)


def test_the_error_nearest_the_sink_is_raised() -> None:
    def sink(result: int) -> None:
        if result == 10:
            raise _BrokenError("disk full")

    with pytest.raises(_BrokenError, match="disk full"):
        run_pipeline(_failing(range(9), 6), _doubled, sink)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with pytest.raises(_BrokenError):
        run_pipeline(_failing(range(100), 50), _doubled, lambda result: None)

    assert threading.active_count() == before


def test_ctrl_c_arrives_while_waiting_and_a_second_one_does_not_hurry_the_sink() -> None:
    results: list[int] = []
    waiting = threading.Event()

    def source() -> Iterator[int]:
        yield from range(3)
        waiting.set()
        time.sleep(0.3)  # a source that has nothing yet

    def sink(result: int) -> None:
        waiting.wait()
        time.sleep(0.1)
        results.append(result)

    def interrupt() -> None:
        waiting.wait()
        for _ in range(2):
            time.sleep(0.05)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source(), _doubled, sink)
    interrupter.join()

    assert results == [0, 2, 4]


def test_an_abandoned_channel_takes_nothing() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    channel.abandon()

    assert not channel.put(2)
    assert list(channel) == []


def test_the_busy_time_of_each_stage_is_told() -> None:
    def slowly(items: Iterable[int], seconds: float) -> Iterator[int]:
        for item in items:
            time.sleep(seconds)
            yield item

    times = StageTimes()

    run_pipeline(slowly(range(20), 0.002), lambda items: slowly(items, 0.02), lambda result: None, times=times)

    assert times.wall_s >= times.transform_s >= 20 * 0.02
    assert times.transform_s > 0.8 * times.wall_s
    assert times.transform_s > times.read_s >= 20 * 0.002
    assert times.read_s > times.write_s > 0


def test_busy_times_are_told_after_an_error() -> None:
    times = StageTimes()

    with pytest.raises(_BrokenError, match="at 6"):
        run_pipeline(_failing(range(9), 6), _doubled, lambda result: None, times=times)

    assert times.wall_s > 0
