from __future__ import annotations

import pytest

from fcnrt.runtime.pixel_agreement import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0123, "1.23 %"),
        (0.9876, "98.8 %"),
        (0.99987, "99.987 %"),
        (1 - 1 / 774_840, "99.9999 %"),  # one pixel that differs is not none
        (1 - 1e-9, "99.9999999 %"),
        (1 - 2**-53, "99.99999999999999 %"),
        (1.0, "100 %"),
    ],
)
def test_only_all_of_it_is_100_percent(share: float, text: str) -> None:
    assert percent(share) == text
