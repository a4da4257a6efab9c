"""A GPU's video engines for child processes: the driver is `fake_gpu.c` and `fake_encoder.c`, the rest is real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

_LIBRARIES = ("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1")


@dataclass
class FakeGpu:
    """A GPU that knows the pictures of the videos it was taught.

    Attributes:
        driver: The library that is the driver.
        folder: Where the libraries lie under their names, and the pictures.
    """

    driver: Path
    folder: Path

    def teach(self, path: Path) -> Path:
        """Let it decode a video of H.264 or HEVC in an MP4 file, which software decodes here; returns the path."""
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            slices = {packet.pts: _slices(bytes(packet), stream.codec_context.name) for packet in packets}
            container.seek(0)
            for frame in _decode(container.demux(stream)):
                size = np.array([frame.height, frame.width], np.uint32)
                picture = self.folder / f"{zlib.crc32(slices[frame.pts]):08x}"
                picture.write_bytes(size.tobytes() + b"".join(plane.tobytes() for plane in _two_planes(frame)))
        return path

    def used(self) -> str:
        """What it did since it was asked last: a letter for each picture, d for decoded and e for encoded."""
        log = self.folder / "used"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return text

    def run(
        self,
        *arguments: object,
        fails: str = "",
        libraries: tuple[str, ...] = _LIBRARIES,
        variables: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Python with these arguments on the machine that has the GPU.

        Args:
            arguments: For Python.
            fails: What does not work, as the C files list it.
            libraries: Those of the driver's that are installed.
            variables: Of the environment, besides the usual ones.
            cwd: Where it runs.
        """
        for name in _LIBRARIES:
            library = self.folder / name
            library.unlink(missing_ok=True)
            if name in libraries:
                library.symlink_to(self.driver)
            else:
                library.touch()  # as if there were none; nor is the one of a real GPU found then
        search = os.pathsep.join(filter(None, [str(self.folder), os.environ.get("LD_LIBRARY_PATH")]))
        own = {"LD_LIBRARY_PATH": search, "FAKE_GPU": str(self.folder), "FAKE_GPU_FAILS": fails}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **own, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def _decode(packets: Iterable[av.Packet[av.VideoStream]]) -> Iterator[av.VideoFrame]:
    for packet in packets:
        with suppress(av.FFmpegError):
            yield from packet.decode()


def _slices(data: bytes, codec: str) -> bytes:
    """The parts of a packet that FFmpeg hands to the GPU: each slice after a start code."""
    found = b""
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        unit, data = data[4:end], data[end:]
        kind = unit[0] if unit else 0  # none in a damaged packet
        is_slice = kind >> 1 < 32 if codec == "hevc" else kind & 31 in (1, 5)
        found += b"\0\0\1" + unit if is_slice else b""
    return found


def _two_planes(frame: av.VideoFrame) -> list[NDArray[np.uint8] | NDArray[np.uint16]]:
    """A 4:2:0 frame as GPUs have it: luma, and both chroma values side by side, 10 bits at the upper end of 16."""
    wide = "10" in frame.format.name
    luma, blue, red = (
        np.frombuffer(plane, np.uint16 if wide else np.uint8).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    )
    chroma = np.stack([blue, red], axis=-1).reshape(len(blue), -1)
    return [plane << 6 if wide else plane for plane in (luma, chroma)]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler to make a GPU")
    path = tmp_path_factory.mktemp("driver") / "fake_gpu.so"
    sources = [Path(__file__).with_name(name) for name in ("fake_gpu.c", "fake_encoder.c")]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, *sources], check=True)
    return path


@pytest.fixture
def gpu(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> FakeGpu:
    """A GPU that was taught nothing yet."""
    return FakeGpu(driver, tmp_path_factory.mktemp("gpu"))


MakeFilm = Callable[..., Path]
Remux = Callable[[Path, Path], Path]


@pytest.fixture(scope="session")
def make_film() -> MakeFilm:
    """A function that writes 40 frames, 10 in a second, of a bar that moves over noise: no two are coded alike.

    It has B frames and a key frame every 12 frames.
    """

    def make(
        path: Path,
        *,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        height: int = 96,
        audio: str | None = None,
        **options: Any,
    ) -> Path:
        noise = np.random.default_rng(0).integers(0, 64, (height, 160, 3), np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10, options={"g": "12", "bf": "2", **options})
            stream.height, stream.width, stream.pix_fmt = height, 160, pix_fmt
            sound = container.add_stream(audio, rate=48_000) if audio else None
            for number in range(40):
                image = noise.copy()
                image[:, 3 * number : 3 * number + 20] = (250, 5 * number, 90)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
                if sound is not None:
                    silence = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="stereo")
                    silence.sample_rate, silence.pts = 48_000, 4800 * number
                    container.mux(sound.encode(silence))
            container.mux(stream.encode(None))
            container.mux(sound.encode(None) if sound is not None else [])
        return path

    return make


@pytest.fixture(scope="session")
def remux() -> Remux:
    """A function that packs a file's streams into another container, by the new file's name; returns its path."""

    def pack(source: Path, target: Path) -> Path:
        with av.open(str(source)) as before, av.open(str(target), "w") as after:
            streams = {stream: after.add_stream_from_template(stream) for stream in before.streams}
            for packet in before.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream]
                    after.mux(packet)
        return target

    return pack
