"""Frames through a segmenter, several of the same size in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")


def segment_items(
    segmenter: Callable[[NDArray[np.uint8]], NDArray[np.uint8] | None],
    items: Iterable[Item],
    frame_of: Callable[[Item], NDArray[np.uint8] | None],
    *,
    batch: int = 1,
) -> Iterator[tuple[Item, NDArray[np.uint8] | None]]:
    """Each item with the class map of its frame, in order.

    Args:
        segmenter: Turns frames (N, H, W, 3) into class maps (N, H, W), and one frame (H, W, 3) into one class map; into
            None if it does not take frames of their size: their class maps are None too.
        items: What to work through.
        frame_of: The frame of an item, uint8 (H, W, 3), or None for an item that has none: its class map is None too.
        batch: Number of frames of the same size to hand over together, if they follow each other directly.
    """
    waiting: list[tuple[Item, NDArray[np.uint8] | None]] = []
    frames: list[NDArray[np.uint8]] = []
    for item in items:
        frame = frame_of(item)
        if frame is not None and frames and frame.shape != frames[0].shape:
            yield from _segment(segmenter, waiting, frames)
            waiting, frames = [], []
        waiting.append((item, frame))
        if frame is not None:
            frames.append(frame)
        if len(frames) in (0, batch):
            yield from _segment(segmenter, waiting, frames)
            waiting, frames = [], []
    yield from _segment(segmenter, waiting, frames)


def _segment(
    segmenter: Callable[[NDArray[np.uint8]], NDArray[np.uint8] | None],
    waiting: list[tuple[Item, NDArray[np.uint8] | None]],
    frames: list[NDArray[np.uint8]],
) -> Iterator[tuple[Item, NDArray[np.uint8] | None]]:
    class_maps: Iterator[NDArray[np.uint8] | None]
    if len(frames) == 1:  # no copy into a batch
        class_maps = iter([segmenter(frames[0])])
    else:
        results = segmenter(np.stack(frames)) if frames else None
        class_maps = repeat(None) if results is None else iter(results)
    for item, frame in waiting:
        yield item, None if frame is None else next(class_maps)
