"""Legs and gait of four-legged animals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .colour import Colour
from .sketch import Point, Sketch


def draw_leg(
    sketch: Sketch, hip: Point, length: float, swing: float, widths: Sequence[float], colour: Colour, hoof: Colour
) -> None:
    """A two-segment leg hanging from the hip, swung by `swing` radians, with a hoof or paw."""
    knee = (hip[0] + 0.5 * length * math.sin(swing), hip[1] + 0.5 * length * math.cos(swing))
    bend = swing * 0.3 - 0.12
    foot = (knee[0] + 0.46 * length * math.sin(bend), knee[1] + 0.46 * length * math.cos(bend))
    sketch.limb([hip, knee, foot], widths, colour)
    width = widths[-1]
    sketch.box(
        (foot[0] - width * 0.55, foot[1] - width * 0.2),
        (foot[0] + width * 0.8, foot[1] + width * 0.5),
        hoof,
        radius=width * 0.2,
    )


def random_stride(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Swings of the four legs: rear far, rear near, front far, front near."""
    step = rng.uniform(0.0, 0.4)
    return step, -step * 0.8, -step, step * 0.8
