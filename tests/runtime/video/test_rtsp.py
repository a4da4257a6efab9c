"""RTSP cameras: the tests' own, which sends a film as RTP inside of the RTSP connection, as cameras do over TCP."""

from __future__ import annotations

import base64
import json
import re
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
import pytest

from fcnrt.runtime.errors import SourceError
from fcnrt.runtime.sources import VideoSource, find_source
from fcnrt.runtime.video.reader import AudioPacket, TimedFrame, VideoReader

if TYPE_CHECKING:
    from .conftest import FakeGpu, MakeFilm, Remux

MakeVideo = Callable[..., Path]

_USER = "Basic " + base64.b64encode(b"user:secret").decode()
_CLOCK_HZ = 90_000
_FRAME_TICKS = 9000  # 10 frames a second
_FRAME_COUNT = 30
_CLOCK_START = 2_900_000_000  # cameras start anywhere
_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=framerate:10
a=control:track0
"""


@dataclass
class Camera:
    """What the camera does, and what it saw.

    Attributes:
        film: Coded frames: the time, and the frame as network units of H.264.
        address: Where it listens: ``rtsp://...``.
        answers: Whether it says anything at all.
        after_film: What comes after the last frame: a closed connection, or nothing.
        password: Whether it lets only the user in whose password is ``secret``.
        transports: The ``Transport`` header of each reader.
        stop: Set when the test has ended.
    """

    film: list[tuple[int, list[bytes]]]
    address: str = ""
    answers: bool = True
    after_film: Literal["close", "silence"] = "close"
    password: bool = False
    transports: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class Connection(socketserver.StreamRequestHandler):
    """One reader of the camera, which is the server's attribute `camera`."""

    def handle(self) -> None:
        camera: Camera = self.server.camera  # type: ignore[attr-defined]
        if not camera.answers:
            camera.stop.wait()
            return
        while line := self.rfile.readline().decode():
            method, address, _ = line.split()
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(": ")
                headers[name] = value
            self.number = headers["CSeq"]
            if method == "DESCRIBE" and not address.endswith("/stream"):
                self.answer("404 Not Found")
            elif method == "DESCRIBE" and camera.password and headers.get("Authorization") != _USER:
                self.answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
            elif method == "DESCRIBE":
                self.answer("200 OK", "Content-Type: application/sdp", body=_SDP.replace("\n", "\r\n"))
            elif method == "SETUP":
                camera.transports.append(headers["Transport"])
                if "RTP/AVP/TCP" in headers["Transport"]:
                    self.answer("200 OK", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
                else:
                    self.answer("461 Unsupported Transport")
            elif method == "PLAY":
                self.answer("200 OK", "Session: 1")
                self.play(camera)
                return
            else:
                self.answer("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def answer(self, status: str, *headers: str, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {self.number}", *headers, f"Content-Length: {len(body)}", "", body]
        self.wfile.write("\r\n".join(lines).encode())

    def play(self, camera: Camera) -> None:
        sequence = 65_530  # so that it passes its end
        for pts, units in camera.film:
            for unit in units:
                marker = 0x80 if unit is units[-1] else 0
                time = (_CLOCK_START + pts) % 2**32
                header = struct.pack("!BBHII", 0x80, marker | 96, sequence % 2**16, time, 7)
                self.wfile.write(struct.pack("!cBH", b"$", 0, len(header) + len(unit)) + header + unit)
                sequence += 1
        if camera.after_film == "silence":
            camera.stop.wait()


@pytest.fixture
def film(tmp_path: Path, make_video: MakeVideo) -> Path:
    """What the camera shows, as a file."""
    pts = [_FRAME_TICKS * number for number in range(_FRAME_COUNT)]
    return make_video(tmp_path / "film.ts", pts=pts, time_base=Fraction(1, _CLOCK_HZ))


def _film_of(path: Path) -> list[tuple[int, list[bytes]]]:
    with av.open(str(path)) as container:
        packets = [(packet.pts or 0, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    # The units of a frame lie between start codes of three or four bytes.
    split = re.compile(rb"\x00?\x00\x00\x01").split
    return [(pts, [unit for unit in split(data) if unit]) for pts, data in packets]


@pytest.fixture
def camera(film: Path) -> Iterator[Camera]:
    camera = Camera(_film_of(film))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        server.camera = camera  # type: ignore[attr-defined]
        camera.address = f"rtsp://127.0.0.1:{server.server_address[1]}/stream"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield camera
        camera.stop.set()
        server.shutdown()
        thread.join()


def _open(address: str, **options: float) -> VideoReader:
    source = find_source(address)
    assert isinstance(source, VideoSource)
    return VideoReader(source, **options)


def _frames(reader: VideoReader) -> list[TimedFrame]:
    return [item for item in reader if not isinstance(item, AudioPacket)]


def test_every_frame_comes_with_its_time(camera: Camera, film: Path) -> None:
    with _open(camera.address) as stream, _open(str(film)) as file:
        frames, expected = _frames(stream), _frames(file)

    assert [frame.pts for frame in frames] == [_FRAME_TICKS * number for number in range(_FRAME_COUNT)]
    assert (stream.facts.time_base, stream.facts.fps) == (Fraction(1, _CLOCK_HZ), 10)
    assert (stream.facts.duration_s, stream.facts.frame_count) == (None, None)
    for frame, same in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, same.image)


def test_it_comes_over_tcp(camera: Camera) -> None:
    with _open(camera.address):
        pass

    assert [transport.split(";")[0] for transport in camera.transports] == ["RTP/AVP/TCP"]


def test_a_camera_with_a_password(camera: Camera) -> None:
    camera.password = True

    with _open(camera.address.replace("//", "//user:secret@")) as reader:
        assert len(_frames(reader)) == _FRAME_COUNT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("//", "//user:wrong@"), r"/stream: cannot be opened \(Server returned 401 Unauthorized"),
        (("/stream", "/other"), r"/other: cannot be opened \(Server returned 404 Not Found\)"),
    ],
)
def test_a_camera_that_refuses(camera: Camera, change: tuple[str, str], message: str) -> None:
    camera.password = True

    with pytest.raises(SourceError, match=rf"^rtsp://127\.0\.0\.1:\d+{message}"):
        _open(camera.address.replace(*change))


def test_a_camera_that_falls_silent(camera: Camera) -> None:
    camera.after_film = "silence"
    frames: list[TimedFrame | AudioPacket] = []

    with closing(_open(camera.address, timeout_s=0.5)) as reader, pytest.raises(SourceError) as stop:
        frames.extend(reader)

    # The last one stays in FFmpeg, which knows its end only from the start of the next one.
    assert len(frames) >= _FRAME_COUNT - 1
    assert str(stop.value) == (f"{camera.address}: broke off after {len(frames)} frames (nothing came for 0.5 seconds)")


def test_a_camera_that_never_answers(camera: Camera) -> None:
    camera.answers = False

    with pytest.raises(SourceError, match=r"/stream: cannot be opened \(nothing came for 0\.5 seconds\)"):
        _open(camera.address, timeout_s=0.5)


_READ = """
import hashlib, json, sys
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.video.reader import VideoReader

def read(device):
    with VideoReader(find_source(sys.argv[1]), device=device) as reader:
        frames = [[frame.pts, hashlib.md5(frame.image.tobytes()).hexdigest()] for frame in reader]
        return frames, reader.hardware

print(json.dumps([*read("cpu"), *read("cuda:0")]))
"""


@pytest.mark.skipif(int(av.__version__.split(".")[0]) < 18, reason="decodes on a GPU with PyAV 18 only")
@pytest.mark.parametrize("missed", [0, 3])
def test_a_gpu_decodes_it(
    camera: Camera, gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, remux: Remux, missed: int
) -> None:
    camera.film = _film_of(remux(gpu.teach(make_film(tmp_path / "a.mp4")), tmp_path / "a.ts"))
    del camera.film[:missed]  # joined in the middle: nothing can be shown before the next key frame

    done = gpu.run("-c", _READ, camera.address)

    assert done.stderr == ""
    software, none, same, hardware = json.loads(done.stdout)
    assert same == software
    assert (len(same), none, hardware) == (28 if missed else 40, None, "NVDEC")
    assert len(gpu.used()) == len(same)
