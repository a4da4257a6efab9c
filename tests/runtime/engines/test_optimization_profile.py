from __future__ import annotations

import pytest

from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.spec import ImageSize


def test_text_form() -> None:
    profile = OptimizationProfile.parse("32x48, 512x640,1080x1920", max_batch=4)
    assert profile == OptimizationProfile(ImageSize(32, 48), ImageSize(512, 640), ImageSize(1080, 1920), 4)
    assert str(profile) == "32x48,512x640,1080x1920"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("512x512", "'512x512' is not a profile; write MIN,OPT,MAX"),
        ("32x32,512,1080x1920", "'512' is not a size"),
        ("32x32,512x2000,1080x1920", "the widths of a profile must rise from MIN over OPT to MAX"),
        ("600x32,512x512,1080x1920", "the heights of a profile must rise"),
    ],
)
def test_refuses_what_is_no_profile(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizationProfile.parse(text)


def test_refuses_an_empty_batch() -> None:
    with pytest.raises(ValueError, match="max_batch must be at least 1, got 0"):
        OptimizationProfile.parse("1x1,1x1,1x1", max_batch=0)


@pytest.mark.parametrize(
    ("size", "admitted"),
    [
        ("32x48", True),
        ("1080x1920", True),
        ("31x100", False),
        ("100x47", False),
        ("1081x64", False),
        ("64x1921", False),
    ],
)
def test_admits_sizes_within_both_ranges(size: str, admitted: bool) -> None:
    assert OptimizationProfile.parse("32x48,512x640,1080x1920").admits(ImageSize.parse(size)) is admitted
