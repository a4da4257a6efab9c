from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.spec import ImageSize
from fcnrt.runtime.video.audio import describe_audio
from fcnrt.runtime.video.color import VideoColor
from fcnrt.runtime.video.reader import AudioPacket, TimedFrame, VideoFacts, VideoReader
from fcnrt.runtime.video.writer import VideoWriter

MakeVideo = Callable[..., Path]

_NEEDS_BT2020 = pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="PyAV before 18 does not pass the matrix of BT.2020 on"
)

FACTS = VideoFacts(
    size=ImageSize(48, 64),
    time_base=Fraction(1, 30000),
    fps=Fraction(30000, 1001),
    duration_s=None,
    frame_count=None,
    pixel_aspect=None,
    color=VideoColor(matrix=6, primaries=2, transfer=2),
)


def _picture(size: ImageSize = FACTS.size) -> NDArray[np.uint8]:
    image = np.full((size.height, size.width, 3), (30, 60, 200), np.uint8)
    image[: size.height // 2] = (220, 40, 30)
    return image


def _write(path: Path, facts: VideoFacts, pts: list[int], **options: Any) -> None:
    with VideoWriter(path, facts, **options) as writer:
        for time in pts:
            writer.write(TimedFrame(_picture(facts.size), time, 1001))


def _open(path: Path) -> VideoReader:
    return VideoReader(find_source(str(path)))  # type: ignore[arg-type]


def _copy(source: Path, target: Path) -> str:
    """Write every item of a video again; returns what was done about the sound."""
    with (
        _open(source) as reader,
        VideoWriter(target, reader.facts, audio=reader.audio) as writer,
    ):
        for item in reader:
            if isinstance(item, AudioPacket):
                writer.write_audio(item)
            else:
                writer.write(item)
        return describe_audio(reader.audio)


def _audio(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.pts is not None
        ]


def test_it_is_an_mp4_that_players_take(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    _write(path, FACTS, [0, 1001, 2002])

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert container.format.name.startswith("mov,mp4")
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width) == (48, 64)


def test_times_and_total_length_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    times = [0, 1001, 1002, 9009, 9010, 9011, 20020, 30030, 30031, 42042]
    _write(path, FACTS, times)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        read = [frame.pts * stream.time_base for frame in container.decode(stream)]
        assert stream.duration * stream.time_base == Fraction(42042 + 1001, 30000)
    assert read == [Fraction(time, 30000) for time in times]


def test_pixel_aspect_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    _write(path, replace(FACTS, pixel_aspect=Fraction(16, 11)), [0, 1001])

    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize("size", [ImageSize(47, 63), ImageSize(48, 63), ImageSize(1, 1)])
def test_odd_sizes_are_padded_by_their_last_row_and_column(tmp_path: Path, size: ImageSize) -> None:
    path = tmp_path / "a.mp4"
    _write(path, replace(FACTS, size=size), [0, 1001])

    with _open(path) as reader:
        assert reader.facts.size == ImageSize(size.height + size.height % 2, size.width + size.width % 2)
        image = next(item.image for item in reader if isinstance(item, TimedFrame))
    expected = _picture(size)[-1, -1].astype(int)
    assert np.abs(image[-1, -1] - expected).max() <= 12


@pytest.mark.parametrize(
    ("color", "codes"),
    [
        (VideoColor(1, 1, 1), (1, 1, 1)),
        (VideoColor(6, 6, 6), (6, 6, 6)),
        pytest.param(VideoColor(9, 9, 14), (9, 9, 14), marks=_NEEDS_BT2020),
    ],
)
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_colours_survive(tmp_path: Path, color: VideoColor, codes: tuple[int, int, int], order: str) -> None:
    path = tmp_path / "a.mp4"
    picture = _picture() if order == "rgb" else _picture()[..., ::-1]
    with VideoWriter(path, replace(FACTS, color=color), channel_order=order) as writer:  # type: ignore[arg-type]
        for number in range(3):
            writer.write(TimedFrame(picture, 1001 * number, 1001))

    with _open(path) as reader:
        assert reader.facts.color == color
        image = next(item.image for item in reader if isinstance(item, TimedFrame))
    for y in (10, 40):
        assert np.abs(image[y, 32].astype(int) - _picture()[y, 32]).max() <= 4
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (*codes, 1)


@pytest.mark.parametrize(
    ("name", "audio"),
    [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.mkv", "libopus"), ("a.avi", "libmp3lame"), ("a.mkv", "flac")],
)
def test_sound_is_copied_bit_by_bit(tmp_path: Path, make_video: MakeVideo, name: str, audio: str) -> None:
    source = make_video(tmp_path / name, pts=range(20), audio=audio, codec="mpeg4" if name == "a.avi" else "libx264")
    target = tmp_path / "copy.mp4"

    assert _copy(source, target) == "audio kept"

    before, after = _audio(source), _audio(target)
    assert [data for _, data in after] == [data for _, data in before]
    assert [float(time) for time, _ in after] == pytest.approx([float(time) for time, _ in before], abs=0.001)


def test_sound_of_a_transport_stream_moves_with_the_picture(tmp_path: Path, make_video: MakeVideo) -> None:
    source = make_video(tmp_path / "a.ts", pts=range(20), audio="aac")
    target = tmp_path / "copy.mp4"
    _copy(source, target)

    def distance(path: Path) -> float:
        with av.open(str(path)) as container:
            first_frame = next(container.decode(video=0)).time
            container.seek(0)
            first_sound = next(container.decode(audio=0)).time
            assert first_frame is not None and first_sound is not None
            return first_frame - first_sound

    assert distance(target) == pytest.approx(distance(source), abs=0.001)


def test_sound_that_mp4_does_not_hold_becomes_aac(tmp_path: Path, make_video: MakeVideo) -> None:
    source = make_video(tmp_path / "a.mkv", pts=range(20), audio="pcm_s16le")
    target = tmp_path / "copy.mp4"

    assert _copy(source, target) == "audio converted to AAC"

    with av.open(str(target)) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        assert stream.codec_context.name == "aac"
        assert stream.rate == 48_000
    assert len(samples) == pytest.approx(20 * 4800, abs=2048)
    assert np.abs(samples[1000:-3000]).max() > 0.2


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_languages_are_kept(tmp_path: Path, make_video: MakeVideo, audio: str) -> None:
    source, target = tmp_path / "a.mkv", tmp_path / "copy.mp4"
    plain = make_video(tmp_path / "plain.mkv", audio=audio)
    with av.open(str(plain)) as before, av.open(str(source), "w") as after:
        streams = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        streams[1].metadata["language"] = "deu"
        for packet in before.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                after.mux(packet)
    _copy(source, target)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].metadata["language"] == "deu"


@pytest.mark.parametrize("audio", ["aac", "mp2"])
def test_damaged_sound_does_not_cost_the_pictures(tmp_path: Path, make_video: MakeVideo, audio: str) -> None:
    whole = make_video(tmp_path / "a.ts", pts=range(30), audio=audio).read_bytes()
    parts = [whole[start : start + 188] for start in range(0, len(whole), 188)]
    sound = [number for number, part in enumerate(parts) if part[1] & 0x1F == 1 and part[2] == 1]  # of PID 257
    for number in reversed(sound[10::3]):
        del parts[number]
    source, target = tmp_path / "damaged.ts", tmp_path / "copy.mp4"
    source.write_bytes(b"".join(parts))

    with _open(source) as reader:
        items = list(reader)
        with VideoWriter(target, reader.facts, audio=reader.audio) as writer:
            for item in items:
                writer.write_audio(item) if isinstance(item, AudioPacket) else writer.write(item)
    assert writer.sound_lost > 0 or audio == "mp2"  # of that FFmpeg gives whole pieces only
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    times = [time for time, _ in _audio(target)]
    assert 0 < len(times) < 200
    assert times == sorted(set(times))


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_sound_that_comes_a_second_time_is_left_out(tmp_path: Path, make_video: MakeVideo, audio: str) -> None:
    source, target = make_video(tmp_path / "a.mkv", audio=audio), tmp_path / "copy.mp4"
    once = tmp_path / "once.mp4"
    _copy(source, once)
    with _open(source) as reader:
        items = list(reader)
        with VideoWriter(target, reader.facts, audio=reader.audio) as writer:
            last: av.Packet[Any] | None = None
            for item in items:
                if not isinstance(item, AudioPacket):
                    writer.write(item)
                    continue
                writer.write_audio(AudioPacket(_again(item.packet), item.track))
                if last is not None:
                    writer.write_audio(AudioPacket(last, item.track))
                last = _again(item.packet)
    assert writer.sound_lost >= 9
    assert _audio(target) == _audio(once)


def _again(packet: av.Packet[Any]) -> av.Packet[Any]:
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    return copy


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write result\.mp4: No such file or directory"):
        _write(tmp_path / "nowhere" / "a.mp4", FACTS, [0, 1001], label=Path("result.mp4"))


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    # Files of this process may not grow beyond 20,000 bytes: to FFmpeg the same as a full disk.
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np, resource
from pathlib import Path
from test_writer import FACTS
from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.video.reader import TimedFrame
from fcnrt.runtime.video.writer import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0)
try:
    with VideoWriter(Path("a.mp4"), FACTS) as writer:
        for number in range(100):
            writer.write(TimedFrame(noise.integers(0, 256, (48, 64, 3), np.uint8), 1001 * number, 1001))
except OutputError as exc:
    print(exc)
"""
    # -B: Python would keep compiled modules that end at the limit.
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("cannot write a.mp4: File too large\n", "")


def test_an_exception_just_closes_the_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(tmp_path / "a.mp4", FACTS) as writer:
        writer.write(TimedFrame(_picture(), 0, 1001))
        raise RuntimeError("stop")
