from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fcnrt.runtime.truncation import is_truncated

_RNG = np.random.default_rng(0)


def _encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_RNG.integers(0, 256, (24, 16, 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def _box(kind: bytes, contents: bytes) -> bytes:
    return (8 + len(contents)).to_bytes(4, "big") + kind + contents


_LARGE_BOX = (1).to_bytes(4, "big") + b"mdat" + (16 + 50).to_bytes(8, "big") + bytes(50)
_EBML_HEADER = b"\x1a\x45\xdf\xa3\x84" + bytes(4)
_SEGMENT = b"\x18\x53\x80\x67"
_EXIF = Image.Exif()
_EXIF[0x927C] = b"a maker's note with the marks of an end: \xff\xd9"

FILES = {
    "jpeg": _encoded("JPEG"),
    "progressive jpeg": _encoded("JPEG", progressive=True, quality=95),
    "jpeg with metadata": _encoded("JPEG", exif=_EXIF),
    "jpeg with restart marks": _encoded("JPEG", restart_marker_blocks=1),
    "png": _encoded("PNG"),
    "webp": _encoded("WEBP"),
    "avif": _box(b"ftyp", b"avif0000") + _box(b"meta", bytes(30)) + _box(b"mdat", bytes(40)),
    "mp4": _box(b"ftyp", b"isom0000") + _box(b"moov", bytes(30)) + _box(b"mdat", bytes(40)),
    "mp4 with a 64-bit box": _box(b"ftyp", b"isom0000") + _LARGE_BOX + _box(b"moov", bytes(9)),
    "matroska": _EBML_HEADER + _SEGMENT + b"\x40\x32" + bytes(50),
    "avi": b"RIFF" + (40).to_bytes(4, "little") + bytes(40) + b"RIFF" + (20).to_bytes(4, "little") + bytes(20),
    "transport stream": (b"\x47" + bytes(187)) * 5,
    "blu-ray transport stream": (bytes(4) + b"\x47" + bytes(187)) * 5,
}
_SHORTEST_KNOWN = {"transport stream": 189, "blu-ray transport stream": 197}
"""Bytes from which on a beginning is known to be one."""

# A cut at these lengths leaves a shorter file that is complete in itself.
_UNNOTICED = {
    "mp4": {*range(54, 62)},
    "avif": {*range(54, 62)},
    "transport stream": {376, 564, 752},
    "blu-ray transport stream": {384, 576, 768},
    "avi": {*range(48, 56)},
}


@pytest.mark.parametrize("name", FILES)
def test_every_beginning_of_a_file_is_truncated(name: str) -> None:
    data = FILES[name]
    unnoticed = {
        length
        for length in range(_SHORTEST_KNOWN.get(name, 12), len(data))
        if not is_truncated(io.BytesIO(data[:length]))
    }

    assert not is_truncated(io.BytesIO(data))
    assert unnoticed <= _UNNOTICED.get(name, set())


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "mp4", "matroska", "avi"])
def test_bytes_after_the_end_do_no_harm(name: str) -> None:
    assert not is_truncated(io.BytesIO(FILES[name] + bytes(13)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"some text\n" * 100,
        _box(b"ftyp", b"isom0000")
        + _box(b"moov", bytes(9))
        + (0).to_bytes(4, "big")
        + b"mdat"
        + bytes(20),  # box to the end of the file
        _EBML_HEADER + _SEGMENT + b"\x01" + b"\xff" * 7 + bytes(9),  # live recording
        b"RIFF" + bytes(4) + b"AVI " + bytes(20),  # live recording
    ],
)
def test_files_without_a_stated_end_are_complete(data: bytes) -> None:
    assert not is_truncated(io.BytesIO(data))
