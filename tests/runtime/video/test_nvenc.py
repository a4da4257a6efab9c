"""Encoding on a GPU: files like those of software, and its own where the GPU does not work. See `conftest.py`."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

if TYPE_CHECKING:
    from .conftest import FakeGpu

_TIMES = [0, 1001, 1002, 9009, 9010, 9011, 20020, 30030, 30031, 42042]

_WRITE = """
import json, sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
import numpy as np
from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.spec import ImageSize
from fcnrt.runtime.video.color import VideoColor
from fcnrt.runtime.video.reader import TimedFrame, VideoFacts
from fcnrt.runtime.video.writer import VideoWriter

height, width, times = json.loads(sys.argv[1])
facts = VideoFacts(
    size=ImageSize(height, width), time_base=Fraction(1, 30000), fps=Fraction(30000, 1001), duration_s=None,
    frame_count=None, pixel_aspect=Fraction(16, 11), color=VideoColor(matrix=1, primaries=1, transfer=1),
)
noise = np.random.default_rng(0).integers(0, 256, (len(times), height, width, 3), np.uint8)
try:
    with VideoWriter(Path("a.mp4"), facts, device=sys.argv[2]) as writer:
        for image, time in zip(noise, times):
            writer.write(TimedFrame(image, time, 1001))
    print(writer.hardware)
except OutputError as exc:
    print(exc)
"""


def _write(
    gpu: FakeGpu, folder: Path, *, height: int = 98, width: int = 150, device: str = "cuda:0", **options: Any
) -> str:
    """What the child that writes ``a.mp4`` prints: what encoded, or the error."""
    folder.mkdir(exist_ok=True)
    done = gpu.run("-c", _WRITE, json.dumps([height, width, _TIMES]), device, cwd=folder, **options)
    assert done.stderr == ""
    return done.stdout.strip()


def _is_of_software(path: Path) -> bool:
    return b"x264" in path.read_bytes()


@pytest.mark.parametrize("size", [(98, 150), (97, 149), (64, 160)], ids=str)
def test_a_file_of_the_gpu(gpu: FakeGpu, tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    assert _write(gpu, tmp_path, height=height, width=width) == "NVENC"

    path = tmp_path / "a.mp4"
    assert not _is_of_software(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.duration * stream.time_base == Fraction(42042 + 1001, 30000)
        assert stream.sample_aspect_ratio == Fraction(16, 11)
        codec = stream.codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
        assert (stream.height, stream.width) == (height + height % 2, width + width % 2)
    assert [frame.pts * stream.time_base for frame in frames] == [Fraction(time, 30000) for time in _TIMES]
    # The GPU is lossless here, so that each picture shows that it is the one that belongs to its time.
    noise = np.random.default_rng(0).integers(0, 256, (len(_TIMES), height, width, 3), np.uint8)
    for frame, image in zip(frames, noise, strict=True):
        padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        expected = av.VideoFrame.from_ndarray(padded).reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
        np.testing.assert_array_equal(frame.to_ndarray(), expected.to_ndarray())
    assert gpu.used() == "e" + len(_TIMES) * "e"  # one to try it
    settings = (gpu.folder / "settings").read_text()
    assert re.match("rate control 0, quantisers 16 20 [0-9]+, P every 1, fps 30000/1001,", settings)


@pytest.mark.parametrize(
    "options",
    [
        {"libraries": ()},
        {"libraries": ("libcuda.so.1", "libnvcuvid.so.1")},
        {"fails": "device"},
        {"fails": "old"},
        {"fails": "session"},
        {"fails": "initialize"},
        {"fails": "encode 0"},
        {"fails": "dark"},
        {"height": 48},  # NVENC takes no smaller ones than 145x49
        {"variables": {"FCNRT_HARDWARE_VIDEO": "0"}},
        {"device": "cuda:1"},
    ],
    ids=str,
)
def test_software_writes_what_the_gpu_cannot(gpu: FakeGpu, tmp_path: Path, options: dict[str, Any]) -> None:
    assert _write(gpu, tmp_path / "gpu", **options) == "None"
    assert _write(gpu, tmp_path / "cpu", **{**options, "device": "cpu"}) == "None"

    assert (tmp_path / "gpu" / "a.mp4").read_bytes() == (tmp_path / "cpu" / "a.mp4").read_bytes()
    assert _is_of_software(tmp_path / "gpu" / "a.mp4")
    assert gpu.used() in ("", "e")


def test_a_gpu_that_fails_later_is_one_error(gpu: FakeGpu, tmp_path: Path) -> None:
    assert _write(gpu, tmp_path, fails="encode 5") == (
        "cannot write a.mp4: NVENC failed (Unknown error occurred); FCNRT_HARDWARE_VIDEO=0 writes it without the GPU"
    )
