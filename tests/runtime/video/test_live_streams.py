"""Streams that go on by themselves: what is sent here is sent at the pace of a camera."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from fcnrt.runtime.errors import SourceError
from fcnrt.runtime.sources import VideoSource, find_source
from fcnrt.runtime.video.reader import AudioPacket, TimedFrame, VideoReader


def _open(address: str) -> VideoReader:
    source = find_source(address)
    assert isinstance(source, VideoSource)
    return VideoReader(source, timeout_s=5)


def _picture(number: int) -> np.ndarray:
    return np.full((48, 64, 3), 10 * number % 250, np.uint8)


@contextmanager
def _in_background(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Sender:
    """Sends a film of 64x48 over the network, a frame every tenth of a second."""

    def __init__(self, address: str, file_format: str) -> None:
        self._address = address
        self._format = file_format
        self.sent = 0
        self.stop = threading.Event()

    def __call__(self) -> None:
        with av.open(self._address, "w", format=self._format) as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency"}
            stream.codec_context.gop_size = 2
            while not self.stop.is_set():
                frame = av.VideoFrame.from_ndarray(_picture(self.sent))
                frame.pts, frame.time_base = self.sent, Fraction(1, 10)
                container.mux(stream.encode(frame))
                self.sent += 1
                time.sleep(0.1)


def test_a_stream_is_joined_before_its_frames_pile_up() -> None:
    address = f"udp://127.0.0.1:{_free_port()}"
    sender = _Sender(f"{address}?pkt_size=1316", "mpegts")
    with _in_background(sender):
        try:
            with _open(address) as reader:
                sent = sender.sent
                assert (reader.is_paced, reader.facts.fps) == (True, 10)
        finally:
            sender.stop.set()
    assert sent < 15  # FFmpeg by itself would have collected 20


def test_an_rtp_stream_is_found_by_its_session_file(tmp_path: Path) -> None:
    port = _free_port()
    session = tmp_path / "camera.sdp"
    session.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=camera\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\n"
    )
    sender = _Sender(f"rtp://127.0.0.1:{port}", "rtp")
    with _in_background(sender):
        try:
            with _open(str(session)) as reader:
                first, second = (item for item, _ in zip(_frames(reader), range(2), strict=False))
        finally:
            sender.stop.set()
    assert first.image.shape == (48, 64, 3)
    assert (second.pts - first.pts) * reader.facts.time_base == Fraction(1, 10)


def _frames(reader: VideoReader) -> Iterator[TimedFrame]:
    return (item for item in reader if not isinstance(item, AudioPacket))


_INTERVAL_S, _COUNT = 0.25, 8


class _Camera(http.server.BaseHTTPRequestHandler):
    """Motion JPEG over HTTP: pictures, and nothing said of their times."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(_COUNT):
            data = cv2.imencode(".jpg", _picture(number))[1].tobytes()
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data + b"\r\n")
            time.sleep(_INTERVAL_S)
        self.wfile.write(b"--frame--\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/camera.mjpg"
        server.shutdown()
        thread.join()


def test_pictures_without_times_have_the_times_at_which_they_come(camera: str) -> None:
    frames: list[TimedFrame] = []
    with _open(camera) as reader:
        assert (reader.is_paced, reader.facts.fps) == (True, None)
        with pytest.raises(SourceError, match="broke off after 8 frames"):  # such a camera does not say that it ends
            frames.extend(_frames(reader))
        times_s = [float(frame.pts * reader.facts.time_base) for frame in frames]
    assert len(times_s) == _COUNT
    assert times_s[0] == 0
    # FFmpeg has read some when it opens. At its own 25 per second the film would last 0.28 s.
    assert times_s[-1] > 3 * _INTERVAL_S
