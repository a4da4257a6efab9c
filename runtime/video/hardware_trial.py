"""What of a GPU works for video: tried on a short film, in the way a run uses it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..errors import OutputError
from ..sources import VideoSource
from ..spec import ImageSize
from .color import VideoColor
from .reader import TimedFrame, VideoFacts, VideoReader
from .writer import VideoWriter

_FACTS = VideoFacts(
    size=ImageSize(256, 256),  # which every one of them takes
    time_base=Fraction(1, 25),
    fps=Fraction(25),
    duration_s=None,
    frame_count=None,
    pixel_aspect=None,
    color=VideoColor(matrix=1, primaries=1, transfer=1),
)


def working_hardware(device: str) -> set[str]:
    """``NVDEC`` if the CUDA device decodes H.264 here, and ``NVENC`` if it encodes it.

    Args:
        device: ``cuda:N``.
    """
    with TemporaryDirectory(prefix="fcnrt-") as folder:
        path = Path(folder, "film.mp4")
        try:
            encoder = write_film(path, device)
        except OutputError:
            encoder = write_film(path, "cpu")
        source = VideoSource(f"file:{path}", label=str(path), name=path.stem, path=path)
        with VideoReader(source, device=device) as reader:
            for _ in reader:
                pass
            return {hardware for hardware in (reader.hardware, encoder) if hardware is not None}


def write_film(path: Path, device: str) -> str | None:
    """Write the short film that is tried; returns what of the GPU encoded it."""
    frames = np.random.default_rng(0).integers(0, 256, (10, _FACTS.size.height, _FACTS.size.width, 3), np.uint8)
    with VideoWriter(path, _FACTS, device=device) as writer:
        for number, image in enumerate(frames):
            writer.write(TimedFrame(image, number, 1))
    return writer.hardware
