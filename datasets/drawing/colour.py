"""Random colours with plausible limits, and shades of a colour."""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np

Colour: TypeAlias = tuple[int, int, int]
"""RGB, each 0..255."""

Range: TypeAlias = tuple[float, float]


def random_colour(rng: np.random.Generator, *, hue: Range, saturation: Range, value: Range) -> Colour:
    """A colour drawn evenly from a box in HSV space.

    Args:
        rng: Source of randomness.
        hue: Lower and upper hue in degrees; values beyond 0..360 wrap, so red is ``(-15, 15)``.
        saturation: Lower and upper saturation, 0..1.
        value: Lower and upper value (brightness), 0..1.
    """
    h, s, v = rng.random(3)
    red, green, blue = colorsys.hsv_to_rgb(
        (hue[0] + h * (hue[1] - hue[0])) / 360.0 % 1.0,
        saturation[0] + s * (saturation[1] - saturation[0]),
        value[0] + v * (value[1] - value[0]),
    )
    return round(red * 255), round(green * 255), round(blue * 255)


def any_colour(rng: np.random.Generator, *, value: Range = (0.3, 0.95)) -> Colour:
    """A colour of any hue, from grey to strong."""
    return random_colour(rng, hue=(0, 360), saturation=(0.0, 0.9), value=value)


def grey(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A nearly neutral grey with a value between `low` and `high` (0..1)."""
    return random_colour(rng, hue=(0, 360), saturation=(0.0, 0.08), value=(low, high))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (`factor` < 1) or lighter (> 1)."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour a `share` (0..1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
