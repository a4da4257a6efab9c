"""Waiting inside of FFmpeg, and being able to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def interruptible(work: Callable[[], T]) -> T:
    """What `work` returns or raises, from a thread of its own.

    Ctrl-C and SIGTERM reach the caller at once while FFmpeg waits for a network or a device; in the caller's own thread
    they would come when it is done, and be lost in FFmpeg's error. What was begun then ends by itself.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as exc:
            outcome.set_exception(exc)

    threading.Thread(target=run, name="fcnrt-open", daemon=True).start()
    return outcome.result()
