"""A short film of drawn objects that cross a scene: something to run a network on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..fcn_models.voc import VOC_CLASSES
from ..runtime.atomic import atomic_path
from ..runtime.errors import OutputError
from ..runtime.spec import ImageSize
from .catalogue import CATALOGUE
from .drawing.backdrops import Backdrop, meadow, street
from .drawing.canvas import Canvas, Light, Pose
from .drawing.sketch import Sketch

# Who is met where. Objects are chosen to differ in shape and to be at home in the scene, as in a film.
_CASTS: tuple[tuple[Backdrop, tuple[str, ...]], ...] = (
    (street, ("car", "bus", "bicycle", "person", "dog", "motorbike")),
    (meadow, ("horse", "cow", "sheep", "dog", "person", "train")),
)
_STARTS = (0.9, 0.1, 0.6, 0.35)  # one per object, from back to front; the even ones go left, the odd ones right
_OUTSIDE = 0.35  # an object leaves the frame this far, in widths, before it comes back on the other side
_PAN = 0.06  # how far the camera swings to each side, in widths
_PAN_SECONDS = 9.0
_BIT_RATE_PER_PIXEL = 0.25  # bits; flat areas and film grain survive, and the network sees no blocks


@dataclass(frozen=True, eq=False)
class _Actor:
    """An object of fixed appearance on its way through the scene; lengths in widths, times in seconds."""

    sketch: Sketch
    class_index: int
    start: float
    speed: float
    y: float
    extent: float
    sway_seconds: float

    def pose(self, seconds: float, pan: float) -> Pose:
        span = 1 + 2 * _OUTSIDE
        x = (self.start + self.speed * seconds + _OUTSIDE) % span - _OUTSIDE
        phase = 2 * math.pi * (seconds / self.sway_seconds + self.start)
        return Pose(
            x=x + pan,
            y=self.y + 0.008 * math.sin(2 * phase),
            extent=self.extent * (1 + 0.06 * math.sin(phase)),
            degrees=2.5 * math.sin(phase + 1),
            flip=self.speed < 0,
        )


def write_clip(
    path: Path, *, seed: int, frames: int, fps: int, size: ImageSize, on_frame: Callable[[], None] = lambda: None
) -> None:
    """Write a film as H.264 in MP4, without sound.

    Args:
        path: File to write, ending in ``.mp4``.
        seed: Chooses the scene and its objects, at least 0.
        frames: Number of frames, at least 1.
        fps: Frames per second.
        size: Size of the film; height and width must be even, as H.264 stores colours at half the resolution.
        on_frame: Called after each frame, to show progress.

    Raises:
        ValueError: If a side of `size` is odd.
        OutputError: If the file cannot be written, or PyAV has no H.264 encoder.
    """
    import av

    if size.height % 2 or size.width % 2:
        raise ValueError(f"a film needs an even height and width, got {size}")
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream("libx264", rate=Fraction(fps))
                stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
                stream.bit_rate = round(_BIT_RATE_PER_PIXEL * size.width * size.height * fps)
                for image in render_clip(seed, frames, fps, size):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                    on_frame()
                container.mux(stream.encode())
        except av.codec.codec.UnknownCodecError as exc:
            raise OutputError(f"cannot write {path}: this build of PyAV has no H.264 encoder (libx264)") from exc


def render_clip(seed: int, frames: int, fps: int, size: ImageSize) -> Iterator[NDArray[np.uint8]]:
    """The frames of a film, uint8 (H, W, 3), RGB.

    Appearances are drawn once and nothing is random from frame to frame, so that what flickers in a segmented film is
    the network's doing.
    """
    rng = np.random.default_rng([seed])
    backdrop, names = _CASTS[int(rng.integers(len(_CASTS)))]
    wide = ImageSize(size.height, math.ceil(size.width * (1 + 2 * _PAN)) + 2)
    scenery = backdrop(rng, wide)
    light = Light(degrees=rng.uniform(60, 120), contrast=0.1, shadow=0.35)
    actors = [_cast(rng, name, place) for place, name in enumerate(rng.permutation(names)[: len(_STARTS)])]
    for frame in range(frames):
        seconds = frame / fps
        pan = _PAN * math.sin(2 * math.pi * seconds / _PAN_SECONDS)
        left = (wide.width - size.width) / 2 - pan * size.width
        window = np.array([[1, 0, -left], [0, 1, 0]])
        view = cv2.warpAffine(scenery, window, (size.width, size.height)).astype(np.uint8, copy=False)
        canvas = Canvas(view, light)
        for actor in actors:
            canvas.paint(actor.sketch, actor.pose(seconds, pan), actor.class_index)
        yield canvas.image


def _cast(rng: np.random.Generator, name: str, place: int) -> _Actor:
    """An object at its place in depth: the farther to the front, the lower it stands and the larger it is."""
    class_index = VOC_CLASSES.index(name)
    sketch = CATALOGUE[class_index - 1].draw(rng)
    depth = place / (len(_STARTS) - 1)
    direction = 1 if place % 2 else -1
    left, top, right, bottom = sketch.bounds()
    extent = (0.36 + 0.12 * depth) * sketch.elongation**0.35
    height = extent * min(1.0, (bottom - top) / (right - left))
    return _Actor(
        sketch=sketch,
        class_index=class_index,
        start=_STARTS[place] + rng.uniform(-0.08, 0.08),
        speed=direction * rng.uniform(0.06, 0.12),
        y=0.66 + 0.3 * depth - height / 2,
        extent=extent,
        sway_seconds=rng.uniform(2.5, 4.5),
    )
