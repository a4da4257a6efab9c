"""Class maps as palette PNGs: pixel values are class indices, the palette gives each class its colour.

OpenCV writes no palettes, and a class map stored as plain RGB has lost its classes; the format is small enough to
write here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_PIXEL = 8
_PALETTE_COLOUR = 3
_COMPRESSION_LEVEL = 6


def encode_palette_png(class_map: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """The class map as the bytes of an 8-bit palette PNG.

    Args:
        class_map: Class of each pixel, uint8 (H, W), H and W at least 1; any memory layout.
        palette: RGB colours, each 0..255, one for each of the first classes; 1 to 256 of them.

    Raises:
        FrameError: If the array is not a class map, or holds a class that the palette has no colour for.
        ValueError: If the palette is not 1 to 256 colours.
    """
    if class_map.dtype != np.uint8 or class_map.ndim != 2 or class_map.size == 0:
        raise FrameError(f"a class map is a uint8 array (H, W), got {class_map.dtype} {class_map.shape}")
    if not 1 <= len(palette) <= 256:
        raise ValueError(f"a PNG palette has 1 to 256 colours, got {len(palette)}")
    highest = int(class_map.max())
    if highest >= len(palette):
        raise FrameError(f"the class map holds class {highest}, but the palette has only {len(palette)} colours")

    height, width = class_map.shape
    header = struct.pack(">IIBBBBB", width, height, _BITS_PER_PIXEL, _PALETTE_COLOUR, 0, 0, 0)
    # Each row is preceded by its filter: 0, none. Differences between class indices mean nothing, so others would not
    # make the file smaller.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = class_map
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"".join(bytes(colour) for colour in palette)),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), _COMPRESSION_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
