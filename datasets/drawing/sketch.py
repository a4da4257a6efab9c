"""`Sketch`: the vector drawing of one object, made once and painted under any pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .colour import Colour

Point: TypeAlias = tuple[float, float]
Points: TypeAlias = NDArray[np.float64]

_CIRCLE_STEPS = 28
_CURVE_STEPS = 6


def _circle() -> Points:
    angles = np.arange(_CIRCLE_STEPS) * (2 * math.pi / _CIRCLE_STEPS)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _catmull_rom_weights() -> Points:
    """Weights (steps, 4) of four neighbouring control points for the curve between the middle two."""
    t = np.arange(_CURVE_STEPS) / _CURVE_STEPS
    t2, t3 = t * t, t * t * t
    return 0.5 * np.stack([-t + 2 * t2 - t3, 2 - 5 * t2 + 3 * t3, t + 4 * t2 - 3 * t3, t3 - t2], axis=1)


_CIRCLE = _circle()
_CATMULL_ROM = _catmull_rom_weights()


@dataclass(frozen=True, eq=False)
class Shape:
    """A filled polygon or a thick line.

    Attributes:
        points: Corners, float64 (N, 2), as (x, y).
        colour: Fill.
        width: Width of the line; None for a filled polygon.
        mark: Drawn only where the object already is (spots, windows, seams); other shapes extend its silhouette.
    """

    points: Points
    colour: Colour
    width: float | None
    mark: bool


class Sketch:
    """Shapes in drawing order, in coordinates of the object: x to the right, y down, any unit.

    Attributes:
        shapes: What was drawn so far.
        grain: Strength of the surface's texture, 0..1 (fur, wood, cloth); 0 is smooth.
        grain_tile: Texture, float32 (64, 64), mean 0; it moves with the object.
    """

    def __init__(self, rng: np.random.Generator, *, grain: float = 0.0) -> None:
        self.shapes: list[Shape] = []
        self.grain = grain
        self.grain_tile = rng.standard_normal((64, 64), dtype=np.float32)

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the silhouette."""
        lows, highs = [], []
        for shape in self.shapes:
            if not shape.mark:
                margin = (shape.width or 0.0) / 2
                lows.append(shape.points.min(axis=0) - margin)
                highs.append(shape.points.max(axis=0) + margin)
        left, top = np.min(lows, axis=0)
        right, bottom = np.max(highs, axis=0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def elongation(self) -> float:
        """Longer over shorter side of the silhouette's box, at least 1."""
        left, top, right, bottom = self.bounds()
        return max(right - left, bottom - top) / min(right - left, bottom - top)

    def polygon(self, points: ArrayLike, colour: Colour, *, mark: bool = False) -> None:
        """Fill a polygon with straight edges."""
        self.shapes.append(Shape(np.asarray(points, dtype=np.float64), colour, None, mark))

    def blob(self, points: ArrayLike, colour: Colour, *, mark: bool = False) -> None:
        """Fill a smooth closed curve through the points."""
        self.polygon(_smooth_closed(np.asarray(points, dtype=np.float64)), colour, mark=mark)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, degrees: float = 0.0, mark: bool = False) -> None:
        """Fill an ellipse, turned clockwise by `degrees`."""
        points = _CIRCLE * radii
        if degrees:
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            points = points @ np.array([[cos, sin], [-sin, cos]])
        self.polygon(points + centre, colour, mark=mark)

    def disc(self, centre: Point, radius: float, colour: Colour, *, mark: bool = False) -> None:
        """Fill a circle."""
        self.ellipse(centre, (radius, radius), colour, mark=mark)

    def box(
        self, top_left: Point, bottom_right: Point, colour: Colour, *, radius: float = 0.0, mark: bool = False
    ) -> None:
        """Fill an upright rectangle, with rounded corners if `radius` > 0."""
        (left, top), (right, bottom) = top_left, bottom_right
        if not radius:
            self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, mark=mark)
            return
        # One quarter of the circle per corner, in the circle's order: right bottom, left bottom, left top, right top.
        quarter = _CIRCLE_STEPS // 4
        centres = (
            (right - radius, bottom - radius),
            (left + radius, bottom - radius),
            (left + radius, top + radius),
            (right - radius, top + radius),
        )
        corners = [
            np.take(_CIRCLE, range(i * quarter, (i + 1) * quarter + 1), axis=0, mode="wrap") * radius + centre
            for i, centre in enumerate(centres)
        ]
        self.polygon(np.concatenate(corners), colour, mark=mark)

    def line(self, points: ArrayLike, width: float, colour: Colour, *, mark: bool = False) -> None:
        """Draw a thick line with round ends through the points."""
        self.shapes.append(Shape(np.asarray(points, dtype=np.float64), colour, width, mark))

    def curve(self, points: ArrayLike, width: float, colour: Colour, *, mark: bool = False) -> None:
        """Draw a thick smooth line through the points."""
        controls = np.asarray(points, dtype=np.float64)
        self.line(_smooth_open(controls), width, colour, mark=mark)

    def limb(self, joints: Sequence[Point], widths: Sequence[float], colour: Colour) -> None:
        """Draw a chain of tapering segments with round joints, for example thigh and shin."""
        for i in range(len(joints) - 1):
            start, end = np.asarray(joints[i]), np.asarray(joints[i + 1])
            along = end - start
            normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
            half_start, half_end = normal * (widths[i] / 2), normal * (widths[i + 1] / 2)
            self.polygon([start + half_start, end + half_end, end - half_end, start - half_start], colour)
        for joint, width in zip(joints, widths, strict=True):
            self.disc(joint, width / 2, colour)


def _smooth_closed(controls: Points) -> Points:
    neighbours = np.stack([np.roll(controls, shift, axis=0) for shift in (1, 0, -1, -2)], axis=1)
    curve: Points = np.einsum("sk,nkd->nsd", _CATMULL_ROM, neighbours).reshape(-1, 2)
    return curve


def _smooth_open(controls: Points) -> Points:
    padded = np.concatenate([controls[:1], controls, controls[-1:]])
    count = len(controls) - 1
    neighbours = np.stack([padded[k : k + count] for k in range(4)], axis=1)
    inner: Points = np.einsum("sk,nkd->nsd", _CATMULL_ROM, neighbours).reshape(-1, 2)
    return np.concatenate([inner, controls[-1:]])
