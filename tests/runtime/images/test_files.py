from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fcnrt.runtime.errors import OutputError, SourceError
from fcnrt.runtime.images.files import is_image, read_image, write_image

_ORIENTATION_TAG = 0x112
_NEEDS_GIF = pytest.mark.skipif("GIF:" not in cv2.getBuildInformation(), reason="this OpenCV does not read GIF")


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Smooth, and different in every corner and channel, so that lossy formats keep it and mistakes show."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y * 2], axis=-1).astype(np.uint8)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _read(tmp_path: Path, data: bytes, **options: Any) -> NDArray[np.uint8]:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return read_image(path, **options)


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("PPM", {}, 0),
        ("JPEG", {"quality": 95}, 2),
        ("JPEG", {"quality": 95, "progressive": True}, 2),
        pytest.param("GIF", {}, 6, marks=_NEEDS_GIF),
    ],
)
def test_formats(
    tmp_path: Path, picture: NDArray[np.uint8], kind: str, options: dict[str, Any], tolerance: float
) -> None:
    data = _encode(Image.fromarray(picture), kind, **options)

    rgb = _read(tmp_path, data)
    bgr = _read(tmp_path, data, channel_order="bgr")

    assert rgb.dtype == np.uint8
    assert rgb.shape == picture.shape
    assert rgb.flags.c_contiguous
    assert _difference(rgb, picture) <= tolerance
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("LA", "PNG"), ("L", "JPEG"), ("1", "PNG"), ("L", "TIFF")])
def test_gray_is_repeated_in_the_channels(tmp_path: Path, picture: NDArray[np.uint8], mode: str, kind: str) -> None:
    image = Image.fromarray(picture).convert(mode)

    frame = _read(tmp_path, _encode(image, kind))

    np.testing.assert_array_equal(frame[..., 0], frame[..., 2])
    assert _difference(frame, np.asarray(image.convert("RGB"))) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_dropped(tmp_path: Path, picture: NDArray[np.uint8], kind: str) -> None:
    alpha = np.full((40, 60, 1), 90, np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}

    frame = _read(tmp_path, _encode(Image.fromarray(np.dstack([picture, alpha])), kind, **options))

    np.testing.assert_array_equal(frame, picture)


def test_palette_images_get_their_colours(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    image = Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE)

    frame = _read(tmp_path, _encode(image, "PNG"))

    np.testing.assert_array_equal(frame, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(tmp_path: Path, kind: str) -> None:
    gray = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)

    frame = _read(tmp_path, _encode(Image.fromarray(gray), kind))

    assert (frame.min(), frame.max()) == (0, 255)
    assert np.abs(frame[..., 0] - gray / 257).max() <= 0.5


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colours(tmp_path: Path, picture: NDArray[np.uint8], suffix: str) -> None:
    ok, data = cv2.imencode(suffix, picture[..., ::-1].astype(np.uint16) * 257)
    assert ok

    np.testing.assert_array_equal(_read(tmp_path, data.tobytes()), picture)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(tmp_path: Path, picture: NDArray[np.uint8], kind: str) -> None:
    image = Image.fromarray(picture).convert("CMYK")

    frame = _read(tmp_path, _encode(image, kind, **({"quality": 95} if kind == "JPEG" else {})))

    assert _difference(frame, picture) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, picture: NDArray[np.uint8], orientation: int) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    data = _encode(Image.fromarray(picture), "JPEG", quality=95, exif=exif)

    frame = _read(tmp_path, data)

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright is not None
    assert _difference(frame, np.asarray(upright)) <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated(tmp_path: Path, picture: NDArray[np.uint8], kind: str, part: float) -> None:
    data = _encode(Image.fromarray(picture), kind)
    data = data[: int(part * len(data))]

    with pytest.raises(SourceError, match=f"picture: truncated after {len(data):,} bytes; delete it or fetch it again"):
        _read(tmp_path, data)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF"])
def test_truncated_formats_that_only_the_decoder_notices(tmp_path: Path, picture: NDArray[np.uint8], kind: str) -> None:
    data = _encode(Image.fromarray(picture), kind)

    with pytest.raises(SourceError, match="picture: damaged, truncated or of an unknown format"):
        _read(tmp_path, data[: len(data) // 2])


def test_a_cut_ppm_without_a_zero_in_it_is_not_taken_for_text(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="picture: damaged, truncated or of an unknown format"):
        _read(tmp_path, b"P6\n20 10\n255\n" + b"\x80" * 300)


def test_missing_empty_folder_and_text(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.jpg: no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(SourceError, match=r"picture: empty \(0 bytes\)"):
        _read(tmp_path, b"")
    with pytest.raises(SourceError, match="picture: not an image but text"):
        _read(tmp_path, b"shopping list\n" * 50)
    with pytest.raises(SourceError, match=r"cannot be read \(Is a directory\)"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("a.mp4", "libx264", "MP4"),
        ("a.mov", "mpeg4", "MP4"),
        ("a.webm", "libvpx", "Matroska"),
        ("a.avi", "mjpeg", "AVI"),
    ],
)
def test_videos_are_called_videos(
    tmp_path: Path, make_video: Callable[..., Path], name: str, codec: str, kind: str
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    data = make_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt).read_bytes()

    for part in (data, data[: len(data) // 2]):
        with pytest.raises(SourceError, match=rf"picture: a video \({kind}\) with the name of a picture; rename it"):
            _read(tmp_path, part)


def test_float_images_are_refused(tmp_path: Path) -> None:
    hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n" + bytes([128, 64, 32, 129] * 64)
    with pytest.raises(SourceError, match="float32 pixels; only 8-bit and 16-bit images can be read"):
        _read(tmp_path, hdr)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
def test_decoders_do_not_talk(
    tmp_path: Path, picture: NDArray[np.uint8], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(_encode(Image.fromarray(picture), kind))
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    for damaged in (bytes(data), bytes(data[: len(data) // 3])):
        with suppress(SourceError):
            _read(tmp_path, damaged)

    assert capfd.readouterr() == ("", "")


def test_images_are_known_by_suffix_or_contents(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    for name, data, expected in [
        ("a.jpg", b"not really", True),
        ("b", _encode(Image.fromarray(picture), "PNG"), True),
        ("c.dat", _encode(Image.fromarray(picture), "WEBP"), True),
        ("d.bin", _encode(Image.fromarray(picture), "AVIF"), True),
        ("e.out", _encode(Image.fromarray(picture), "BMP"), True),
        ("bmw.txt", b"BMW, Mercedes, Opel\n", False),
        ("film.MJPEG", _encode(Image.fromarray(picture), "JPEG") * 2, False),
        ("notes.txt", b"RIFF and more", False),
        ("empty", b"", False),
    ]:
        path = tmp_path / name
        path.write_bytes(data)
        assert is_image(path) is expected, name


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".BMP", 0), (".tif", 0), (".jpg", 3), (".webp", 3)])
def test_write_then_read(
    tmp_path: Path, picture: NDArray[np.uint8], suffix: str, tolerance: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"result{suffix}"
    write_image(path, picture)
    rgb = read_image(path)
    write_image(path, picture[..., ::-1], channel_order="bgr")

    assert _difference(rgb, picture) <= tolerance
    np.testing.assert_array_equal(read_image(path), rgb)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")


def test_results_that_cannot_be_written(
    tmp_path: Path, picture: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutputError, match=r"its suffix must be one of \.jpg \.jpeg \.png"):
        write_image(tmp_path / "a.gif", picture)
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/a\.png: No such file or directory"):
        write_image(tmp_path / "nowhere" / "a.png", picture)
    with pytest.raises(OutputError, match=r"a\.jpg: this format does not take a picture of 1x70000; write a PNG"):
        write_image(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
