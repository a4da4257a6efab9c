"""Three stages at once: reading, working and writing overlap, in order and in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUE_CAPACITY = 3
"""Items that may wait between two stages: enough to even out slow frames, few enough for large ones."""


@dataclass
class StageTimes:
    """Seconds that each stage of a pipeline was at work, which is not waiting for another stage; they overlap.

    Attributes:
        read_s: The source.
        transform_s: The transform.
        write_s: The sink.
        wall_s: From the start to the end of all three.
        dropped: Items of the source that were dropped, since the transform was not fast enough.
        sound_lost: Pieces of a video's sound that were damaged, or came a second time, and are left out.
        read_by: The part of a GPU that the source used to the end; None for none.
        write_by: The part of a GPU that the sink used.
    """

    read_s: float = 0.0
    transform_s: float = 0.0
    write_s: float = 0.0
    wall_s: float = 0.0
    dropped: int = 0
    sound_lost: int = 0
    read_by: str | None = None
    write_by: str | None = None


def run_pipeline(
    source: Iterable[Item],
    transform: Callable[[Iterator[Item]], Iterable[Result]],
    sink: Callable[[Result], None],
    *,
    times: StageTimes | None = None,
    may_drop: Callable[[Item], bool] | None = None,
) -> None:
    """Pass every item of the source through the transform into the sink, the three of them at the same time.

    The source is read in one thread and the sink called in another; the transform runs in the caller's thread, so that
    Ctrl-C reaches it. Everything stays in order, and at most `QUEUE_CAPACITY` items wait between two stages. Returns
    when the sink has taken the last result and both threads have ended.

    A stage that fails, and Ctrl-C, end the stream at that point: the stages before it are told to stop, the stages
    after it finish what they have been given. So after an error of the source, the sink holds every result of what was
    read before it.

    Args:
        source: The items.
        transform: Turns items into results, in order; it may give more or fewer of them.
        sink: Takes each result.
        times: Is filled in when the pipeline ends, however it ends; sound and what GPUs did are for the caller to
            add.
        may_drop: For a source that goes on by itself, like a camera: whether an item may be dropped. The source then
            never waits: of those items the newest `QUEUE_CAPACITY` are kept for the transform, and all others.

    Raises:
        BaseException: Whatever a stage raised. If several did, the one nearest the sink, since it says most about
            what was written.
    """
    incoming: Channel[Item] = Channel(QUEUE_CAPACITY, may_drop=may_drop)
    outgoing: Channel[Result] = Channel(QUEUE_CAPACITY)
    errors: dict[str, BaseException] = {}
    start = time.perf_counter()
    ended: dict[str, float] = {}

    def read() -> None:
        try:
            for item in source:
                if not incoming.put(item):
                    break
        except BaseException as exc:
            errors["source"] = exc
        finally:
            incoming.close()
            ended["source"] = time.perf_counter()

    def write() -> None:
        try:
            for result in outgoing:
                sink(result)
        except BaseException as exc:
            errors["sink"] = exc
        finally:
            outgoing.abandon()
            ended["sink"] = time.perf_counter()

    threads = [threading.Thread(target=read, name="fcnrt-read"), threading.Thread(target=write, name="fcnrt-write")]
    for thread in threads:
        thread.start()
    try:
        for result in transform(iter(incoming)):
            if not outgoing.put(result):
                break
    except BaseException as exc:
        errors["transform"] = exc
    finally:
        incoming.abandon()
        outgoing.close()
        ended["transform"] = time.perf_counter()
        for thread in threads:
            _join(thread)
    if times is not None:
        times.wall_s = time.perf_counter() - start
        times.read_s = ended["source"] - start - incoming.sender_waited_s
        times.transform_s = ended["transform"] - start - incoming.receiver_waited_s - outgoing.sender_waited_s
        times.write_s = ended["sink"] - start - outgoing.receiver_waited_s
        times.dropped = incoming.dropped
    for stage in ("sink", "transform", "source"):
        if stage in errors:
            raise errors[stage]


def _join(thread: threading.Thread) -> None:
    # A second Ctrl-C must not let the caller close a file that the thread still writes; what is left to do is bounded.
    while thread.is_alive():
        with suppress(KeyboardInterrupt):
            thread.join()


class Channel(Generic[T]):
    """A bounded queue between one sender and one receiver, that either of them can end.

    Args:
        capacity: Number of items that may wait.
        may_drop: If given, the sender never waits: beyond the capacity, the oldest item that may be dropped is. Only
            items that may be dropped count.

    Attributes:
        sender_waited_s: Seconds that the sender has waited for a place.
        receiver_waited_s: Seconds that the receiver has waited for an item.
        dropped: Number of items dropped.
    """

    def __init__(self, capacity: int, *, may_drop: Callable[[T], bool] | None = None) -> None:
        self._capacity = capacity
        self._may_drop = may_drop
        self._items: deque[T] = deque()
        self._closed = False
        self._abandoned = False
        self._changed = threading.Condition()
        self.sender_waited_s = 0.0
        self.receiver_waited_s = 0.0
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Hand over an item, waiting while the queue is full; False if the receiver has gone."""
        with self._changed:
            start = time.perf_counter()
            while self._may_drop is None and len(self._items) >= self._capacity and not self._abandoned:
                self._changed.wait()
            self.sender_waited_s += time.perf_counter() - start
            if self._abandoned:
                return False
            self._items.append(item)
            if self._may_drop is not None:
                self._drop_oldest(self._may_drop)
            self._changed.notify_all()
            return True

    def _drop_oldest(self, may_drop: Callable[[T], bool]) -> None:
        places = [place for place, item in enumerate(self._items) if may_drop(item)]
        if len(places) > self._capacity:
            del self._items[places[0]]
            self.dropped += 1

    def close(self) -> None:
        """Sender: there are no more items."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Receiver: no more items are wanted; those waiting are dropped."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                start = time.perf_counter()
                while not self._items and not self._closed and not self._abandoned:
                    self._changed.wait()
                self.receiver_waited_s += time.perf_counter() - start
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
