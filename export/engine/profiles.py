"""Which sizes an engine is built for, where the user does not say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ...runtime.engines.optimization_profile import DEFAULT_PROFILE, OptimizationProfile
from ...runtime.spec import ImageSize

_LARGEST = (DEFAULT_PROFILE.max, ImageSize(720, 1280), ImageSize(512, 512))  # largest first


def default_profile(max_batch: int, *, fits: Callable[[ImageSize], bool]) -> OptimizationProfile:
    """`DEFAULT_PROFILE`, or as much of it as fits into memory.

    Args:
        max_batch: Most frames in one call.
        fits: Whether there is memory for frames of a size; if not even the smallest choice fits, it is returned.
    """
    largest = next((size for size in _LARGEST if fits(size)), _LARGEST[-1])
    return replace(DEFAULT_PROFILE, max=largest, max_batch=max_batch)


def profiles_for(sizes: Iterable[ImageSize], *, max_batch: int = 1) -> list[OptimizationProfile]:
    """Profiles for sizes that really occur: one for landscape and square frames, one for portrait frames.

    Each is tuned for its most frequent size (of equally frequent ones the largest). One profile for both would have to
    reserve memory for the square of the longest side.

    Args:
        sizes: Sizes of frames, each as often as it occurs.
        max_batch: Most frames in one call.

    Raises:
        ValueError: If there are no sizes.
    """
    counts: dict[ImageSize, int] = {}
    for size in sizes:
        counts[size] = counts.get(size, 0) + 1
    if not counts:
        raise ValueError("there are no sizes to choose profiles from")
    profiles = []
    for portrait in (False, True):
        group = {size: count for size, count in counts.items() if (size.height > size.width) == portrait}
        if group:
            heights, widths = [size.height for size in group], [size.width for size in group]
            best = max(group, key=lambda size: (group[size], size.height * size.width))
            smallest, largest = ImageSize(min(heights), min(widths)), ImageSize(max(heights), max(widths))
            profiles.append(OptimizationProfile(smallest, best, largest, max_batch))
    return profiles
