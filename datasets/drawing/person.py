"""Sketch of a person."""

from __future__ import annotations

import math

import numpy as np

from .colour import any_colour, mix, random_colour, shade
from .sketch import Point, Sketch


def person(rng: np.random.Generator) -> Sketch:
    """A standing or walking person from the front: head with hair and face, clothed torso, arms and legs in a pose."""
    sketch = Sketch(rng, grain=0.02)
    skin = mix((248, 214, 186), (104, 66, 46), float(rng.random()))
    shirt, trousers = any_colour(rng, value=(0.4, 0.95)), any_colour(rng, value=(0.2, 0.6))
    hair = random_colour(rng, hue=(15, 45), saturation=(0.3, 0.8), value=(0.05, 0.6))
    shoe = any_colour(rng, value=(0.1, 0.35))
    shoulder, hip = rng.uniform(0.2, 0.25), rng.uniform(0.13, 0.16)
    stance = rng.uniform(0.0, 0.3)
    for side in (-1, 1):
        knee = (side * hip * 0.7 + side * 0.26 * math.sin(stance), -0.44 + rng.uniform(-0.02, 0.02))
        foot = (knee[0] + side * 0.38 * math.sin(stance * rng.uniform(0.2, 1.0)), -0.05)
        sketch.limb(
            [(side * hip * 0.6, -0.84), knee, foot], [0.2, 0.155, 0.13], shade(trousers, 1.0 if side > 0 else 0.85)
        )
        sketch.ellipse((foot[0] + side * 0.035, -0.025), (0.1, 0.05), shoe)
    arms: list[tuple[Point, Point, Point]] = []
    for side in (-1, 1):
        lift = rng.uniform(0.1, 0.9) if rng.random() < 0.75 else rng.uniform(1.6, 2.5)
        start = (side * (shoulder - 0.03), -1.36)
        elbow = (start[0] + side * 0.3 * math.sin(lift), start[1] + 0.3 * math.cos(lift))
        fold = lift + rng.uniform(-0.6, 0.3)
        hand = (elbow[0] + side * 0.27 * math.sin(fold), elbow[1] + 0.27 * math.cos(fold))
        arms.append((start, elbow, hand))
    long_sleeves = rng.random() < 0.5
    for start, elbow, hand in arms:
        sketch.limb([start, elbow, hand], [0.14, 0.115, 0.095], shade(shirt, 0.9) if long_sleeves else skin)
        middle = ((start[0] + elbow[0]) / 2, (start[1] + elbow[1]) / 2)
        sketch.limb([start, middle], [0.15, 0.145], shade(shirt, 0.9))
        sketch.disc(hand, 0.062, skin)
    if rng.random() < 0.3:
        hair_length = rng.uniform(0.1, 0.3)
        sketch.box((-0.17, -1.76), (0.17, -1.44 + hair_length), hair, radius=0.1)
    sketch.limb([(0, -1.55), (0, -1.38)], [0.11, 0.13], shade(skin, 0.85))
    sketch.blob(
        [
            (-shoulder, -1.4),
            (0, -1.46),
            (shoulder, -1.4),
            (hip + 0.03, -1.05),
            (hip + 0.02, -0.78),
            (-hip - 0.02, -0.78),
            (-hip - 0.03, -1.05),
        ],
        shirt,
    )
    pattern = rng.integers(3)
    if pattern == 1:
        for y in (-1.3, -1.18, -1.06, -0.94):
            sketch.line([(-hip, y), (hip, y)], 0.045, shade(shirt, 0.65), mark=True)
    elif pattern == 2:
        sketch.line([(0, -1.44), (0, -0.8)], 0.03, shade(shirt, 0.6), mark=True)
    sketch.line([(-hip, -0.79), (hip, -0.79)], 0.05, shade(trousers, 0.6))
    sketch.ellipse((0, -1.67), (0.135, 0.165), skin)
    sketch.blob(
        [(-0.15, -1.66), (-0.14, -1.8), (0, -1.87), (0.14, -1.8), (0.15, -1.66), (0.08, -1.75), (-0.08, -1.75)], hair
    )
    for side in (-1, 1):
        sketch.disc((side * 0.05, -1.68), 0.019, (30, 24, 24))
    sketch.line([(-0.04, -1.58), (0.04, -1.58)], 0.02, (170, 80, 80))
    return sketch
