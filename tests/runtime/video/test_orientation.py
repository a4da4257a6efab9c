from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fcnrt.runtime.images.files import read_image
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.video.reader import TimedFrame, VideoReader

_ORIENTATION_TAG = 0x112


def _photo(orientation: int | None) -> bytes:
    """A JPEG with EXIF, red at the top left of its blue pixels as they are stored."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 2] = 250
    pixels[:24, :32] = (250, 0, 0)
    exif = Image.Exif()
    exif[0x10F] = "a camera"
    if orientation is not None:
        exif[_ORIENTATION_TAG] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def _film(path: Path, photo: bytes) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
        for number in range(3):
            packet = av.Packet(photo)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            packet.is_keyframe = True
            container.mux(packet)
    return path


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_motion_jpeg_with_exif_is_turned_as_the_same_picture_is(tmp_path: Path, orientation: int | None) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(_photo(orientation))
    film = _film(tmp_path / "film.mkv", photo.read_bytes())

    with VideoReader(find_source(str(film))) as reader:  # type: ignore[arg-type]
        frames = [item.image for item in reader if isinstance(item, TimedFrame)]

    picture = read_image(photo)
    assert len(frames) == 3
    assert frames[0].shape == picture.shape
    assert np.abs(frames[0].astype(int) - picture).mean() < 4
