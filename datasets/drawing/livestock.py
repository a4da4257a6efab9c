"""Sketches of livestock: cow, horse, sheep. All face right; y = 0 is the ground."""

from __future__ import annotations

import math

import numpy as np

from .colour import Colour, random_colour, shade
from .legs import draw_leg, random_stride
from .sketch import Sketch

_EYE: Colour = (20, 18, 18)


def cow(rng: np.random.Generator) -> Sketch:
    """A cow: heavy spotted body, horns, pink muzzle, udder, thin tail with a tuft."""
    sketch = Sketch(rng, grain=0.03)
    white = rng.random() < 0.75
    coat = random_colour(rng, hue=(30, 50), saturation=(0.0, 0.12), value=(0.85, 0.98))
    spot = random_colour(rng, hue=(10, 30), saturation=(0.2, 0.7), value=(0.08, 0.4))
    if not white:
        coat, spot = random_colour(rng, hue=(16, 28), saturation=(0.55, 0.75), value=(0.4, 0.6)), coat
    hoof, pink = (52, 44, 40), (226, 160, 150)
    rear_far, rear_near, front_far, front_near = random_stride(rng)
    widths = (0.17, 0.11, 0.09)
    draw_leg(sketch, (-0.52, -0.4), 0.4, rear_far, widths, shade(coat, 0.7), hoof)
    draw_leg(sketch, (0.4, -0.4), 0.4, front_far, widths, shade(coat, 0.7), hoof)
    sketch.curve([(-0.74, -0.78), (-0.86, -0.6), (-0.84, -0.32)], 0.06, coat)
    sketch.ellipse((-0.84, -0.28), (0.05, 0.09), spot)
    sketch.ellipse((-0.32, -0.3), (0.14, 0.1), pink)
    sketch.blob(
        [
            (-0.76, -0.8),
            (-0.3, -0.84),
            (0.2, -0.82),
            (0.56, -0.86),
            (0.66, -0.6),
            (0.5, -0.34),
            (0.0, -0.28),
            (-0.5, -0.33),
            (-0.76, -0.45),
        ],
        coat,
    )
    for _ in range(int(rng.integers(4, 7))):
        x, y = rng.uniform(-0.7, 0.5), rng.uniform(-0.82, -0.36)
        sketch.ellipse(
            (x, y), (rng.uniform(0.1, 0.2), rng.uniform(0.07, 0.14)), spot, degrees=rng.uniform(0, 180), mark=True
        )
    draw_leg(sketch, (-0.6, -0.42), 0.42, rear_near, widths, coat, hoof)
    draw_leg(sketch, (0.46, -0.42), 0.42, front_near, widths, coat, hoof)
    nod = rng.uniform(-0.05, 0.25)
    hx, hy = 0.82, -0.84 + nod
    sketch.limb([(0.5, -0.68), (hx - 0.08, hy)], [0.4, 0.26], coat)
    horn = (222, 210, 180)
    sketch.curve([(hx - 0.1, hy - 0.1), (hx - 0.15, hy - 0.22), (hx - 0.04, hy - 0.3)], 0.055, horn)
    sketch.curve([(hx + 0.02, hy - 0.11), (hx + 0.1, hy - 0.2), (hx + 0.08, hy - 0.3)], 0.055, horn)
    sketch.blob(
        [
            (hx - 0.16, hy - 0.13),
            (hx + 0.04, hy - 0.15),
            (hx + 0.18, hy + 0.1),
            (hx + 0.14, hy + 0.24),
            (hx, hy + 0.2),
            (hx - 0.14, hy + 0.08),
        ],
        spot if rng.random() < 0.5 else coat,
    )
    sketch.ellipse((hx - 0.19, hy - 0.05), (0.12, 0.055), spot, degrees=25)
    sketch.ellipse((hx + 0.13, hy + 0.19), (0.11, 0.085), pink, degrees=35)
    sketch.disc((hx + 0.17, hy + 0.19), 0.02, (120, 60, 60))
    sketch.disc((hx + 0.02, hy - 0.03), 0.03, _EYE)
    return sketch


def horse(rng: np.random.Generator) -> Sketch:
    """A horse: slim body on long legs, long arched neck with a mane, long tail."""
    sketch = Sketch(rng, grain=0.03)
    coat = random_colour(rng, hue=(12, 30), saturation=(0.55, 0.85), value=(0.25, 0.62))
    mane = (
        shade(coat, 0.35)
        if rng.random() < 0.7
        else random_colour(rng, hue=(35, 45), saturation=(0.3, 0.5), value=(0.7, 0.9))
    )
    hoof = (40, 34, 32)
    rear_far, rear_near, front_far, front_near = (swing * 1.3 for swing in random_stride(rng))
    widths = (0.18, 0.115, 0.095)
    draw_leg(sketch, (-0.42, -0.62), 0.63, rear_far, widths, shade(coat, 0.7), hoof)
    draw_leg(sketch, (0.36, -0.62), 0.63, front_far, widths, shade(coat, 0.7), hoof)
    sketch.curve([(-0.56, -0.9), (-0.74, -0.78), (-0.76, -0.5), (-0.7, -0.3)], 0.13, mane)
    lean = rng.uniform(-0.08, 0.12)
    hx, hy = 0.74 + lean, -1.34 + lean
    sketch.limb([(0.34, -0.8), (0.52 + lean * 0.5, -1.08), (hx - 0.08, hy)], [0.4, 0.26, 0.19], coat)
    sketch.blob(
        [
            (-0.58, -0.9),
            (-0.3, -0.98),
            (0.1, -0.92),
            (0.42, -0.98),
            (0.56, -0.78),
            (0.42, -0.58),
            (0.05, -0.56),
            (-0.25, -0.6),
            (-0.56, -0.64),
        ],
        coat,
    )
    draw_leg(sketch, (-0.46, -0.68), 0.68, rear_near, (0.23, 0.12, 0.095), coat, hoof)
    draw_leg(sketch, (0.42, -0.68), 0.68, front_near, widths, coat, hoof)
    sketch.curve([(0.2, -0.98), (0.36 + lean * 0.4, -1.16), (hx - 0.2, hy - 0.04), (hx - 0.08, hy - 0.14)], 0.1, mane)
    sketch.polygon([(hx - 0.14, hy - 0.06), (hx - 0.1, hy - 0.25), (hx - 0.01, hy - 0.08)], coat)
    sketch.limb([(hx - 0.05, hy), (hx + 0.24, hy + 0.22)], [0.21, 0.13], coat)
    if rng.random() < 0.5:
        sketch.line([(hx + 0.02, hy - 0.06), (hx + 0.25, hy + 0.14)], 0.05, (240, 236, 230), mark=True)
    sketch.disc((hx + 0.27, hy + 0.22), 0.02, _EYE)
    sketch.disc((hx + 0.02, hy - 0.01), 0.026, _EYE)
    return sketch


def sheep(rng: np.random.Generator) -> Sketch:
    """A sheep: round woolly body with scalloped outline and curls, dark face, short legs."""
    sketch = Sketch(rng, grain=0.05)
    wool = random_colour(rng, hue=(35, 55), saturation=(0.03, 0.16), value=(0.84, 0.98))
    face = random_colour(rng, hue=(20, 40), saturation=(0.1, 0.4), value=(0.1, 0.3))
    rear_far, rear_near, front_far, front_near = (swing * 0.6 for swing in random_stride(rng))
    widths = (0.12, 0.1, 0.09)
    for x, swing, tone in (
        (-0.34, rear_far, 0.75),
        (0.24, front_far, 0.75),
        (-0.44, rear_near, 1.0),
        (0.34, front_near, 1.0),
    ):
        draw_leg(sketch, (x, -0.34), 0.34, swing, widths, shade(face, tone), shade(face, 0.6))
    rx, ry = rng.uniform(0.56, 0.64), rng.uniform(0.32, 0.37)
    centre = (-0.06, -0.56)
    count = 15
    start = rng.uniform(0, 1)
    for i in range(count):
        angle = (i + start) * 2 * math.pi / count
        sketch.disc((centre[0] + rx * math.cos(angle), centre[1] + ry * math.sin(angle)), 0.125, shade(wool, 0.94))
    sketch.ellipse(centre, (rx, ry), wool)
    for i in range(16):
        radius = math.sqrt((i + 0.5) / 16) * 0.98
        angle = i * 2.4 + start * 6
        x, y = centre[0] + rx * radius * math.cos(angle), centre[1] + ry * radius * math.sin(angle)
        sketch.curve([(x - 0.06, y), (x, y + 0.05), (x + 0.06, y)], 0.026, shade(wool, 0.76), mark=True)
    nod = rng.uniform(-0.06, 0.2)
    hx, hy = 0.64, -0.72 + nod
    sketch.ellipse((hx - 0.15, hy - 0.06), (0.13, 0.05), face, degrees=-20)
    sketch.ellipse((hx + 0.06, hy + 0.06), (0.2, 0.13), face, degrees=40)
    for dx, dy in ((-0.1, -0.08), (0.0, -0.13), (-0.06, -0.14)):
        sketch.disc((hx + dx, hy + dy), 0.085, wool)
    sketch.ellipse((hx - 0.08, hy + 0.02), (0.12, 0.05), shade(face, 1.3), degrees=30)
    sketch.disc((hx + 0.07, hy + 0.0), 0.036, (235, 230, 220))
    sketch.disc((hx + 0.075, hy + 0.0), 0.02, _EYE)
    return sketch
