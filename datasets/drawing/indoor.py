"""Sketches of what stands in rooms: bottle, chair, diningtable, pottedplant, sofa, tvmonitor."""

from __future__ import annotations

import math

import numpy as np

from .colour import Colour, any_colour, grey, mix, random_colour, shade
from .sketch import Sketch


def _wood(rng: np.random.Generator) -> Colour:
    return random_colour(rng, hue=(18, 36), saturation=(0.45, 0.75), value=(0.35, 0.72))


def bottle(rng: np.random.Generator) -> Sketch:
    """A bottle: body, shoulders, neck, cap, label, a highlight along the glass."""
    sketch = Sketch(rng)
    glass = random_colour(rng, hue=(70, 160), saturation=(0.5, 0.9), value=(0.2, 0.6))
    if rng.random() < 0.3:
        glass = random_colour(rng, hue=(15, 35), saturation=(0.7, 0.95), value=(0.25, 0.5))
    body, neck = rng.uniform(0.2, 0.26), rng.uniform(0.075, 0.1)
    shoulder, top = -rng.uniform(0.62, 0.78), -1.25
    slope = rng.uniform(0.12, 0.25)
    right = [
        (neck, top),
        (neck, shoulder - slope),
        (body * 0.9, shoulder - 0.02),
        (body, shoulder + 0.1),
        (body, -0.04),
        (body - 0.04, 0),
    ]
    sketch.polygon([*right, *[(-x, y) for x, y in reversed(right)]], glass)
    label = any_colour(rng, value=(0.75, 1.0))
    low, high = -rng.uniform(0.1, 0.2), shoulder + rng.uniform(0.15, 0.25)
    sketch.box((-0.4, high), (0.4, low), label, mark=True)
    sketch.box((-0.4, high + 0.05), (0.4, high + 0.1), any_colour(rng, value=(0.3, 0.8)), mark=True)
    sketch.disc((0.0, (low + high) / 2 + 0.04), body * 0.4, any_colour(rng, value=(0.3, 0.8)), mark=True)
    sketch.line(
        [(-body * 0.6, -0.12), (-body * 0.6, shoulder), (-neck * 0.45, shoulder - slope), (-neck * 0.45, top + 0.12)],
        0.04,
        mix(glass, (255, 255, 255), 0.55),
        mark=True,
    )
    sketch.box((-neck - 0.025, top - 0.04), (neck + 0.025, top + 0.1), any_colour(rng, value=(0.5, 0.9)), radius=0.02)
    return sketch


def chair(rng: np.random.Generator) -> Sketch:
    """A chair at an angle: backrest (slats, panel or bars), seat, four stout legs."""
    sketch = Sketch(rng, grain=0.04)
    wood = _wood(rng) if rng.random() < 0.75 else any_colour(rng, value=(0.4, 0.9))
    cushion = any_colour(rng, value=(0.45, 0.9)) if rng.random() < 0.5 else shade(wood, 1.2)
    skew, height = rng.uniform(0.14, 0.26), rng.uniform(0.62, 0.8)
    leg = rng.uniform(0.085, 0.11)
    back_left, back_right = (-0.34 + skew, -0.6), (0.34 + skew, -0.6)
    front_left, front_right = (-0.42, -0.46), (0.42, -0.46)
    for x, y in (back_left, back_right):
        sketch.line([(x, y), (x, -0.1)], leg, shade(wood, 0.65))
    top = -0.6 - height
    lean = rng.uniform(0.0, 0.1)
    posts = [(back_left, (back_left[0] + lean, top)), (back_right, (back_right[0] + lean, top))]
    style = rng.integers(3)
    if style == 0:
        sketch.polygon([back_left, posts[0][1], posts[1][1], back_right], shade(cushion, 0.9))
        for share in (0.33, 0.66):
            x = back_left[0] + share * 0.68
            sketch.line([(x, -0.6), (x + lean, top)], 0.025, shade(cushion, 0.7), mark=True)
    elif style == 1:
        for share in (0.3, 0.62, 0.94):
            y = -0.6 + share * (top + 0.6)
            sketch.line([(back_left[0] + lean * share, y), (back_right[0] + lean * share, y)], 0.14, wood)
    else:
        sketch.line([posts[0][1], posts[1][1]], 0.14, wood)
        for share in (0.25, 0.5, 0.75):
            x = back_left[0] + share * 0.68
            sketch.line([(x, -0.6), (x + lean, top)], 0.075, shade(wood, 0.9))
    for start, end in posts:
        sketch.line([start, end], leg, wood)
    sketch.polygon([front_left, back_left, back_right, front_right], cushion)
    sketch.polygon([front_left, front_right, (front_right[0], -0.37), (front_left[0], -0.37)], shade(wood, 0.85))
    for x, y in (front_left, front_right):
        inward = math.copysign(0.045, -x)
        sketch.line([(x + inward, y + 0.06), (x + inward, 0)], leg, wood)
    return sketch


def diningtable(rng: np.random.Generator) -> Sketch:
    """A table seen slightly from above: wooden or clothed top, legs, sometimes plates or a vase on it."""
    sketch = Sketch(rng, grain=0.05)
    wood = _wood(rng)
    depth, height = rng.uniform(0.28, 0.42), rng.uniform(0.6, 0.72)
    top = -height
    leg = rng.uniform(0.085, 0.12)
    round_top = rng.random() < 0.3
    if round_top:
        sketch.limb([(0, top), (0, -0.1)], [0.16, 0.2], shade(wood, 0.7))
        sketch.line([(-0.35, 0.0), (0, -0.14), (0.35, 0.0)], 0.11, shade(wood, 0.7))
        sketch.ellipse((0, top + 0.06), (0.95, depth * 0.6), shade(wood, 0.75))
        sketch.ellipse((0, top), (0.95, depth * 0.6), wood)
    else:
        for x in (-0.7, 0.7):
            sketch.line([(x, top), (x, -0.16)], leg, shade(wood, 0.6))
        for x in (-0.88, 0.88):
            sketch.line([(x, top), (x, 0)], leg, shade(wood, 0.8))
        sketch.box((-0.98, top + depth / 2 - 0.04), (0.98, top + depth / 2 + 0.09), shade(wood, 0.75))
        inset = rng.uniform(0.12, 0.25)
        sketch.polygon(
            [
                (-0.98, top + depth / 2),
                (-0.98 + inset, top - depth / 2),
                (0.98 - inset, top - depth / 2),
                (0.98, top + depth / 2),
            ],
            wood,
        )
        for share in (0.25, 0.5, 0.75):
            y = top + depth * (share - 0.5)
            sketch.line([(-1, y), (1, y)], 0.012, shade(wood, 0.85), mark=True)
        if rng.random() < 0.35:
            cloth = any_colour(rng, value=(0.7, 1.0))
            sketch.polygon(
                [
                    (-0.4, top + depth / 2 + 0.09),
                    (-0.4 + inset / 2, top - depth / 2),
                    (0.4 - inset / 2, top - depth / 2),
                    (0.4, top + depth / 2 + 0.09),
                ],
                cloth,
                mark=True,
            )
    for x in rng.permutation([-0.5, 0.0, 0.5])[: rng.integers(1, 4)]:
        sketch.ellipse((x, top), (0.19, 0.07), (240, 240, 236), mark=True)
        sketch.ellipse((x, top), (0.11, 0.04), any_colour(rng), mark=True)
    return sketch


def pottedplant(rng: np.random.Generator) -> Sketch:
    """A plant in a pot: tapered pot with a rim, leaves fanning out, sometimes flowers."""
    sketch = Sketch(rng, grain=0.04)
    clay = random_colour(rng, hue=(8, 28), saturation=(0.55, 0.8), value=(0.5, 0.8))
    if rng.random() < 0.3:
        clay = any_colour(rng, value=(0.5, 0.95))
    leaf = random_colour(rng, hue=(85, 140), saturation=(0.5, 0.9), value=(0.3, 0.65))
    wide, slender = rng.uniform(0.24, 0.32), rng.random() < 0.5
    count = int(rng.integers(9, 14))
    angles = np.linspace(-78, 78, count) + rng.uniform(-8, 8, count)
    order = rng.permutation(count)
    for i in order:
        angle = math.radians(angles[i])
        length = rng.uniform(0.55, 0.9) * (1 - 0.25 * abs(math.sin(angle)))
        dx, dy = math.sin(angle), -math.cos(angle)
        middle = (dx * length * 0.55, -0.42 + dy * length * 0.55)
        tone = shade(leaf, rng.uniform(0.7, 1.35))
        radius = (0.07 if slender else 0.125) * rng.uniform(0.9, 1.2)
        turn = math.degrees(math.atan2(dy, dx))
        sketch.line([(0, -0.42), middle], 0.04, shade(leaf, 0.6))
        sketch.ellipse(middle, (length * 0.5, radius), tone, degrees=turn)
        tip = (dx * length * 0.95, -0.42 + dy * length * 0.95)
        sketch.line([(dx * 0.12, -0.42 + dy * 0.12), tip], 0.018, shade(tone, 0.7), mark=True)
    if rng.random() < 0.35:
        petal = random_colour(rng, hue=(-70, 60), saturation=(0.6, 1.0), value=(0.8, 1.0))
        for _ in range(5):
            spot = (rng.uniform(-0.45, 0.45), rng.uniform(-1.05, -0.65))
            sketch.disc(spot, 0.085, petal)
            sketch.disc(spot, 0.035, (245, 205, 70))
    sketch.polygon([(-wide, -0.42), (wide, -0.42), (wide * 0.7, 0), (-wide * 0.7, 0)], clay)
    sketch.box((-wide - 0.04, -0.48), (wide + 0.04, -0.36), shade(clay, 1.15), radius=0.02)
    sketch.box((-wide, -0.36), (wide, -0.33), shade(clay, 0.7), mark=True)
    return sketch


def sofa(rng: np.random.Generator) -> Sketch:
    """A sofa from the front: high back with cushions, armrests, seat cushions, short feet."""
    sketch = Sketch(rng, grain=0.05)
    cloth = random_colour(rng, hue=(0, 360), saturation=(0.25, 0.85), value=(0.35, 0.8))
    seats = int(rng.integers(2, 4))
    back = -rng.uniform(0.78, 0.92)
    arm = rng.uniform(0.17, 0.23)
    for x in (-0.85, 0.85):
        sketch.box((x - 0.06, -0.1), (x + 0.06, 0), (58, 42, 32))
    sketch.box((-0.9, back), (0.9, -0.1), shade(cloth, 0.8), radius=0.1)
    pitch = (2.0 - 2 * arm) / seats
    for i in range(seats):
        left = -1.0 + arm + i * pitch
        sketch.box((left + 0.012, back + 0.06), (left + pitch - 0.012, -0.36), shade(cloth, 0.95), radius=0.08)
        sketch.box((left + 0.012, -0.44), (left + pitch - 0.012, -0.25), shade(cloth, 1.18), radius=0.06)
    sketch.box((-0.95, -0.26), (0.95, -0.08), shade(cloth, 0.72))
    for side in (-1, 1):
        outer, inner = side * 1.0, side * (1.0 - arm)
        left, right = min(outer, inner), max(outer, inner)
        sketch.box((left, -0.58), (right, -0.07), shade(cloth, 1.05), radius=0.08)
        sketch.ellipse(((left + right) / 2, -0.55), (arm * 0.62, 0.1), shade(cloth, 1.2))
    if rng.random() < 0.6:
        accent = any_colour(rng, value=(0.6, 1.0))
        for x in rng.permutation([-0.55, 0.0, 0.55])[: rng.integers(1, 3)]:
            sketch.polygon([(x - 0.17, -0.44), (x - 0.14, -0.74), (x + 0.17, -0.72), (x + 0.15, -0.42)], accent)
            sketch.line([(x - 0.13, -0.5), (x + 0.13, -0.66)], 0.03, shade(accent, 0.75), mark=True)
    return sketch


def tvmonitor(rng: np.random.Generator) -> Sketch:
    """A flat screen: dark bezel, lit or dark picture, stand."""
    sketch = Sketch(rng)
    case = grey(rng, 0.06, 0.2) if rng.random() < 0.8 else grey(rng, 0.65, 0.85)
    half, height = rng.uniform(0.72, 0.95), rng.uniform(0.95, 1.1)
    bottom = -0.3
    sketch.polygon([(-0.1, bottom), (0.1, bottom), (0.13, -0.06), (-0.13, -0.06)], shade(case, 1.4))
    sketch.box((-0.42, -0.1), (0.42, 0), shade(case, 1.2), radius=0.04)
    sketch.box((-half, bottom - height), (half, bottom), case, radius=0.05)
    left, right, top, low = -half + 0.085, half - 0.085, bottom - height + 0.085, bottom - 0.13
    picture = random_colour(rng, hue=(180, 260), saturation=(0.3, 0.9), value=(0.15, 0.9))
    sketch.box((left, top), (right, low), picture, mark=True)
    content = rng.integers(3)
    if content == 0:
        horizon = rng.uniform(top + 0.3, low - 0.2)
        sketch.polygon(
            [
                (left, low),
                (left, horizon),
                (-0.2, horizon - 0.22),
                (0.2, horizon + 0.05),
                (0.5, horizon - 0.1),
                (right, horizon),
                (right, low),
            ],
            any_colour(rng),
            mark=True,
        )
    elif content == 1:
        for i in range(6):
            y = top + 0.1 + i * 0.105
            sketch.line([(left + 0.08, y), (rng.uniform(0.0, right - 0.1), y)], 0.04, shade(picture, 1.7), mark=True)
    else:
        gloss = mix(picture, (255, 255, 255), 0.2)
        sketch.polygon([(left, top), (left + 0.4, top), (left + 0.1, low), (left, low)], gloss, mark=True)
    sketch.disc((half - 0.12, bottom - 0.065), 0.028, (60, 220, 90), mark=True)
    return sketch
