"""Mistakes behind the network: class maps moved by a few pixels, class indices exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .hypothesis import Hypothesis
from .reference import Reference

_FARTHEST = 3  # pixels in each direction
_FARTHEST_DIAGONALLY = 16  # crops are wrong by the same amount in rows and columns


def output_mistakes(reference: Reference, classes: Sequence[tuple[int, int]]) -> Iterator[Hypothesis]:
    """Everything that can go wrong with the class map.

    Args:
        reference: The network as it should be.
        classes: Pairs of classes that may have been exchanged.
    """
    near = range(-_FARTHEST, _FARTHEST + 1)
    moves = {(rows, columns) for rows in near for columns in near}
    moves |= {(step, step) for step in range(-_FARTHEST_DIAGONALLY, _FARTHEST_DIAGONALLY + 1)}
    for rows, columns in sorted(moves - {(0, 0)}, key=lambda move: (abs(move[0]) + abs(move[1]), move)):
        amount = "one" if max(abs(rows), abs(columns)) == 1 else str(max(abs(rows), abs(columns)))
        yield Hypothesis(
            f"crop off by {amount}: the class map is moved by {rows:+d} rows and {columns:+d} columns",
            lambda frame, rows=rows, columns=columns: _moved(reference.logits(frame), rows, columns),  # type: ignore[misc]
            "when moved back",
        )
    names = reference.checkpoint.class_names
    for first, second in classes:
        order = list(range(len(names)))
        order[first], order[second] = second, first
        yield Hypothesis(
            f"class scores permuted: {names[first]} and {names[second]} exchanged",
            lambda frame, order=order: reference.logits(frame)[order],  # type: ignore[misc]
            "with the two exchanged",
        )


def exchanged_classes(pairs: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of classes that look exchanged, most pixels first.

    Args:
        pairs: Expected classes (rows) against those that were found (columns), in pixels.
    """
    off_diagonal = pairs - np.diag(np.diag(pairs))
    both = np.triu(off_diagonal + off_diagonal.T)
    ranked = np.argsort(both, axis=None)[::-1][:3]
    found = [divmod(int(index), len(pairs)) for index in ranked]
    return [(first, second) for first, second in found if both[first, second] > 0]


def _moved(logits: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Everything moved down by `rows` and right by `columns`; NaN where nothing moved in."""
    result = np.full_like(logits, np.nan)
    _, height, width = logits.shape
    result[:, max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = logits[
        :, max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
    ]
    return result
