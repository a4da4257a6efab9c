"""A GPU made of numpy, as unkind as a real one may be.

Work that was queued on a stream is done late, other streams first, and memory that was not written holds garbage: a
missing wait or a buffer reused too early gives a wrong result.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from fcnrt.runtime.errors import InferenceError

GARBAGE = 0xA5


class FakeEvent:
    def __init__(self) -> None:
        self.recorded: tuple[FakeStream, int] | None = None

    def record(self, stream: FakeStream) -> None:
        stream.queued.append(lambda: None)
        self.recorded = (stream, stream.issued)
        stream.issued += 1


class FakeStream:
    def __init__(self, memory: FakeMemory, handle: int) -> None:
        self.memory, self.handle = memory, handle
        self.queued: list[Any] = []  # functions, and (stream, position) to wait for
        self.issued = self.done = 0

    def add(self, work: Any) -> None:
        with self.memory.lock:
            self.queued.append(work)
            self.issued += 1

    def wait(self, event: FakeEvent) -> None:
        assert event.recorded is not None, "waiting for an event that was never recorded waits for nothing"
        self.add(event.recorded)

    def synchronize(self) -> None:
        with self.memory.lock:
            self.memory.run_until_idle(last=self)
        if self.memory.failure:
            raise InferenceError(self.memory.failure)

    def step(self) -> bool:
        """Do the next piece of work, unless it has to wait; whether anything was done."""
        if not self.queued:
            return False
        work = self.queued[0]
        if isinstance(work, tuple):
            stream, position = work
            if stream.done <= position:
                return False
        else:
            work()
        self.queued.pop(0)
        self.done += 1
        return True


class FakeMemory:
    def __init__(self, *, limit: int = 1 << 30) -> None:
        self.lock = threading.RLock()
        self.limit = limit
        self.used = 0
        self.blocks: dict[int, np.ndarray] = {}
        self.streams: dict[int, FakeStream] = {}
        self.host_blocks = 0
        self.failure = ""
        self.lazy = False
        self.depth = threading.local()
        self.closed = False

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        self.depth.value = getattr(self.depth, "value", 0) + 1
        try:
            yield
        finally:
            self.depth.value -= 1

    def _check(self) -> None:
        assert getattr(self.depth, "value", 0) > 0, "the GPU is not current in this thread"
        assert not self.closed, "the memory was released"

    def allocate(self, size: int) -> int:
        self._check()
        self.used += size
        if self.used > self.limit:
            raise InferenceError(f"not enough memory on the GPU for {size:,} more bytes")
        address = max((begin + block.size for begin, block in self.blocks.items()), default=4096)
        self.blocks[address] = np.full(size, GARBAGE, np.uint8)
        return address

    def allocate_host(self, size: int) -> np.ndarray:
        self._check()
        self.host_blocks += 1
        return np.full(size, GARBAGE, np.uint8)

    def stream(self) -> FakeStream:
        self._check()
        stream = FakeStream(self, 77 + len(self.streams))
        self.streams[stream.handle] = stream
        return stream

    def event(self) -> FakeEvent:
        self._check()
        return FakeEvent()

    def at(self, address: int, size: int) -> np.ndarray:
        """The bytes at an address, which may lie inside a block."""
        start = max(begin for begin in self.blocks if begin <= address)
        found = self.blocks[start][address - start :][:size]
        assert found.size == size, "beyond the end of a block"
        return found

    def upload(self, address: int, host: np.ndarray, stream: FakeStream) -> None:
        self._check()

        def copy() -> None:
            self.at(address, host.size)[:] = host

        stream.add(copy)

    def download(self, host: np.ndarray, address: int, stream: FakeStream) -> None:
        self._check()

        def copy() -> None:
            host[:] = self.at(address, host.size)

        stream.add(copy)

    def run_until_idle(self, *, last: FakeStream) -> None:
        """Everything that was queued, the stream that is waited for last; if lazy, first, and no more than it takes."""
        order = [*(stream for stream in self.streams.values() if stream is not last), last]
        if self.lazy:
            order.reverse()
        while (last.queued or not self.lazy) and any(stream.step() for stream in order):
            pass
        assert not last.queued, "a stream waits for something that never happens"

    def close(self) -> None:
        self._check()
        self.closed = True


class FakeCuda:
    """`CudaDriver` on the same streams and memory."""

    index = 0

    def __init__(self, memory: FakeMemory) -> None:
        self.memory = memory

    def order(self, first: int, then: int) -> None:
        event = FakeEvent()
        event.record(self.memory.streams[first])
        self.memory.streams[then].wait(event)

    def synchronize(self, stream: int) -> None:
        self.memory.streams[stream].synchronize()

    def allocate(self, size: int) -> Any:
        with self.memory.current():
            return SimpleNamespace(address=self.memory.allocate(size))
