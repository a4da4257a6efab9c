"""`ArrivalClock`: times for frames of a stream that sends none."""

from __future__ import annotations

import time
from fractions import Fraction

import av

ARRIVAL_TIME_BASE = Fraction(1, 1000)


class ArrivalClock:
    """Gives every frame the time at which it comes, from the first one on.

    A camera that sends Motion JPEG over HTTP sends pictures and nothing else. FFmpeg assumes 25 per second, with which
    a recording of a slower one is too short.
    """

    def __init__(self) -> None:
        self._start_s: float | None = None
        self._last = 0

    def stamp(self, frame: av.VideoFrame) -> None:
        """Set the frame's time; its duration becomes that of the frame before."""
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s
        pts = round((now_s - self._start_s) / ARRIVAL_TIME_BASE)
        frame.pts, frame.time_base, frame.duration = pts, ARRIVAL_TIME_BASE, pts - self._last
        self._last = pts
