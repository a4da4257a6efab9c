"""`LanePool`: the lanes of a profile, lent to one batch at a time."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence

from ..errors import InferenceError
from ..gpu.device_memory import Stream
from .engine_lane import Lane


class LanePool:
    """The lanes of a profile, lent to one batch at a time.

    Attributes:
        max_batch: Most frames in a lane.
        stream: The stream that the profile's network computes on.
    """

    def __init__(self, lanes: Sequence[Lane], max_batch: int, stream: Stream) -> None:
        self.max_batch = max_batch
        self.stream = stream
        self._count = len(lanes)
        # The lane used last comes first: one caller alone then fills the buffers of one. None: no lane will come.
        self._free: queue.LifoQueue[Lane | None] = queue.LifoQueue()
        for lane in lanes:
            self._free.put(lane)

    def take(self, under_way: deque[Lane]) -> Lane:
        """A free lane; if there is none, the caller's own oldest batch is finished first.

        Callers that kept a lane while they wait for another could wait for each other for ever.
        """
        while under_way:
            try:
                lane = self._free.get_nowait()
                break
            except queue.Empty:
                self.finish(under_way)
        else:
            lane = self._free.get()
        if lane is None:
            self._free.put(None)
            raise InferenceError("the runner is closed; open the model again")
        return lane

    def give_back(self, lane: Lane) -> None:
        """Make a lane free again."""
        self._free.put(lane)

    def finish(self, under_way: deque[Lane]) -> None:
        """Collect the oldest of the caller's batches and free its lane."""
        lane = under_way.popleft()
        try:
            lane.collect()
        finally:
            self.give_back(lane)

    def finish_all(self, under_way: deque[Lane]) -> None:
        """Collect all of the caller's batches, also behind one that failed."""
        try:
            while under_way:
                self.finish(under_way)
        finally:
            if under_way:
                self.finish_all(under_way)

    def retire(self) -> None:
        """Wait for all lanes to be free, and lend none any more."""
        for _ in range(self._count):
            self._free.get()
        self._free.put(None)
