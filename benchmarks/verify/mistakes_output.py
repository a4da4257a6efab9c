"""Mistakes behind the network: class maps moved by a few pixels, class indices exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .hypothesis import Hypothesis
from .reference import Reference

_FARTHEST = 3  # pixels in each direction
_FARTHEST_DIAGONALLY = 16  # crops are wrong by the same amount in rows and columns


def output_mistakes(
    reference: Reference, classes: Sequence[tuple[int, int]], order: Sequence[int] | None
) -> Iterator[Hypothesis]:
    """Everything that can go wrong with the class map.

    Args:
        reference: The network as it should be.
        classes: Pairs of classes that may have been exchanged.
        order: The class that each class of the class maps really is, if they look permuted.
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
    yield Hypothesis(
        "the classes are numbered from 1, not from 0",
        lambda frame: np.pad(reference.logits(frame), ((1, 0), (0, 0), (0, 0)), constant_values=-np.inf),
        "when counted from 0",
    )
    for first, second in classes:
        exchanged = list(range(len(names)))
        exchanged[first], exchanged[second] = second, first
        yield Hypothesis(
            f"class scores permuted: {names[first]} and {names[second]} exchanged",
            lambda frame, exchanged=exchanged: reference.logits(frame)[exchanged],  # type: ignore[misc]
            "with the two exchanged",
        )
    if order is not None:
        moved = [
            f"{names[really]} is returned as {names[index]}" for index, really in enumerate(order) if really != index
        ]
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        yield Hypothesis(
            f"class scores permuted: {', '.join(moved[:3])}{more}",
            lambda frame: reference.logits(frame)[list(order)],
            "with them put back",
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


def class_order(pairs: NDArray[np.int64]) -> list[int] | None:
    """The class that each found class really is, if all classes look permuted; None if they do not.

    Args:
        pairs: Expected classes (rows) against those that were found (columns), in pixels.
    """
    found = {int(row): int(pairs[row].argmax()) for row in np.flatnonzero(pairs.sum(1))}
    if len(set(found.values())) < len(found) or all(row == column for row, column in found.items()):
        return None
    order = dict(zip(found.values(), found.keys(), strict=True))
    # Of classes that do not occur nothing is known: they stay where they are, if there is room.
    spare = [index for index in range(len(pairs)) if index not in found]
    for index in range(len(pairs)):
        if index not in order:
            order[index] = spare.pop(spare.index(index) if index in spare else 0)
    return [order[index] for index in range(len(pairs))]


def _moved(logits: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Everything moved down by `rows` and right by `columns`; NaN where nothing moved in."""
    result = np.full_like(logits, np.nan)
    _, height, width = logits.shape
    result[:, max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = logits[
        :, max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
    ]
    return result
