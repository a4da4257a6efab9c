from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.errors import SourceError
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.spec import ImageSize
from fcnrt.runtime.video.color import VideoColor
from fcnrt.runtime.video.reader import AudioPacket, TimedFrame, VideoReader

MakeVideo = Callable[..., Path]

_NEEDS_BT2020 = pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="PyAV before 18 does not pass the matrix of BT.2020 on"
)


def _open(path: Path | str) -> VideoReader:
    source = find_source(str(path))
    return VideoReader(source)  # type: ignore[arg-type]


def _frames(path: Path | str) -> list[TimedFrame]:
    with _open(path) as reader:
        return [item for item in reader if isinstance(item, TimedFrame)]


def _corners(image: NDArray[np.uint8]) -> str:
    """The strongest channel near the top left, top right, bottom left and bottom right corner."""
    return "".join("rgb"[int(image[y, x].argmax())] for y in (4, -5) for x in (4, -5))


def _green(image: NDArray[np.uint8]) -> int:
    return int((image.argmax(-1) == 1).sum())


@pytest.mark.parametrize(
    ("name", "codec", "unit"),
    [
        ("a.mp4", "libx264", Fraction(1, 30000)),
        ("a.mkv", "libx264", Fraction(1, 1000)),
        ("a.mov", "mpeg4", Fraction(1, 600)),
        ("a.avi", "mjpeg", Fraction(1, 10)),
        ("a.webm", "libvpx", Fraction(1, 1000)),
    ],
)
def test_frames_come_in_order_with_their_times(
    tmp_path: Path, make_video: MakeVideo, name: str, codec: str, unit: Fraction
) -> None:
    times = [0, 1, 2, 5, 6, 10, 11, 12, 20, 21]
    tenth = int(Fraction(1, 10) / unit)
    path = make_video(
        tmp_path / name,
        pts=[tenth * time for time in times],
        time_base=unit,
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
    )

    with _open(path) as reader:
        frames = [item for item in reader if isinstance(item, TimedFrame)]
        time_base = reader.facts.time_base

    assert [frame.pts * time_base for frame in frames] == [Fraction(time, 10) for time in times]
    assert [_green(frame.image) for frame in frames] == sorted(_green(frame.image) for frame in frames)
    assert frames[-1].image.shape == (48, 64, 3)
    assert frames[-1].image.dtype == np.uint8
    assert _corners(frames[-1].image) == "rbgb"


def test_variable_times_are_exact(tmp_path: Path, make_video: MakeVideo) -> None:
    times = [0, 1001, 4004, 5005, 9009, 20020, 20021, 40040, 41041, 42042]
    path = make_video(tmp_path / "a.mp4", pts=times, time_base=Fraction(1, 30000))

    frames = _frames(path)

    assert [frame.pts for frame in frames] == times


def test_facts(tmp_path: Path, make_video: MakeVideo) -> None:
    path = make_video(tmp_path / "a.mp4", pixel_aspect=Fraction(4, 3), color=(1, 1, 1, 1))

    with _open(path) as reader:
        facts = reader.facts

    assert facts.size == ImageSize(48, 64)
    assert (facts.fps, facts.duration_s, facts.frame_count) == (10, 1.0, 10)
    assert facts.pixel_aspect == Fraction(4, 3)
    assert facts.color == VideoColor(matrix=1, primaries=1, transfer=1)


@pytest.mark.parametrize(
    ("rotation", "mirrored", "corners"),
    [(90, False, "bbrg"), (-90, False, "grbb"), (180, False, "bgbr"), (0, True, "brbg"), (90, True, "bbgr")],
)
def test_rotated_and_mirrored_videos_are_turned_upright(
    tmp_path: Path, make_video: MakeVideo, rotation: int, mirrored: bool, corners: str
) -> None:
    path = make_video(tmp_path / "a.mp4", rotation=rotation, mirrored=mirrored, pixel_aspect=Fraction(2, 1))

    with _open(path) as reader:
        facts = reader.facts
        *_, image = [item.image for item in reader if isinstance(item, TimedFrame)]

    sideways = abs(rotation) == 90
    assert facts.size == (ImageSize(64, 48) if sideways else ImageSize(48, 64))
    assert facts.pixel_aspect == (Fraction(1, 2) if sideways else 2)
    assert image.shape == (facts.size.height, facts.size.width, 3)
    assert image.flags.c_contiguous
    assert _corners(image) == corners


@pytest.mark.parametrize(
    "color", [None, (1, 1, 1, 1), (5, 1, 6, 6), (1, 2, 1, 1), pytest.param((9, 1, 9, 14), marks=_NEEDS_BT2020)]
)
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_colours_are_right_in_every_colour_space(
    tmp_path: Path, make_video: MakeVideo, color: tuple[int, int, int, int] | None, order: str
) -> None:
    path = make_video(tmp_path / "a.mp4", color=color)

    with VideoReader(find_source(str(path)), channel_order=order) as reader:  # type: ignore[arg-type]
        image = next(item.image for item in reader if isinstance(item, TimedFrame))

    rgb = image if order == "rgb" else image[..., ::-1]
    for (y, x), expected in {(10, 10): (250, 0, 0), (10, 50): (0, 0, 250)}.items():
        assert np.abs(rgb[y, x].astype(int) - expected).max() <= 6, (y, x)


def test_a_clock_that_started_earlier_starts_at_zero(tmp_path: Path, make_video: MakeVideo) -> None:
    path = make_video(tmp_path / "a.ts", pts=[900_000 + 9000 * i for i in range(10)], time_base=Fraction(1, 90_000))

    assert [frame.pts for frame in _frames(path)] == [9000 * i for i in range(10)]


def test_a_file_that_starts_later_keeps_its_start(tmp_path: Path, make_video: MakeVideo) -> None:
    path = make_video(tmp_path / "a.mp4", pts=range(5, 15))

    with _open(path) as reader:
        first = next(item for item in reader if isinstance(item, TimedFrame))
        assert first.pts * reader.facts.time_base == Fraction(1, 2)


def test_frames_of_another_size_are_scaled(tmp_path: Path, make_video: MakeVideo) -> None:
    small = make_video(tmp_path / "small.ts", pts=range(5))
    large = make_video(tmp_path / "large.ts", pts=range(5, 10), size=ImageSize(96, 128))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())

    frames = _frames(both)

    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) >= 9
    assert _corners(frames[-1].image) == "rbgb"


def test_sound_comes_between_the_frames(tmp_path: Path, make_video: MakeVideo) -> None:
    path = make_video(tmp_path / "a.mkv", pts=range(30), audio="aac")

    with _open(path) as reader:
        kinds = "".join("a" if isinstance(item, AudioPacket) else "v" for item in reader)

    assert kinds.count("v") == 30
    assert kinds.count("a") >= 140
    assert max(len(run) for run in kinds.split("v")) < 40


@pytest.mark.parametrize(
    ("name", "options"), [("a.mkv", {}), ("a.mp4", {"movflags": "faststart"}), ("a.avi", {"codec": "mpeg4"})]
)
def test_a_video_cut_off_in_the_middle_gives_the_frames_before(
    tmp_path: Path, make_video: MakeVideo, name: str, options: dict[str, str]
) -> None:
    whole = make_video(tmp_path / name, pts=range(40), **options)
    expected = _frames(whole)
    cut = tmp_path / f"cut{whole.suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    frames: list[TimedFrame] = []

    with _open(cut) as reader, pytest.raises(SourceError) as stop:
        frames.extend(item for item in reader if isinstance(item, TimedFrame))

    assert 8 < len(frames) < 40
    assert str(stop.value) == (
        f"{cut}: truncated; {len(frames)} frames before the cut could be read. Fetch the file again"
    )
    for frame, same in zip(frames, expected, strict=False):
        np.testing.assert_array_equal(frame.image, same.image)


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path, make_video: MakeVideo) -> None:
    path = make_video(tmp_path / "a.mkv", pts=range(30))
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    for packet in packets[12:14]:
        assert data.count(packet) == 1
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)
    frames: list[TimedFrame] = []

    with _open(path) as reader, pytest.raises(SourceError) as stop:
        frames.extend(item for item in reader if isinstance(item, TimedFrame))

    assert str(stop.value) == f"{path}: damaged in 2 places; {len(frames)} frames could be read. Fetch the file again"
    assert len(frames) >= 20


@pytest.mark.parametrize("audio", [None, "aac"])
def test_recordings_that_were_put_together_run_on(tmp_path: Path, make_video: MakeVideo, audio: str | None) -> None:
    """Their clock starts again in the middle; `cat` is how transport streams are joined."""
    one = make_video(tmp_path / "one.ts", pts=range(12), audio=audio)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 3)
    with _open(joined) as reader:
        items = list(reader)  # nothing is damaged
        unit = reader.facts.time_base
    frames = [item for item in items if isinstance(item, TimedFrame)]
    times = [float(frame.pts * unit) for frame in frames]
    assert len(times) == 36
    # Where sound is longer than the picture, it decides where the next part begins.
    assert np.diff(times) == pytest.approx(0.1, abs=0.06)
    assert times[-1] - times[0] == pytest.approx(3.5, abs=0.1)
    assert [_green(frame.image) for frame in frames[12:24]] == [_green(frame.image) for frame in frames[:12]]
    sounds = [item.packet for item in items if isinstance(item, AudioPacket)]
    starts = [float(packet.dts * packet.time_base) for packet in sounds if packet.dts is not None]
    assert starts == sorted(starts)
    assert bool(starts) is (audio is not None)


def _without(path: Path, packets: slice) -> Path:
    """A transport stream that lost some of its packets of 188 bytes."""
    data = path.read_bytes()
    parts = [data[start : start + 188] for start in range(0, len(data), 188)]
    del parts[packets]
    damaged = path.with_stem("damaged")
    damaged.write_bytes(b"".join(parts))
    return damaged


def test_lost_packets_of_a_transport_stream_are_counted(tmp_path: Path, make_video: MakeVideo) -> None:
    path = _without(make_video(tmp_path / "a.ts", pts=range(30)), slice(30, 33))
    frames: list[TimedFrame] = []
    with _open(path) as reader, pytest.raises(SourceError) as stop:
        frames.extend(item for item in reader if isinstance(item, TimedFrame))
    assert len(frames) >= 25
    assert str(stop.value) == f"{path}: damaged in 1 place; {len(frames)} frames could be read. Fetch the file again"


def test_a_transport_stream_that_was_joined_is_not_damaged(tmp_path: Path, make_video: MakeVideo) -> None:
    path = _without(make_video(tmp_path / "a.ts", pts=range(30)), slice(2, 12))
    assert len(_frames(path)) >= 20


@pytest.mark.parametrize("fps", [10, 50])
def test_a_raw_stream_plays_at_the_rate_that_it_states(tmp_path: Path, make_video: MakeVideo, fps: int) -> None:
    path = make_video(tmp_path / "a.h264", pts=range(12), time_base=Fraction(1, fps))
    with _open(path) as reader:
        unit = reader.facts.time_base
        times = [item.pts * unit for item in reader if isinstance(item, TimedFrame)]
        assert reader.facts.fps == fps
    assert [float(time) for time in times] == pytest.approx([number / fps for number in range(12)], abs=0.001)


def test_files_without_a_video(tmp_path: Path, make_video: MakeVideo) -> None:
    whole = make_video(tmp_path / "whole.mp4").read_bytes()
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    for name, contents, message in [
        ("empty.mp4", b"", r"empty\.mp4: empty \(0 bytes\); delete it or fetch it again"),
        ("text.mp4", b"not a video\n" * 100, r"text\.mp4: neither an image nor a video that can be read"),
        ("notes.txt", b"hello", r"notes\.txt: neither an image nor a video that can be read"),
        (
            "half.mp4",
            whole[: len(whole) // 2],
            rf"half\.mp4: truncated after {len(whole) // 2:,} bytes, before anything that can be shown",
        ),
        ("sound.mp4", sound.read_bytes(), r"sound\.mp4: there is no video in it"),
    ]:
        path = tmp_path / name
        path.write_bytes(contents)
        with pytest.raises(SourceError, match=message):
            _open(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.avi", "the video has no frames"),
        ("a.mkv", "ends before its first frame"),
        ("a.mp4", "there is no video in it"),
    ],
)
def test_a_video_without_frames(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = 48, 64
        container.start_encoding()

    with pytest.raises(SourceError, match=rf"{name}: {message}"):
        _open(path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of an HTTP server that has the files of `tmp_path`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_streams_over_http(tmp_path: Path, make_video: MakeVideo, served: str) -> None:
    path = make_video(tmp_path / "clip.mp4", audio="aac")

    frames = _frames(f"{served}/clip.mp4")

    assert [frame.pts for frame in frames] == [frame.pts for frame in _frames(path)]
    np.testing.assert_array_equal(frames[3].image, _frames(path)[3].image)


def test_an_index_at_the_end_needs_a_server_that_goes_there(tmp_path: Path, make_video: MakeVideo, served: str) -> None:
    film = make_video(tmp_path / "clip.mp4").read_bytes()
    index = film.rindex(b"moov") - 4
    between = 1 << 20  # more than FFmpeg reads ahead
    padded = film[:index] + between.to_bytes(4, "big") + b"free" + bytes(between - 8) + film[index:]
    (tmp_path / "clip.mp4").write_bytes(padded)
    assert len(_frames(tmp_path / "clip.mp4")) == 10

    with pytest.raises(SourceError, match=r"after 0 frames .*must answer range requests .* Download it$"):
        _open(f"{served}/clip.mp4")


def test_addresses_that_do_not_answer(served: str) -> None:
    with pytest.raises(SourceError, match=rf"{served}/gone.mp4: cannot be opened \(Server returned 404 Not Found\)"):
        _open(f"{served}/gone.mp4")
    with pytest.raises(SourceError, match=r"^rtsp://127\.0\.0\.1:9/s: cannot be opened \(Connection refused\)$"):
        _open("rtsp://user:secret@127.0.0.1:9/s")
    with pytest.raises(SourceError, match=r"nothing:.*cannot be opened \(the FFmpeg inside of PyAV has no nothing\)$"):
        _open("nothing://x/y")


def test_ffmpeg_does_not_talk(tmp_path: Path, make_video: MakeVideo, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_video(tmp_path / "a.mkv", pts=range(30), audio="aac")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    path.write_bytes(data[: int(len(data) * 0.9)])

    with pytest.raises(SourceError):
        _frames(path)

    assert capfd.readouterr() == ("", "")
