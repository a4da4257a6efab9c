from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcnrt.runtime.run.batching import segment_items


class _Recorder:
    """A segmenter that returns the red channel, and remembers the shapes it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.shapes.append(frames.shape)
        return frames[..., 0].copy()


def _frame(value: int, height: int = 2) -> NDArray[np.uint8]:
    return np.full((height, 3, 3), value, np.uint8)


def test_single_frames_are_handed_over_as_they_are() -> None:
    segmenter = _Recorder()

    results = list(segment_items(segmenter, [_frame(1), _frame(2)], lambda frame: frame))

    assert segmenter.shapes == [(2, 3, 3), (2, 3, 3)]
    assert [int(class_map[0, 0]) for _, class_map in results if class_map is not None] == [1, 2]


def test_frames_of_the_same_size_share_a_call() -> None:
    segmenter = _Recorder()
    frames = [_frame(value) for value in range(4)] + [_frame(4, height=5), _frame(5, height=5), _frame(6)]

    results = list(segment_items(segmenter, frames, lambda frame: frame, batch=3))

    assert segmenter.shapes == [(3, 2, 3, 3), (2, 3, 3), (2, 5, 3, 3), (2, 3, 3)]
    for value, (frame, class_map) in enumerate(results):
        assert class_map is not None
        assert (class_map == value).all()
        assert class_map.shape == frame.shape[:2]


def test_items_without_a_frame_stay_in_their_place() -> None:
    items = ["sound", 1, "sound", 2, 3, "sound"]

    results = list(
        segment_items(_Recorder(), items, lambda item: _frame(item) if isinstance(item, int) else None, batch=2)
    )

    assert [item for item, _ in results] == items
    assert [None if class_map is None else int(class_map[0, 0]) for _, class_map in results] == [
        None, 1, None, 2, 3, None,
    ]  # fmt: skip
