from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from fcnrt.export.engine.progress import BuildProgress, run_interruptibly


def test_nested_phases_make_one_rising_fraction() -> None:
    told: list[tuple[float, str]] = []
    progress = BuildProgress(lambda fraction, phase: told.append((fraction, phase)))
    progress.start("build", None, 2)
    progress.start("parse", "build", 4)
    progress.step("parse", 1)
    progress.finish("parse")
    progress.step("build", 0)
    progress.start("time", "build", 2)
    progress.step("time", 0)
    progress.finish("time")
    progress.step("build", 1)
    assert told == [
        (0, "build"),
        (0, "parse"),
        (0.25, "parse"),
        (0.5, "build"),
        (0.5, "time"),
        (0.75, "time"),
        (1, "build"),
    ]


def test_a_phase_that_is_not_known_or_repeats_steps_does_no_harm() -> None:
    told: list[float] = []
    progress = BuildProgress(lambda fraction, phase: told.append(fraction))
    assert progress.step("unheard of", 3)
    progress.start("build", None, 0)
    progress.step("build", 9)
    progress.start("again", None, 4)
    assert told == [0, 0, 1, 1]


def test_a_cancelled_build_is_told_to_stop() -> None:
    progress = BuildProgress(lambda fraction, phase: None)
    progress.start("build", None, 2)
    assert progress.step("build", 0)
    progress.cancelled.set()
    assert not progress.step("build", 1)


def test_work_runs_elsewhere_and_its_result_and_failure_come_back() -> None:
    assert run_interruptibly(threading.current_thread, threading.Event()) is not threading.main_thread()

    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run_interruptibly(fail, threading.Event())


def test_interrupted_work_is_waited_for_however_often_it_is_interrupted() -> None:
    cancelled = threading.Event()
    ended = []

    def work() -> None:
        for _ in range(3):
            time.sleep(0.25)
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.25)
        assert cancelled.is_set()
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, cancelled)
    assert ended == [True]
