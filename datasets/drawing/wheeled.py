"""Sketches of what runs on wheels: bicycle, bus, car, motorbike, train. All face right; y = 0 is the ground."""

from __future__ import annotations

import math

import numpy as np

from .colour import Colour, any_colour, grey, mix, random_colour, shade
from .sketch import Point, Sketch

_TYRE: Colour = (28, 28, 32)


def bicycle(rng: np.random.Generator) -> Sketch:
    """A bicycle from the side: two spoked wheels, diamond frame, saddle, handlebar, crank."""
    sketch = Sketch(rng)
    radius = rng.uniform(0.31, 0.36)
    rear, front = (-0.5, -radius), (0.5, -radius)
    frame = random_colour(rng, hue=(0, 360), saturation=(0.6, 1.0), value=(0.55, 1.0))
    tyre, spoke = grey(rng, 0.08, 0.25), grey(rng, 0.55, 0.7)
    turn = rng.uniform(0, math.pi)
    for hub in (rear, front):
        sketch.disc(hub, radius, tyre)
        sketch.disc(hub, radius * 0.80, grey(rng, 0.78, 0.9))
        for i in range(5):
            angle = turn + i * math.pi / 5
            dx, dy = radius * 0.82 * math.cos(angle), radius * 0.82 * math.sin(angle)
            sketch.line([(hub[0] - dx, hub[1] - dy), (hub[0] + dx, hub[1] + dy)], 0.018, spoke)
        sketch.disc(hub, 0.05, tyre)
    crank = (-0.06, -radius * 0.92)
    seat = (-0.2, -radius - rng.uniform(0.38, 0.46))
    head = (0.36, -radius - rng.uniform(0.38, 0.46))
    tube = rng.uniform(0.055, 0.07)
    for path in ([rear, crank, seat, rear], [crank, head, seat], [head, front]):
        sketch.line(path, tube, frame)
    post = (seat[0] - 0.03, seat[1] - 0.1)
    sketch.line([seat, post], tube * 0.8, shade(frame, 0.6))
    sketch.line([(post[0] - 0.1, post[1]), (post[0] + 0.1, post[1])], 0.075, _TYRE)
    stem = (head[0] - 0.03, head[1] - 0.12)
    sketch.line([head, stem], tube * 0.8, shade(frame, 0.6))
    if rng.random() < 0.5:
        sketch.curve([stem, (stem[0] + 0.14, stem[1]), (stem[0] + 0.15, stem[1] + 0.12)], 0.055, _TYRE)
    else:
        sketch.line([stem, (stem[0] - 0.13, stem[1] - 0.05)], 0.055, _TYRE)
    sketch.disc(crank, 0.075, grey(rng, 0.3, 0.5))
    angle = rng.uniform(0, 2 * math.pi)
    dx, dy = 0.13 * math.cos(angle), 0.13 * math.sin(angle)
    sketch.line([(crank[0] - dx, crank[1] - dy), (crank[0] + dx, crank[1] + dy)], 0.04, _TYRE)
    return sketch


def motorbike(rng: np.random.Generator) -> Sketch:
    """A motorbike from the side: fat tyres, tank, engine, seat, exhaust, fork, headlamp."""
    sketch = Sketch(rng)
    radius = rng.uniform(0.25, 0.29)
    rear, front = (-0.52, -radius), (0.54, -radius)
    paint = random_colour(rng, hue=(0, 360), saturation=(0.65, 1.0), value=(0.4, 0.95))
    steel, dark = grey(rng, 0.6, 0.8), grey(rng, 0.12, 0.25)
    for hub in (rear, front):
        sketch.disc(hub, radius, _TYRE)
        sketch.disc(hub, radius * 0.55, steel)
        sketch.disc(hub, radius * 0.42, dark)
        sketch.disc(hub, radius * 0.18, steel)
    sketch.line([rear, (-0.1, -0.3), (0.1, -0.3)], 0.09, dark)
    sketch.box((-0.22, -0.5), (0.2, -0.14), grey(rng, 0.3, 0.45), radius=0.06)
    for i in range(4):
        y = -0.45 + i * 0.07
        sketch.line([(-0.02, y), (0.16, y)], 0.028, steel, mark=True)
    sketch.disc((-0.1, -0.24), 0.09, steel)
    sketch.line([(0.08, -0.2), (-0.2, -0.12), (-0.82, -0.2)], 0.085, steel)
    sketch.line([front, (0.33, -0.75)], 0.075, steel)
    lift = rng.uniform(0.0, 0.06)
    sketch.blob([(-0.75, -0.62 - lift), (-0.45, -0.66), (-0.12, -0.56), (-0.15, -0.47), (-0.5, -0.5)], paint)
    sketch.blob([(-0.6, -0.7 - lift), (-0.4, -0.69), (-0.1, -0.62), (-0.1, -0.55), (-0.5, -0.6)], dark)
    sketch.blob([(-0.14, -0.6), (0.0, -0.76), (0.28, -0.74), (0.34, -0.6), (0.1, -0.5)], paint)
    sketch.line([(0.02, -0.66), (0.24, -0.66)], 0.035, shade(paint, 1.5), mark=True)
    sketch.curve([(0.32, -0.45), (0.5, -radius * 2.12), (0.74, -0.42)], 0.065, paint)
    sketch.line([(0.33, -0.75), (0.22, -0.88), (0.1, -0.86)], 0.06, _TYRE)
    if rng.random() < 0.5:
        sketch.blob([(0.3, -0.6), (0.28, -0.85), (0.42, -0.9), (0.56, -0.62), (0.45, -0.52)], paint)
    sketch.disc((0.46, -0.68), 0.085, steel)
    sketch.disc((0.48, -0.68), 0.06, (250, 240, 190))
    return sketch


def car(rng: np.random.Generator) -> Sketch:
    """A car from the side: saloon, hatchback or van body, windows, two wheels, lamps, door seams."""
    sketch = Sketch(rng)
    paint = any_colour(rng, value=(0.35, 0.95))
    glass = random_colour(rng, hue=(190, 220), saturation=(0.15, 0.4), value=(0.2, 0.5))
    belt, roof = -rng.uniform(0.44, 0.5), -rng.uniform(0.68, 0.78)
    kind = rng.integers(3)
    if kind == 0:  # saloon
        cabin = [(-0.62, belt), (-0.36, roof), (0.12, roof), (0.42, belt)]
        body = [(-0.98, -0.2), (-0.99, -0.36), (-0.94, belt), (-0.6, belt), (0.42, belt), (0.86, belt + 0.08)]
    elif kind == 1:  # hatchback
        cabin = [(-0.86, belt), (-0.74, roof), (0.1, roof), (0.44, belt)]
        body = [(-0.92, -0.2), (-0.95, -0.36), (-0.9, belt), (-0.6, belt), (0.44, belt), (0.86, belt + 0.08)]
    else:  # van
        roof -= 0.1
        cabin = [(-0.92, belt), (-0.88, roof), (0.34, roof), (0.6, belt)]
        body = [(-0.95, -0.2), (-0.96, -0.36), (-0.95, belt), (-0.6, belt), (0.6, belt), (0.9, belt + 0.1)]
    body += [(0.98, -0.34), (0.99, -0.2), (0.94, -0.13), (-0.94, -0.13)]
    sketch.polygon(cabin, paint)
    sketch.line([*cabin], 0.06, paint)
    sketch.polygon(body, paint)
    sketch.line([*body, body[0]], 0.05, paint)
    _car_windows(sketch, cabin, glass, paint)
    sketch.box((-1.0, -0.2), (1.0, -0.1), shade(paint, 0.55), mark=True)
    seam = shade(paint, 0.6)
    for x in (-0.33, 0.08):
        sketch.line([(x, belt), (x, -0.2)], 0.016, seam, mark=True)
        sketch.line([(x - 0.09, belt + 0.07), (x - 0.03, belt + 0.07)], 0.024, seam, mark=True)
    sketch.ellipse((0.95, -0.34), (0.07, 0.045), (250, 240, 190))
    sketch.box((-1.0, -0.42), (-0.93, -0.31), (190, 25, 25))
    radius, rim = rng.uniform(0.18, 0.205), grey(rng, 0.6, 0.85)
    for x in (-0.57, 0.58):
        sketch.disc((x, -0.2), radius + 0.035, shade(paint, 0.25), mark=True)
        _wheel(sketch, (x, -radius), radius, rim, rng.uniform(0, math.pi))
    return sketch


def _car_windows(sketch: Sketch, cabin: list[Point], glass: Colour, paint: Colour) -> None:
    centre = np.mean(cabin, axis=0)
    inner = (np.asarray(cabin) - centre) * (0.88, 0.78) + centre
    sketch.polygon(inner, glass)
    sketch.polygon([inner[2], inner[3], inner[3] - (0.1, 0), inner[2] - (0.1, 0)], shade(glass, 1.4), mark=True)
    sketch.line([(-0.3, inner[1][1] - 0.02), (-0.3, inner[0][1] + 0.02)], 0.05, paint, mark=True)


def _wheel(sketch: Sketch, hub: Point, radius: float, rim: Colour, turn: float) -> None:
    sketch.disc(hub, radius, _TYRE)
    sketch.disc(hub, radius * 0.6, rim)
    for i in range(5):
        angle = turn + i * 2 * math.pi / 5
        spot = (hub[0] + radius * 0.36 * math.cos(angle), hub[1] + radius * 0.36 * math.sin(angle))
        sketch.disc(spot, radius * 0.11, shade(rim, 0.4))


def bus(rng: np.random.Generator) -> Sketch:
    """A bus from the side: tall box, one or two rows of windows, door, stripe, two wheels."""
    sketch = Sketch(rng)
    paint = random_colour(rng, hue=(-15, 60), saturation=(0.6, 1.0), value=(0.65, 1.0))
    if rng.random() < 0.3:
        paint = random_colour(rng, hue=(90, 230), saturation=(0.5, 0.9), value=(0.45, 0.85))
    glass = random_colour(rng, hue=(190, 220), saturation=(0.2, 0.45), value=(0.25, 0.5))
    double_decker = rng.random() < 0.4
    top = -rng.uniform(1.12, 1.25) if double_decker else -rng.uniform(0.84, 0.95)
    sketch.box((-1.0, top), (1.0, -0.12), paint, radius=0.09)
    sketch.box((-1.0, top), (1.0, top + 0.07), shade(paint, 1.25), mark=True)
    sketch.box((-1.0, -0.36), (1.0, -0.3), mix(paint, (255, 255, 255), 0.75), mark=True)
    sketch.box((-1.0, -0.18), (1.0, -0.1), shade(paint, 0.45), mark=True)
    panes = int(rng.integers(4, 7))
    row_tops = [top + 0.13] if not double_decker else [top + 0.12, top + 0.6]
    row_height = rng.uniform(0.27, 0.32)
    for row_top in row_tops:
        pitch = 1.5 / panes
        for i in range(panes):
            left = -0.93 + i * pitch
            sketch.box((left, row_top), (left + pitch * 0.84, row_top + row_height), glass, radius=0.03, mark=True)
            sketch.polygon(
                [
                    (left + pitch * 0.2, row_top),
                    (left + pitch * 0.45, row_top),
                    (left + pitch * 0.25, row_top + row_height),
                    (left, row_top + row_height),
                ],
                shade(glass, 1.3),
                mark=True,
            )
        sketch.box((0.9, row_top), (1.0, row_top + row_height), shade(glass, 1.2), mark=True)
    sketch.box((0.6, row_tops[-1]), (0.84, -0.15), shade(glass, 0.8), mark=True)
    sketch.line([(0.72, row_tops[-1]), (0.72, -0.15)], 0.03, paint, mark=True)
    sketch.box((0.95, -0.34), (1.02, -0.24), (250, 240, 190))
    sketch.box((-1.02, -0.36), (-0.96, -0.24), (190, 25, 25))
    radius, rim = rng.uniform(0.16, 0.18), grey(rng, 0.6, 0.8)
    for x in (-0.58, 0.42):
        _wheel(sketch, (x, -radius), radius, rim, rng.uniform(0, math.pi))
    return sketch


def train(rng: np.random.Generator) -> Sketch:
    """A railcar on rails, from the side: sloping nose, several windows, door, bogies, perhaps a pantograph."""
    sketch = Sketch(rng)
    body = random_colour(rng, hue=(190, 260), saturation=(0.05, 0.6), value=(0.55, 0.9))
    stripe = random_colour(rng, hue=(-20, 260), saturation=(0.7, 1.0), value=(0.5, 0.9))
    glass = grey(rng, 0.1, 0.25)
    top = -rng.uniform(0.78, 0.88)
    # Rails and sleepers belong to the object: they are what tells a train from a bus.
    sketch.box((-1.04, -0.12), (1.04, -0.01), (110, 92, 78))
    for i in range(11):
        x = -1.02 + i * 0.195
        sketch.box((x, -0.12), (x + 0.1, 0.0), (72, 54, 42), mark=True)
    sketch.line([(-1.02, -0.1), (1.02, -0.1)], 0.045, (150, 150, 155))
    sketch.box((-0.9, -0.26), (0.92, -0.1), (56, 54, 54))
    for x in (-0.62, 0.52):
        sketch.box((x - 0.26, -0.24), (x + 0.26, -0.12), (42, 42, 46))
        for side in (-0.14, 0.14):
            sketch.disc((x + side, -0.18), 0.09, (24, 24, 26))
            sketch.disc((x + side, -0.18), 0.035, (120, 120, 124))
    nose = rng.uniform(0.25, 0.45)
    tip = 0.98
    sketch.polygon([(-1.0, top), (-0.9, top), (-0.9, -0.2), (-1.0, -0.2)], (50, 50, 54))
    sketch.blob(
        [
            (-0.93, top),
            (-0.5, top),
            (0.2, top),
            (tip - nose, top),
            (tip - nose * 0.4, top + 0.16),
            (tip + 0.03, -0.34),
            (tip - 0.02, -0.21),
            (0.5, -0.2),
            (-0.5, -0.2),
            (-0.93, -0.2),
            (-0.95, -0.45),
        ],
        body,
    )
    sketch.box((-0.95, -0.36), (1.1, -0.27), stripe, mark=True)
    sketch.box((-0.95, top), (1.1, top + 0.06), shade(body, 0.65), mark=True)
    window_top, window_bottom = top + 0.14, top + 0.33
    for i in range(6):
        left = -0.86 + i * 0.21
        sketch.box((left, window_top), (left + 0.155, window_bottom), glass, radius=0.03, mark=True)
    sketch.polygon(
        [
            (tip - nose * 0.9, window_top - 0.05),
            (tip + 0.2 - nose * 0.7, window_top - 0.05),
            (tip + 0.1 - nose * 0.2, window_bottom),
            (tip - nose * 0.8, window_bottom),
        ],
        glass,
        mark=True,
    )
    sketch.box((0.41, top + 0.1), (0.53, -0.2), shade(stripe, 0.9), mark=True)
    sketch.disc((tip - 0.03, -0.4), 0.045, (255, 245, 200), mark=True)
    if rng.random() < 0.6:
        sketch.line([(-0.35, top), (-0.2, top - 0.1), (-0.35, top - 0.19)], 0.05, (60, 60, 64))
        sketch.line([(-0.5, top - 0.19), (-0.2, top - 0.19)], 0.05, (60, 60, 64))
    return sketch
