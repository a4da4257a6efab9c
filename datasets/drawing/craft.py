"""Sketches of what flies and floats: aeroplane, boat. Both face right."""

from __future__ import annotations

import numpy as np

from .colour import any_colour, grey, random_colour, shade
from .sketch import Sketch


def aeroplane(rng: np.random.Generator) -> Sketch:
    """An airliner, from the side or from below: fuselage, swept wings, tail, engines, window line."""
    return _aeroplane_from_below(rng) if rng.random() < 0.4 else _aeroplane_from_the_side(rng)


def _aeroplane_from_the_side(rng: np.random.Generator) -> Sketch:
    sketch = Sketch(rng)
    skin = random_colour(rng, hue=(190, 230), saturation=(0.0, 0.12), value=(0.75, 0.98))
    livery = random_colour(rng, hue=(0, 360), saturation=(0.6, 1.0), value=(0.4, 0.9))
    metal = shade(skin, 0.72)
    thick = rng.uniform(0.12, 0.15)
    sketch.polygon([(0.12, -0.03), (-0.2, -0.34), (-0.34, -0.34), (-0.16, -0.03)], shade(skin, 0.8))
    sketch.polygon([(-0.66, -0.06), (-1.0, -0.46), (-0.82, -0.48), (-0.46, -0.1)], livery)
    sketch.blob(
        [
            (-1.02, -0.06),
            (-0.6, -thick),
            (0.3, -thick),
            (0.78, -thick * 0.9),
            (1.0, 0.0),
            (0.8, thick * 0.75),
            (0.2, thick),
            (-0.45, thick),
        ],
        skin,
    )
    sketch.blob([(-1.02, -0.02), (-0.45, 0.05), (0.98, 0.05), (0.8, 0.2), (0.0, 0.25), (-0.5, 0.2)], livery, mark=True)
    for i in range(11):
        sketch.disc((-0.45 + i * 0.1, -0.045), 0.026, (50, 62, 84), mark=True)
    sketch.polygon([(0.74, -0.1), (0.88, -0.09), (0.95, -0.03), (0.76, -0.03)], (50, 62, 84), mark=True)
    sketch.polygon([(-0.7, -0.02), (-1.06, 0.14), (-1.06, 0.2), (-0.5, 0.04)], metal)
    sketch.ellipse((0.2, 0.22), (0.16, 0.075), shade(livery, 0.85))
    sketch.ellipse((0.33, 0.22), (0.035, 0.07), (35, 35, 40))
    sketch.polygon([(0.3, 0.04), (-0.3, 0.46), (-0.48, 0.46), (-0.14, 0.06)], metal)
    return sketch


def _aeroplane_from_below(rng: np.random.Generator) -> Sketch:
    sketch = Sketch(rng)
    skin = random_colour(rng, hue=(190, 230), saturation=(0.0, 0.12), value=(0.75, 0.98))
    livery = random_colour(rng, hue=(0, 360), saturation=(0.6, 1.0), value=(0.4, 0.9))
    span, sweep = rng.uniform(0.72, 0.9), rng.uniform(0.3, 0.5)
    for side in (-1, 1):
        sketch.ellipse((0.24 - sweep * 0.3, side * span * 0.42), (0.13, 0.06), shade(livery, 0.85))
        sketch.polygon(
            [(0.34, side * 0.08), (0.18 - sweep, side * span), (0.04 - sweep, side * span), (-0.12, side * 0.08)],
            shade(skin, 0.82),
        )
        sketch.polygon(
            [
                (0.18 - sweep, side * span),
                (0.04 - sweep, side * span),
                (0.03 - sweep * 0.85, side * span * 0.84),
                (0.2 - sweep * 0.85, side * span * 0.84),
            ],
            livery,
        )
        sketch.polygon([(-0.66, 0), (-0.9, side * 0.36), (-1.02, side * 0.36), (-0.92, 0)], livery)
    sketch.blob(
        [(-1.02, 0), (-0.6, -0.1), (0.6, -0.12), (0.9, -0.08), (1.0, 0), (0.9, 0.08), (0.6, 0.12), (-0.6, 0.1)], skin
    )
    sketch.line([(-0.9, 0), (0.6, 0)], 0.06, livery, mark=True)
    sketch.polygon([(0.82, -0.06), (0.92, -0.05), (0.92, 0.05), (0.82, 0.06)], (50, 62, 84), mark=True)
    return sketch


def boat(rng: np.random.Generator) -> Sketch:
    """A sailing boat or a motor boat: hull, then mast with sails or a cabin."""
    sketch = Sketch(rng)
    hull = any_colour(rng, value=(0.4, 0.95))
    rim, wood = grey(rng, 0.85, 1.0), random_colour(rng, hue=(20, 40), saturation=(0.4, 0.7), value=(0.4, 0.7))
    if rng.random() < 0.7:
        mast = rng.uniform(-0.1, 0.15)
        height = rng.uniform(1.1, 1.4)
        sail = random_colour(rng, hue=(0, 360), saturation=(0.0, 0.15), value=(0.88, 1.0))
        sketch.line([(mast, -0.2), (mast, -height)], 0.06, wood)
        belly = rng.uniform(0.08, 0.2)
        main = [(mast - 0.05, -height + 0.03), (mast - 0.4 - belly, -0.75), (mast - 0.72, -0.36), (mast - 0.05, -0.36)]
        sketch.polygon(main, sail)
        sketch.polygon(
            [(mast + 0.07, -height + 0.16), (mast + 0.34 + belly, -0.7), (0.88, -0.34), (mast + 0.07, -0.34)],
            any_colour(rng, value=(0.6, 1.0)) if rng.random() < 0.5 else shade(sail, 0.9),
        )
        for share in (0.35, 0.65):
            y = -0.36 - share * (height - 0.4)
            sketch.line([(mast - 0.9, y + 0.05), (mast - 0.05, y)], 0.02, shade(sail, 0.75), mark=True)
        sketch.line([(mast, -0.34), (mast - 0.75, -0.34)], 0.05, wood)
    else:
        cabin = grey(rng, 0.8, 1.0)
        top = -rng.uniform(0.62, 0.8)
        sketch.polygon([(-0.55, -0.25), (-0.5, top), (0.15, top), (0.42, -0.25)], cabin)
        sketch.box((-0.62, top - 0.08), (0.24, top), shade(hull, 0.8), radius=0.03)
        for left in (-0.42, -0.16):
            sketch.box((left, top + 0.1), (left + 0.19, top + 0.28), (52, 72, 96), radius=0.03, mark=True)
        sketch.polygon(
            [(0.08, top + 0.1), (0.16, top + 0.1), (0.28, top + 0.28), (0.08, top + 0.28)], (52, 72, 96), mark=True
        )
        sketch.line([(-0.3, top - 0.08), (-0.3, top - 0.34)], 0.05, wood)
        sketch.polygon([(-0.3, top - 0.36), (-0.3, top - 0.18), (-0.56, top - 0.27)], (200, 40, 40))
    sketch.polygon([(-0.95, -0.3), (1.05, -0.34), (0.92, -0.16), (0.62, 0.06), (-0.72, 0.06), (-0.88, -0.1)], hull)
    sketch.polygon([(-0.95, -0.3), (1.05, -0.34), (1.0, -0.26), (-0.94, -0.22)], rim, mark=True)
    sketch.polygon([(-0.9, -0.05), (0.85, -0.05), (0.6, 0.1), (-0.75, 0.1)], shade(hull, 0.55), mark=True)
    return sketch
