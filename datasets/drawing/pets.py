"""Sketches of pets: bird, cat, dog. All face right, cats look at the viewer; y = 0 is the ground."""

from __future__ import annotations

import numpy as np

from .colour import Colour, any_colour, random_colour, shade
from .legs import draw_leg, random_stride
from .sketch import Sketch

_EYE: Colour = (20, 18, 18)


def bird(rng: np.random.Generator) -> Sketch:
    """A bird, perched or in flight: drop-shaped body, beak, wing feathers, tail."""
    sketch = Sketch(rng, grain=0.03)
    plumage = random_colour(rng, hue=(0, 360), saturation=(0.6, 1.0), value=(0.5, 0.95))
    wing, breast = shade(plumage, 0.6), random_colour(rng, hue=(15, 60), saturation=(0.2, 0.8), value=(0.8, 1.0))
    beak = random_colour(rng, hue=(35, 50), saturation=(0.8, 1.0), value=(0.85, 1.0))
    flying = rng.random() < 0.4
    sketch.polygon([(-0.4, -0.46), (-1.0, -0.42), (-1.02, -0.26), (-0.9, -0.2), (-0.3, -0.28)], wing)
    if flying:
        lift = rng.uniform(0.5, 0.75)
        sketch.blob([(0.2, -0.5), (0.1, -0.55 - lift), (-0.16, -0.5 - lift), (-0.3, -0.45)], shade(wing, 0.8))
    else:
        for x in (-0.06, 0.12):
            sketch.line([(x, -0.2), (x + 0.02, 0.0), (x + 0.12, 0.02)], 0.055, shade(beak, 0.8))
    sketch.blob(
        [(-0.52, -0.36), (-0.3, -0.55), (0.14, -0.68), (0.4, -0.5), (0.36, -0.24), (0.0, -0.1), (-0.34, -0.2)], plumage
    )
    sketch.blob([(0.42, -0.46), (0.42, -0.22), (0.05, -0.08), (0.0, -0.2), (0.25, -0.35)], breast, mark=True)
    hx, hy = 0.42, -0.7
    sketch.polygon([(hx + 0.1, hy - 0.1), (hx + 0.5, hy + 0.03), (hx + 0.1, hy + 0.13)], beak)
    sketch.line([(hx + 0.12, hy + 0.03), (hx + 0.44, hy + 0.03)], 0.018, shade(beak, 0.6), mark=True)
    sketch.disc((hx, hy), 0.23, plumage)
    if rng.random() < 0.4:
        sketch.curve([(hx - 0.05, hy - 0.18), (hx - 0.16, hy - 0.34), (hx - 0.3, hy - 0.36)], 0.09, wing)
    sketch.disc((hx + 0.09, hy - 0.05), 0.055, (245, 245, 240))
    sketch.disc((hx + 0.1, hy - 0.05), 0.033, _EYE)
    if flying:
        reach = rng.uniform(0.55, 0.8)
        sketch.blob(
            [(0.22, -0.46), (-0.05, -0.5 - reach), (-0.4, -0.5 - reach * 0.95), (-0.34, -0.36), (-0.1, -0.32)], wing
        )
        for share in (0.3, 0.6):
            sketch.line(
                [(0.1 - share * 0.4, -0.4), (-0.05 - share * 0.35, -0.45 - reach)], 0.03, shade(wing, 0.6), mark=True
            )
    else:
        sketch.blob([(0.16, -0.5), (-0.2, -0.52), (-0.66, -0.3), (-0.2, -0.22), (0.1, -0.28)], wing)
        for y in (-0.42, -0.34):
            sketch.curve([(0.1, y), (-0.15, y), (-0.42, y + 0.04)], 0.03, shade(wing, 0.6), mark=True)
    return sketch


def cat(rng: np.random.Generator) -> Sketch:
    """A cat facing the viewer, sitting or walking: round head, pointed ears, whiskers, stripes, long tail."""
    sketch = Sketch(rng, grain=0.05)
    if rng.random() < 0.6:
        coat = random_colour(rng, hue=(215, 260), saturation=(0.0, 0.14), value=(0.3, 0.6))
    else:
        coat = random_colour(rng, hue=(20, 30), saturation=(0.75, 0.95), value=(0.75, 0.95))
    stripe, pale = shade(coat, 0.55), shade(coat, 1.35)
    curl = rng.uniform(-0.1, 0.15)
    if rng.random() < 0.55:  # sitting
        sketch.curve([(-0.3, -0.08), (-0.62, -0.12), (-0.68, -0.42), (-0.5 + curl, -0.6)], 0.11, stripe)
        sketch.blob([(-0.36, -0.02), (-0.4, -0.3), (-0.24, -0.62), (0.24, -0.62), (0.4, -0.3), (0.36, -0.02)], coat)
        for y in (-0.5, -0.38, -0.26):
            for side in (-1, 1):
                sketch.curve([(side * 0.42, y), (side * 0.3, y + 0.03), (side * 0.2, y)], 0.045, stripe, mark=True)
        sketch.ellipse((0, -0.4), (0.14, 0.22), pale, mark=True)
        for side in (-1, 1):
            sketch.limb([(side * 0.1, -0.34), (side * 0.1, -0.04)], [0.12, 0.12], shade(coat, 1.1))
            sketch.ellipse((side * 0.12, -0.02), (0.1, 0.055), pale)
        hx, hy = 0.0, -0.82
    else:
        rear_far, rear_near, front_far, front_near = random_stride(rng)
        widths = (0.15, 0.11, 0.1)
        draw_leg(sketch, (-0.52, -0.34), 0.34, rear_far, widths, shade(coat, 0.7), shade(coat, 0.7))
        draw_leg(sketch, (0.22, -0.34), 0.34, front_far, widths, shade(coat, 0.7), shade(coat, 0.7))
        sketch.curve([(-0.58, -0.5), (-0.8, -0.6), (-0.84, -0.86), (-0.7 + curl, -1.04)], 0.1, stripe)
        sketch.blob(
            [
                (-0.64, -0.54),
                (-0.3, -0.62),
                (0.1, -0.58),
                (0.4, -0.62),
                (0.44, -0.34),
                (0.1, -0.26),
                (-0.3, -0.26),
                (-0.62, -0.3),
            ],
            coat,
        )
        for x in (-0.45, -0.3, -0.15, 0.0):
            sketch.curve([(x, -0.64), (x + 0.03, -0.5), (x - 0.01, -0.4)], 0.05, stripe, mark=True)
        draw_leg(sketch, (-0.5, -0.36), 0.36, rear_near, widths, coat, pale)
        draw_leg(sketch, (0.3, -0.36), 0.36, front_near, widths, coat, pale)
        hx, hy = 0.5, -0.74
    for side in (-1, 1):
        sketch.polygon(
            [(hx + side * 0.29, hy - 0.04), (hx + side * 0.27, hy - 0.4), (hx + side * 0.04, hy - 0.22)], coat
        )
        sketch.polygon(
            [(hx + side * 0.24, hy - 0.1), (hx + side * 0.235, hy - 0.31), (hx + side * 0.1, hy - 0.2)], (224, 150, 150)
        )
    sketch.ellipse((hx, hy), (0.31, 0.26), coat)
    for dx in (-0.08, 0.0, 0.08):
        sketch.line([(hx + dx, hy - 0.25), (hx + dx * 0.8, hy - 0.13)], 0.036, stripe, mark=True)
    sketch.ellipse((hx, hy + 0.1), (0.15, 0.11), pale)
    iris = random_colour(rng, hue=(50, 130), saturation=(0.6, 0.9), value=(0.7, 0.95))
    for side in (-1, 1):
        sketch.ellipse((hx + side * 0.13, hy - 0.03), (0.065, 0.055), iris)
        sketch.ellipse((hx + side * 0.13, hy - 0.03), (0.022, 0.05), _EYE)
        for dy in (0.06, 0.11):
            sketch.line(
                [(hx + side * 0.1, hy + dy), (hx + side * 0.3, hy + dy + 0.03)], 0.014, (245, 245, 245), mark=True
            )
    sketch.polygon([(hx - 0.04, hy + 0.05), (hx + 0.04, hy + 0.05), (hx, hy + 0.1)], (214, 120, 120))
    return sketch


def dog(rng: np.random.Generator) -> Sketch:
    """A dog: slender body, long snout with a black nose, hanging ear, raised tail, collar."""
    sketch = Sketch(rng, grain=0.05)
    coat = random_colour(rng, hue=(26, 40), saturation=(0.45, 0.75), value=(0.55, 0.9))
    ear = shade(coat, 0.5)
    pale = shade(coat, 1.25)
    rear_far, rear_near, front_far, front_near = random_stride(rng)
    widths = (0.15, 0.11, 0.09)
    wag = rng.uniform(-0.15, 0.15)
    if rng.random() < 0.35:  # sitting
        sketch.curve([(-0.4, -0.12), (-0.66, -0.16), (-0.78 + wag, -0.36)], 0.1, coat)
        draw_leg(sketch, (0.22, -0.5), 0.52, -0.1, widths, shade(coat, 0.75), shade(coat, 0.6))
        sketch.limb([(-0.22, -0.28), (0.16, -0.74)], [0.5, 0.38], coat)
        sketch.ellipse((-0.2, -0.22), (0.28, 0.22), shade(coat, 0.92))
        sketch.limb([(-0.12, -0.06), (0.06, -0.06)], [0.12, 0.1], shade(coat, 0.92))
        draw_leg(sketch, (0.26, -0.56), 0.56, 0.08, widths, coat, pale)
        hx, hy = 0.28, -1.02
    else:
        draw_leg(sketch, (-0.5, -0.44), 0.44, rear_far, widths, shade(coat, 0.72), shade(coat, 0.6))
        draw_leg(sketch, (0.34, -0.44), 0.44, front_far, widths, shade(coat, 0.72), shade(coat, 0.6))
        sketch.curve([(-0.54, -0.66), (-0.74, -0.8), (-0.78 + wag, -1.04)], 0.1, coat)
        sketch.blob(
            [
                (-0.6, -0.7),
                (-0.2, -0.7),
                (0.3, -0.76),
                (0.5, -0.66),
                (0.42, -0.36),
                (0.1, -0.36),
                (-0.3, -0.44),
                (-0.58, -0.44),
            ],
            coat,
        )
        sketch.blob([(-0.4, -0.72), (0.1, -0.73), (0.12, -0.55), (-0.36, -0.58)], shade(coat, 0.7), mark=True)
        draw_leg(sketch, (-0.5, -0.48), 0.48, rear_near, (0.21, 0.12, 0.09), coat, pale)
        draw_leg(sketch, (0.38, -0.48), 0.48, front_near, widths, coat, pale)
        hx, hy = 0.6, -0.98
        sketch.limb([(0.38, -0.64), (hx, hy + 0.02)], [0.28, 0.22], coat)
    sketch.line([(hx - 0.17, hy + 0.14), (hx + 0.03, hy + 0.2)], 0.06, any_colour(rng, value=(0.6, 0.95)))
    sketch.disc((hx, hy), 0.185, coat)
    sketch.limb([(hx + 0.06, hy + 0.05), (hx + 0.34, hy + 0.09)], [0.2, 0.13], pale)
    sketch.disc((hx + 0.4, hy + 0.05), 0.05, _EYE)
    sketch.line([(hx + 0.16, hy + 0.13), (hx + 0.34, hy + 0.13)], 0.02, shade(coat, 0.4), mark=True)
    sketch.ellipse((hx - 0.12, hy + 0.04), (0.085, 0.2), ear, degrees=rng.uniform(5, 25))
    sketch.disc((hx + 0.07, hy - 0.05), 0.03, _EYE)
    return sketch
