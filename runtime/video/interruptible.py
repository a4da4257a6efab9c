"""Waiting inside of FFmpeg, and being able to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_NAME = "fcnrt-open"


def interruptible(work: Callable[[], T]) -> T:
    """What `work` returns or raises, from a thread of its own.

    Ctrl-C and SIGTERM reach the caller at once while FFmpeg waits for a network or a device; in the caller's own thread
    they would come when it is done, and be lost in FFmpeg's error. What was begun then ends by itself, at the latest
    when its timeout is over; Python waits for that before it ends, as FFmpeg would crash in a process that is being
    taken down.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as exc:
            outcome.set_exception(exc)

    threading.Thread(target=run, name=_NAME).start()
    return outcome.result()


def is_waiting() -> bool:
    """Whether some of that work goes on, wanted or not."""
    return any(thread.name == _NAME for thread in threading.enumerate())
