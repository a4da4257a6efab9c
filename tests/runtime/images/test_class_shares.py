from __future__ import annotations

import numpy as np
import pytest

from fcnrt.runtime.errors import InferenceError
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


def test_a_class_that_the_network_does_not_have_is_refused() -> None:
    shares = ClassShares(["background", "car"])
    class_map = np.zeros((2, 3), np.uint8)
    class_map[1, 1] = 2
    with pytest.raises(InferenceError, match="the model returned class 2, and names the 2 classes 0 to 1: its file"):
        shares.add(class_map)
    assert shares.frame_count == 0
    ClassShares([str(index) for index in range(256)]).add(np.full((2, 3), 255, np.uint8))
