"""Image files in and out: any common format becomes an upright uint8 (H, W, 3) frame."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..atomic import write_bytes
from ..errors import OutputError, SourceError
from ..spec import ChannelOrder
from ..truncation import is_truncated

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Suffixes of the formats that results can be written in."""

_SUFFIXES = (*WRITABLE_SUFFIXES, ".gif", ".avif", ".jp2", ".pbm", ".pgm", ".ppm", ".pnm", ".heic", ".heif")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")
_VIDEO_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"qt  ", b"3g", b"dash", b"MSNV", b"XAVC")
_VIDEO_SIGNATURES = {
    b"\x1a\x45\xdf\xa3": "Matroska",
    b"FLV\x01": "FLV",
    b"\x00\x00\x01\xba": "MPEG",
    b"\x30\x26\xb2\x75": "WMV",
}
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_HEAD_BYTES = 18  # up to the size of BMP's second header
_PNM = re.compile(rb"P[1-7]\s")

MOTION_JPEG_SUFFIXES = (".mjpeg", ".mjpg", ".mjpe")
"""Suffixes of films that are JPEG files one after the other, and so start as a picture does."""

_LARGEST_16_BIT = 65535


def is_image(path: Path) -> bool:
    """Whether the file is meant to be an image, by its suffix or its first bytes; it may turn out to be damaged."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    if path.suffix.lower() in MOTION_JPEG_SUFFIXES:
        return False
    head = _head(path)
    if head.startswith(_SIGNATURES):
        return True
    if head.startswith(b"BM"):  # as many a text does
        return int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    return (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS)


def holds_video(path: Path) -> bool:
    """Whether the file starts as a video does, whatever its name says."""
    return _video_format(_head(path)) is not None


def _head(path: Path) -> bytes:
    """The first bytes, which tell formats apart; none if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _video_format(head: bytes) -> str | None:
    if head[4:8] == b"ftyp" and head[8:].startswith(_VIDEO_BRANDS):
        return "MP4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    return next((name for signature, name in _VIDEO_SIGNATURES.items() if head.startswith(signature)), None)


def read_image(path: Path, *, channel_order: ChannelOrder = "rgb") -> NDArray[np.uint8]:
    """The image as a frame, uint8 (H, W, 3), turned upright by its EXIF orientation.

    Gray is repeated in the three channels, transparency is dropped (the colours under it are kept; TIFF's decoder lays
    them over black), 16 bits are scaled to 8, CMYK is converted, and of an animation the first picture is taken.

    Args:
        path: The file.
        channel_order: Order of the channels in the result.

    Raises:
        SourceError: If the file is missing, empty, truncated or not an image.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise SourceError(f"{path}: no such file") from exc
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc
    if not data:
        raise SourceError(f"{path}: empty (0 bytes); delete it or fetch it again")
    video = _video_format(data[:_HEAD_BYTES])
    if video is not None:
        raise SourceError(f"{path}: a video ({video}) with the name of a picture; rename it")
    if is_truncated(io.BytesIO(data)):
        raise SourceError(f"{path}: truncated after {len(data):,} bytes; delete it or fetch it again")

    with _quiet_native_stderr():
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except cv2.error:
            image = None
    if image is None:
        if not data.startswith(_SIGNATURES) and not _PNM.match(data) and b"\0" not in data:
            raise SourceError(f"{path}: not an image but text")
        raise SourceError(f"{path}: damaged, truncated or of an unknown format; fetch it again or convert it to PNG")
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / _LARGEST_16_BIT)
    if image.dtype != np.uint8:
        raise SourceError(f"{path}: {image.dtype} pixels; only 8-bit and 16-bit images can be read, convert it to PNG")
    if channel_order == "rgb":
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return np.asarray(image, np.uint8)


def write_image(path: Path, image: NDArray[np.uint8], *, channel_order: ChannelOrder = "rgb") -> None:
    """Write a frame, uint8 (H, W, 3), in the format that the suffix names.

    Raises:
        OutputError: If the suffix names no format that can be written, or the file cannot be written.
    """
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise OutputError(f"cannot write {path}: its suffix must be one of {' '.join(WRITABLE_SUFFIXES)}")
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if channel_order == "rgb" else image
    with _quiet_native_stderr():
        try:
            written, data = cv2.imencode(path.suffix.lower(), bgr)
        except cv2.error:
            written = False
    if not written:
        height, width = image.shape[:2]
        raise OutputError(f"cannot write {path}: this format does not take a picture of {height}x{width}; write a PNG")
    write_bytes(path, data.tobytes())


_stderr_lock = threading.Lock()


@contextmanager
def _quiet_native_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 nowhere.

    libjpeg and libpng print their warnings past OpenCV's log; there is no other way to stop them. Only for the
    milliseconds of a decode, because the whole process is affected.
    """
    with _stderr_lock:
        try:
            saved = os.dup(2)
        except OSError:  # no stderr: nothing to quieten
            yield
            return
        try:
            with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
