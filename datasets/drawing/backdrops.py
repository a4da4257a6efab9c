"""Backdrops: what lies behind the objects. Nothing drawn here belongs to a class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.spec import ImageSize
from .colour import Colour, any_colour, grey, mix, random_colour, shade
from .sketch import Point

Image: TypeAlias = NDArray[np.uint8]
Backdrop: TypeAlias = Callable[[np.random.Generator, ImageSize], Image]
"""Makes a backdrop of the given size, uint8 (H, W, 3), RGB."""

_SUBPIXEL_BITS = 4


def _vertical_gradient(size: ImageSize, top: Colour, bottom: Colour) -> Image:
    column = np.linspace(top, bottom, size.height, dtype=np.float32)[:, None, :]
    return np.ascontiguousarray(np.broadcast_to(column, (size.height, size.width, 3)).astype(np.uint8))


def _fill(image: Image, points: Sequence[Point], colour: Colour) -> None:
    """Fill a polygon given in shares of the frame's width and height."""
    height, width = image.shape[:2]
    pixels = (np.asarray(points) * (width, height) - 0.5) * (1 << _SUBPIXEL_BITS)
    cv2.fillPoly(image, [np.round(pixels).astype(np.int32)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _box(image: Image, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    _fill(image, [(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _oval(image: Image, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
    angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    _fill(image, list(zip(x + rx * np.cos(angles), y + ry * np.sin(angles), strict=True)), colour)


def _mottle(
    image: Image, rng: np.random.Generator, cells: tuple[int, int], strength: float, *, top: float = 0.0
) -> None:
    """Vary the brightness of everything below `top` with smooth noise of `cells` (rows, columns) over the frame."""
    noise = rng.standard_normal(cells, dtype=np.float32)
    height, width = image.shape[:2]
    field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR) * (strength * 60)
    start = round(top * height)
    if start == height:  # OpenCV takes nothing that is empty
        return
    offset = cv2.cvtColor(field[start:], cv2.COLOR_GRAY2RGB)
    image[start:] = cv2.add(image[start:], offset, dtype=cv2.CV_8U)


def _sky(rng: np.random.Generator, size: ImageSize) -> Image:
    top = random_colour(rng, hue=(195, 225), saturation=(0.25, 0.75), value=(0.55, 0.98))
    return _vertical_gradient(size, top, mix(top, (245, 240, 235), rng.uniform(0.3, 0.8)))


def _clouds(image: Image, rng: np.random.Generator, count: int, lowest: float) -> None:
    for _ in range(count):
        x, y = rng.uniform(0, 1), rng.uniform(0.02, lowest)
        tone = grey(rng, 0.82, 0.98)
        for _ in range(4):
            _oval(
                image,
                x + rng.uniform(-0.1, 0.1),
                y + rng.uniform(-0.02, 0.02),
                rng.uniform(0.06, 0.14),
                rng.uniform(0.025, 0.06),
                tone,
            )


def _hills(image: Image, rng: np.random.Generator, horizon: float, colour: Colour) -> None:
    xs = np.linspace(-0.05, 1.05, 9)
    tops = horizon - rng.uniform(0.01, 0.14, 9)
    _fill(image, [*zip(xs, tops, strict=True), (1.05, horizon + 0.02), (-0.05, horizon + 0.02)], colour)


def _trees(image: Image, rng: np.random.Generator, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 6))):
        x, scale = rng.uniform(0, 1), rng.uniform(0.06, 0.16)
        leaf = random_colour(rng, hue=(80, 140), saturation=(0.3, 0.7), value=(0.15, 0.45))
        _box(image, x - 0.015, horizon - scale, x + 0.015, horizon + 0.01, (70, 52, 40))
        for _ in range(4):
            _oval(
                image,
                x + rng.uniform(-0.5, 0.5) * scale,
                horizon - scale * rng.uniform(0.9, 1.7),
                scale * 0.6,
                scale * 0.55,
                shade(leaf, rng.uniform(0.8, 1.2)),
            )


def meadow(rng: np.random.Generator, size: ImageSize) -> Image:
    """Sky over grass or sand, with hills and trees on the horizon."""
    image = _sky(rng, size)
    horizon = rng.uniform(0.15, 0.55)
    _clouds(image, rng, int(rng.integers(0, 4)), horizon * 0.7)
    if rng.random() < 0.6:
        _hills(image, rng, horizon, random_colour(rng, hue=(90, 210), saturation=(0.15, 0.5), value=(0.3, 0.65)))
    ground = random_colour(rng, hue=(75, 130), saturation=(0.35, 0.75), value=(0.3, 0.7))
    if rng.random() < 0.25:
        ground = random_colour(rng, hue=(30, 50), saturation=(0.25, 0.5), value=(0.5, 0.85))
    _box(image, -0.1, horizon, 1.1, 1.1, ground)
    if rng.random() < 0.6:
        _trees(image, rng, horizon)
    _mottle(image, rng, (9, 12), 0.12, top=horizon)
    _mottle(image, rng, (70, 40), 0.13, top=horizon)
    return image


def street(rng: np.random.Generator, size: ImageSize) -> Image:
    """Houses with windows behind a pavement and a road with markings."""
    image = _sky(rng, size)
    kerb = rng.uniform(0.4, 0.6)
    x = -0.1
    while x < 1.0:
        width, top = rng.uniform(0.2, 0.4), rng.uniform(0.02, kerb - 0.22)
        wall = random_colour(rng, hue=(0, 60), saturation=(0.05, 0.5), value=(0.35, 0.85))
        _box(image, x, top, x + width, kerb, wall)
        pane = random_colour(rng, hue=(190, 230), saturation=(0.1, 0.4), value=(0.25, 0.6))
        for row in np.arange(top + 0.04, kerb - 0.1, 0.13):
            for column in np.arange(x + 0.03, x + width - 0.06, 0.1):
                _box(image, column, row, column + 0.05, row + 0.07, pane)
        x += width
    asphalt = grey(rng, 0.25, 0.5)
    _box(image, -0.1, kerb, 1.1, kerb + 0.07, grey(rng, 0.55, 0.75))
    _box(image, -0.1, kerb + 0.07, 1.1, 1.1, asphalt)
    lane = rng.uniform(kerb + 0.2, 0.95)
    phase = rng.uniform(0, 0.3)
    for i in range(5):
        left = -0.3 + phase + i * 0.3
        _fill(
            image,
            [(left, lane), (left + 0.15, lane), (left + 0.14, lane + 0.025), (left - 0.01, lane + 0.025)],
            shade(asphalt, 2.0),
        )
    _mottle(image, rng, (60, 60), 0.10, top=kerb)
    return image


def water(rng: np.random.Generator, size: ImageSize) -> Image:
    """A lake or the sea under the sky, with waves."""
    image = _sky(rng, size)
    horizon = rng.uniform(0.2, 0.55)
    _clouds(image, rng, int(rng.integers(0, 4)), horizon * 0.7)
    if rng.random() < 0.5:
        _hills(image, rng, horizon, random_colour(rng, hue=(90, 230), saturation=(0.15, 0.5), value=(0.3, 0.6)))
    sea = random_colour(rng, hue=(175, 225), saturation=(0.35, 0.8), value=(0.3, 0.75))
    _box(image, -0.1, horizon, 1.1, 1.1, sea)
    for _ in range(18):
        x, depth = rng.uniform(-0.05, 1), rng.random()
        y, long = horizon + 0.02 + depth * (0.98 - horizon), 0.04 + 0.1 * depth
        _fill(image, [(x, y), (x + long / 2, y - 0.006 - 0.008 * depth), (x + long, y)], shade(sea, 1.35))
    _mottle(image, rng, (50, 10), 0.12, top=horizon)
    return image


def sky(rng: np.random.Generator, size: ImageSize) -> Image:
    """Open sky with clouds, from clear to sunset."""
    image = _sky(rng, size)
    if rng.random() < 0.25:
        image = _vertical_gradient(
            size,
            random_colour(rng, hue=(210, 280), saturation=(0.3, 0.6), value=(0.4, 0.7)),
            random_colour(rng, hue=(10, 45), saturation=(0.4, 0.7), value=(0.8, 1.0)),
        )
    _clouds(image, rng, int(rng.integers(1, 8)), 0.95)
    _mottle(image, rng, (6, 6), 0.1)
    return image


def room(rng: np.random.Generator, size: ImageSize) -> Image:
    """A wall, plain, papered or panelled, over a floor of boards, tiles or carpet; perhaps a window or a picture."""
    wall = random_colour(rng, hue=(0, 360), saturation=(0.03, 0.35), value=(0.6, 0.95))
    image = _vertical_gradient(size, wall, shade(wall, rng.uniform(0.75, 1.0)))
    edge = rng.uniform(0.5, 0.78)
    if rng.random() < 0.4:
        stripe, count = shade(wall, rng.uniform(0.8, 0.95)), int(rng.integers(6, 16))
        for i in range(count):
            _box(image, i / count, 0, (i + 0.5) / count, edge, stripe)
    if rng.random() < 0.5:
        left, top, width, height = (
            rng.uniform(0.02, 0.7),
            rng.uniform(0.03, 0.2),
            rng.uniform(0.15, 0.3),
            rng.uniform(0.15, 0.3),
        )
        frame = random_colour(rng, hue=(20, 45), saturation=(0.2, 0.7), value=(0.4, 0.95))
        _box(image, left - 0.02, top - 0.02, left + width + 0.02, top + height + 0.02, frame)
        light = random_colour(rng, hue=(190, 220), saturation=(0.05, 0.4), value=(0.8, 1.0))
        _box(image, left, top, left + width, top + height, light)
        if rng.random() < 0.6:
            _box(image, left + width / 2 - 0.008, top, left + width / 2 + 0.008, top + height, frame)
            _box(image, left, top + height / 2 - 0.008, left + width, top + height / 2 + 0.008, frame)
    floor = random_colour(rng, hue=(15, 40), saturation=(0.15, 0.6), value=(0.3, 0.75))
    if rng.random() < 0.3:
        floor = any_colour(rng, value=(0.35, 0.75))
    _box(image, -0.1, edge, 1.1, 1.1, floor)
    _box(image, -0.1, edge - 0.025, 1.1, edge, shade(wall, 1.15))
    if rng.random() < 0.6:
        vanish = rng.uniform(0.2, 0.8)
        for i in range(-6, 17):
            foot = i * 0.16 - 0.3
            start = vanish + (foot - vanish) * 0.45
            _fill(image, [(start, edge), (start + 0.004, edge), (foot + 0.012, 1.01), (foot, 1.01)], shade(floor, 0.78))
    if rng.random() < 0.3:
        _oval(
            image,
            rng.uniform(0.2, 0.8),
            (edge + 1) / 2 + 0.05,
            rng.uniform(0.2, 0.4),
            (1 - edge) * 0.35,
            any_colour(rng),
        )
    _mottle(image, rng, (30, 30), 0.05)
    return image


def texture(rng: np.random.Generator, size: ImageSize) -> Image:
    """A surface without depth: a gradient with blotches, stripes or tiles, and coloured shapes strewn over it."""
    base = any_colour(rng)
    image = _vertical_gradient(size, base, mix(base, any_colour(rng), rng.uniform(0.1, 0.7)))
    pattern = rng.integers(3)
    other = mix(base, any_colour(rng), 0.35)
    if pattern == 0:
        count, lean = int(rng.integers(5, 14)), rng.uniform(-0.4, 0.4)
        for i in range(-4, count + 4):
            left = i / count
            _fill(image, [(left, 0), (left + 0.5 / count, 0), (left + 0.5 / count + lean, 1), (left + lean, 1)], other)
    elif pattern == 1:
        count = int(rng.integers(4, 9))
        for i in range(count):
            for j in range(i % 2, count, 2):
                _box(image, j / count, i / count, (j + 1) / count, (i + 1) / count, other)
    _clutter(image, rng, int(rng.integers(2, 9)))
    _mottle(image, rng, (8, 8), 0.12)
    _mottle(image, rng, (64, 64), 0.10)
    return image


def _clutter(image: Image, rng: np.random.Generator, count: int) -> None:
    """Strew ovals, boxes and triangles that are no object at all: colour and edges alone must not look like a class."""
    for _ in range(count):
        x, y = rng.random(2)
        rx, ry = rng.uniform(0.03, 0.14, 2)
        colour = any_colour(rng)
        kind = rng.integers(3)
        if kind == 0:
            _oval(image, x, y, rx, ry, colour)
        elif kind == 1:
            _box(image, x - rx, y - ry, x + rx, y + ry, colour)
        else:
            _fill(image, [(x + dx, y + dy) for dx, dy in rng.uniform(-0.14, 0.14, (3, 2))], colour)


BACKDROPS: tuple[Backdrop, ...] = (meadow, street, water, sky, room, texture)
"""All backdrops."""
