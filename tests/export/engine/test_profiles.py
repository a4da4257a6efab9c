from __future__ import annotations

import pytest

from fcnrt.export.engine.profiles import default_profile, profiles_for
from fcnrt.runtime.spec import ImageSize


def sizes(*texts: str) -> list[ImageSize]:
    return [ImageSize.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("pixels_that_fit", "largest"),
    [(10_000_000, "1080x1920"), (1_000_000, "720x1280"), (300_000, "512x512"), (0, "512x512")],
)
def test_default_takes_the_largest_that_fits(pixels_that_fit: int, largest: str) -> None:
    profile = default_profile(3, fits=lambda size: size.height * size.width <= pixels_that_fit)
    assert (str(profile), profile.max_batch) == (f"32x32,512x512,{largest}", 3)


def test_one_size() -> None:
    assert list(map(str, profiles_for(sizes("480x640")))) == ["480x640,480x640,480x640"]


def test_landscape_and_portrait_get_a_profile_each() -> None:
    found = sizes("480x640", "480x640", "720x1280", "300x300", "1920x1080", "640x480")
    profiles = profiles_for(found, max_batch=2)
    assert list(map(str, profiles)) == ["300x300,480x640,720x1280", "640x480,1920x1080,1920x1080"]
    assert {profile.max_batch for profile in profiles} == {2}
    for size in found:
        assert any(profile.admits(size) for profile in profiles)


def test_a_common_range_of_unlike_sizes_stays_a_profile() -> None:
    # The most frequent size lies within the range of all, whatever the others are.
    (profile,) = profiles_for(sizes("100x900", "400x500", "400x500", "300x1000"))
    assert str(profile) == "100x500,400x500,400x1000"


def test_no_sizes() -> None:
    with pytest.raises(ValueError, match="there are no sizes"):
        profiles_for([])
