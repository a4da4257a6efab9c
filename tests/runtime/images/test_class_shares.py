from __future__ import annotations

import numpy as np
import pytest

from fcnrt.runtime.images.class_shares import ClassShares


def test_shares_over_several_class_maps_largest_first() -> None:
    shares = ClassShares(["background", "car", "person", "dog"])

    shares.add(np.array([[0, 0, 2], [2, 2, 2]], np.uint8))
    shares.add(np.array([[1, 0]], np.uint8))

    assert shares.frame_count == 2
    assert [name for name, _ in shares.largest()] == ["person", "background", "car"]
    assert [share for _, share in shares.largest()] == pytest.approx([4 / 8, 3 / 8, 1 / 8])


def test_nothing_seen_yet() -> None:
    assert ClassShares(["background", "car"]).largest() == []
