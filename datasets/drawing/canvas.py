"""`Canvas`: paints sketches into a picture and keeps, pixel by pixel, which object is seen there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...fcn_models.voc import VOC_VOID
from ...runtime.spec import ImageSize
from .sketch import Shape, Sketch

_SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4
_GRAIN_CELLS = 48  # texture cells along the longer side of an object
_VOID_REACH = 1.3 / 256  # to each side of an outline, of the frame's shorter side: VOC's 5 pixels at 500


@dataclass(frozen=True)
class Pose:
    """Where and how an object appears; lengths are in units of the frame's shorter side.

    Attributes:
        x: Centre, as a share of the frame's width.
        y: Centre, as a share of the frame's height.
        extent: Longer side of the object's box before turning.
        degrees: Clockwise rotation.
        flip: Mirrored left to right.
        shear: Horizontal shift per unit of height, for a slightly oblique view.
    """

    x: float
    y: float
    extent: float
    degrees: float = 0.0
    flip: bool = False
    shear: float = 0.0

    def matrix(self, sketch: Sketch, size: ImageSize) -> NDArray[np.float64]:
        """The affine map (2, 3) from the sketch's coordinates to pixels of a frame of this size."""
        left, top, right, bottom = sketch.bounds()
        scale = self.extent * min(size.height, size.width) / max(right - left, bottom - top)
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        mirror = -1.0 if self.flip else 1.0
        linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[mirror, self.shear], [0.0, 1.0]])
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        offset = np.array([self.x * size.width, self.y * size.height]) - linear @ centre
        return np.concatenate([linear, offset[:, None]], axis=1)


@dataclass(frozen=True)
class Light:
    """Where the light comes from and how hard it is.

    Attributes:
        degrees: Direction of the light's travel in the picture plane; 90 is straight down.
        contrast: How much brighter the lit side of an object is than its middle, 0..1.
        shadow: Darkness of cast shadows, 0..1.
    """

    degrees: float
    contrast: float
    shadow: float


class Canvas:
    """A picture under construction.

    Args:
        backdrop: What lies behind all objects, uint8 (H, W, 3), RGB; painted over.
        light: Light on the objects painted.
    """

    def __init__(self, backdrop: NDArray[np.uint8], light: Light) -> None:
        self.image = backdrop
        self.size = ImageSize(backdrop.shape[0], backdrop.shape[1])
        self._light = light
        # 0 is the backdrop, i the i-th object painted: neighbours of one class keep an outline between them, as in VOC.
        self._instances = np.zeros(backdrop.shape[:2], np.uint8)
        self._classes = [0]

    def paint(self, sketch: Sketch, pose: Pose, class_index: int) -> None:
        """Paint an object in front of everything painted so far, with its shadow on it."""
        matrix = pose.matrix(sketch, self.size)
        unit = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        shapes = [
            Shape(
                shape.points @ matrix[:, :2].T + matrix[:, 2],
                shape.colour,
                None if shape.width is None else shape.width * unit,
                shape.mark,
            )
            for shape in sketch.shapes
        ]
        reach = 0.06 * pose.extent * min(self.size.height, self.size.width)  # of the shadow
        left, top, right, bottom = self._window(shapes, margin=reach * 2 + 2)
        width, height = right - left, bottom - top
        if width < 1 or height < 1:
            return
        colour, cover = _rasterise(shapes, left, top, width, height)

        # Averaging the masked colour gives it premultiplied by coverage: no dark fringe on the outline.
        premultiplied = cv2.resize(
            cv2.bitwise_and(colour, colour, mask=cover), (width, height), interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        alpha = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
        opacity = alpha.astype(np.float32) * (1 / 255)
        premultiplied *= self._surface(sketch, pose, matrix, opacity, left, top)[..., None]

        behind = self.image[top:bottom, left:right].astype(np.float32)
        behind *= self._dimming(opacity, reach)[..., None]
        behind *= (1 - opacity)[..., None]
        behind += premultiplied
        self.image[top:bottom, left:right] = cv2.convertScaleAbs(np.minimum(behind, 255.0))
        self._classes.append(class_index)
        self._instances[top:bottom, left:right][alpha >= 128] = len(self._classes) - 1

    def _window(self, shapes: Sequence[Shape], *, margin: float) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part of the frame that the silhouette reaches, with a margin around it."""
        corners = np.concatenate(
            [shape.points + sign * (shape.width or 0.0) / 2 for shape in shapes if not shape.mark for sign in (-1, 1)]
        )
        left, top = np.maximum(np.floor(corners.min(axis=0) - margin).astype(int), 0)
        right, bottom = np.minimum(
            np.ceil(corners.max(axis=0) + margin).astype(int), (self.size.width, self.size.height)
        )
        return int(left), int(top), int(right), int(bottom)

    def label(self) -> NDArray[np.uint8]:
        """Class of each pixel, uint8 (H, W), with a void band along every visible outline."""
        label = np.array(self._classes, np.uint8)[self._instances]
        reach = max(1, round(_VOID_REACH * min(self.size.height, self.size.width)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        # Where the neighbourhood holds more than one instance there is an outline.
        outline = cv2.dilate(self._instances, kernel) != cv2.erode(self._instances, kernel)
        label[outline] = VOC_VOID
        return label

    def _surface(
        self,
        sketch: Sketch,
        pose: Pose,
        matrix: NDArray[np.float64],
        opacity: NDArray[np.float32],
        left: int,
        top: int,
    ) -> NDArray[np.float32]:
        """Brightness of the object's surface (h, w): light from one side, darker towards the rim, grain."""
        height, width = opacity.shape
        radians = math.radians(self._light.degrees)
        half = pose.extent * min(self.size.height, self.size.width) / 2
        slope_x = -math.cos(radians) * self._light.contrast / half
        slope_y = -math.sin(radians) * self._light.contrast / half
        ramp_x = (np.arange(width) + (left + 0.5 - pose.x * self.size.width)) * slope_x
        ramp_y = (np.arange(height) + (top + 0.5 - pose.y * self.size.height)) * slope_y
        surface: NDArray[np.float32] = (ramp_x + 0.86).astype(np.float32) + ramp_y.astype(np.float32)[:, None]
        rim = max(3, round(half * 0.16) | 1)
        surface += 0.18 * cv2.blur(opacity, (rim, rim))
        if sketch.grain:
            cells = np.empty_like(matrix)
            cells[:, :2] = matrix[:, :2] * (half * 2 / _GRAIN_CELLS / math.sqrt(abs(np.linalg.det(matrix[:, :2]))))
            cells[:, 2] = matrix[:, 2] - (left, top)
            tile = cv2.warpAffine(
                sketch.grain_tile, cells, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
            )
            surface += sketch.grain * tile
        return surface

    def _dimming(self, opacity: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
        """Brightness (h, w) that the object's shadow leaves to what is behind it."""
        radians = math.radians(self._light.degrees)
        height, width = opacity.shape
        shift = np.array([[1, 0, math.cos(radians) * reach], [0, 1, math.sin(radians) * reach]])
        shadow = cv2.warpAffine(opacity, shift, (width, height))
        blur = max(3, round(reach * 1.2) | 1)
        result: NDArray[np.float32] = 1 - self._light.shadow * cv2.blur(shadow, (blur, blur))
        return result


def _rasterise(
    shapes: Sequence[Shape], left: int, top: int, width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Supersampled colour (h, w, 3) and cover (h, w; 0 or 255) of shapes given in pixels, for a window of the frame."""
    colour = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING, 3), np.uint8)
    cover = np.zeros(colour.shape[:2], np.uint8)
    for shape in shapes:
        # OpenCV's integer coordinates name pixel centres: half a pixel off the continuous ones used here.
        fine = ((shape.points - (left, top)) * _SUPERSAMPLING - 0.5) * (1 << _SUBPIXEL_BITS)
        corners = [np.round(fine).astype(np.int32)]
        if shape.width is None:
            cv2.fillPoly(colour, corners, shape.colour, cv2.LINE_8, _SUBPIXEL_BITS)
            if not shape.mark:
                cv2.fillPoly(cover, corners, 255, cv2.LINE_8, _SUBPIXEL_BITS)
        else:
            thickness = max(1, round(shape.width * _SUPERSAMPLING))
            cv2.polylines(colour, corners, False, shape.colour, thickness, cv2.LINE_8, _SUBPIXEL_BITS)
            if not shape.mark:
                cv2.polylines(cover, corners, False, 255, thickness, cv2.LINE_8, _SUBPIXEL_BITS)
    return colour, cover
