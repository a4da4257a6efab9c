"""Decoding on a GPU: whatever it does, the frames are those of software. See `conftest.py` for the GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

from fcnrt.runtime.video import decoder

if TYPE_CHECKING:
    from .conftest import FakeGpu, MakeFilm, Remux

MakeVideo = Callable[..., Path]

_NEEDS_18 = pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="PyAV before 18 loses what a frame from the GPU says about itself"
)

_READ = """
import hashlib, json, sys
from fcnrt.runtime.errors import SourceError
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.video.reader import AudioPacket, VideoReader

def read(device):
    seen = {"frames": [], "audio": [], "error": None}
    with VideoReader(find_source(sys.argv[1]), device=device) as reader:
        try:
            for item in reader:
                if isinstance(item, AudioPacket):
                    seen["audio"].append([item.packet.pts, hashlib.md5(bytes(item.packet)).hexdigest()])
                    continue
                picture = hashlib.md5(item.image.tobytes()).hexdigest()
                planes = item.decoded and item.decoded.format.name
                seen["frames"].append([item.pts, item.duration, picture, planes])
        except SourceError as exc:
            seen["error"] = str(exc)
        return {**seen, "facts": repr(reader.facts), "hardware": reader.hardware}

print(json.dumps([read("cpu"), read("cuda:0")]))
"""


def _read(gpu: FakeGpu, path: Path, *, script: str = _READ, **options: Any) -> tuple[dict[str, Any], str | None]:
    """What software reads and how the GPU took part; what is read on the GPU must be the same."""
    done = gpu.run("-c", script, path, **options)
    assert done.stderr == ""
    software, same = json.loads(done.stdout)
    assert software.pop("hardware") is None
    hardware = same.pop("hardware")
    assert same == software
    return software, hardware


_HEVC = {"codec": "libx265", "x265-params": "log-level=none:keyint=12"}
_OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:b-adapt=0"}


@_NEEDS_18
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bf": "0"},
        {"height": 90},  # the picture is smaller than what is coded
        {"pix_fmt": "yuvj420p"},
        {"colorspace": "bt709", "color_range": "tv"},
        _OPEN_GOP,
        _HEVC,
        {**_HEVC, "pix_fmt": "yuv420p10le"},
    ],
    ids=str,
)
def test_the_gpu_gives_the_frames_of_software(
    gpu: FakeGpu, tmp_path: Path, options: dict[str, Any], make_film: MakeFilm
) -> None:
    path = gpu.teach(make_film(tmp_path / "a.mp4", **options))

    read, hardware = _read(gpu, path)

    assert (len(read["frames"]), hardware, gpu.used()) == (40, "NVDEC", 40 * "d")


@_NEEDS_18
@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_other_containers_and_sound(
    gpu: FakeGpu, tmp_path: Path, make_video: MakeVideo, name: str, remux: Remux
) -> None:
    times = [0, 1, 2, 5, 6, 10, 11, 12, 20, 21]
    mp4 = gpu.teach(make_video(tmp_path / "a.mp4", pts=times, audio="aac"))

    read, hardware = _read(gpu, remux(mp4, tmp_path / name))

    assert (len(read["frames"]), hardware, gpu.used()) == (10, "NVDEC", 10 * "d")
    assert len(read["audio"]) > 40


@_NEEDS_18
def test_colours_that_only_the_container_names(gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm) -> None:
    film = gpu.teach(make_film(tmp_path / "a.mp4"))
    path = tmp_path / "a.mkv"
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        codec = stream.codec_context
        codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc = 1, 2, 1, 1
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)

    read, hardware = _read(gpu, path)

    assert (len(read["frames"]), hardware) == (40, "NVDEC")
    assert "matrix=1" in read["facts"]


def _without_usability(parameters: bytes) -> bytes:
    """The sequence parameters of an H.264 film in the main profile without their last part, filled with zeros."""
    bits = "".join(f"{byte:08b}" for byte in parameters)
    place = 32  # the unit's header, profile, constraints, level

    def skip_number() -> None:
        nonlocal place
        zeros = bits.index("1", place) - place
        place += 2 * zeros + 1

    # Number of the set, bits of the frame number, order by bits of their own, reference frames.
    for _ in range(5):
        skip_number()
    place += 1
    skip_number()  # width
    skip_number()  # height
    place += 3  # frames, not fields; prediction; no cropping
    assert bits[place - 1 : place + 1] == "01", "cropped, or without that part"
    ended = bits[:place] + "01"
    return int(ended.ljust(len(bits), "0"), 2).to_bytes(len(parameters), "big")


@_NEEDS_18
@pytest.mark.parametrize("fails", ["", "picture 14"])
def test_a_film_that_does_not_say_how_far_frames_are_reordered(
    gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, fails: str
) -> None:
    pyramid = {"bf": "7", "x264-params": "b-pyramid=normal:ref=4:b-adapt=0"}
    path = gpu.teach(make_film(tmp_path / "a.mp4", profile="main", **pyramid))
    data = path.read_bytes()
    start = data.index(b"avcC") + 4 + 8
    length = int.from_bytes(data[start - 2 : start], "big")
    changed = _without_usability(data[start : start + length])
    path.write_bytes(data[:start] + changed + data[start + length :])

    read, hardware = _read(gpu, path, fails=fails)

    assert (len(read["frames"]), hardware) == (40, None if fails else "NVDEC")


@_NEEDS_18
def test_a_rotated_video(gpu: FakeGpu, tmp_path: Path, make_video: MakeVideo) -> None:
    _, hardware = _read(gpu, gpu.teach(make_video(tmp_path / "a.mp4", rotation=90)))

    assert hardware == "NVDEC"


@_NEEDS_18
@pytest.mark.parametrize("size", [(96, 64), (160, 128)])
def test_a_size_that_changes(
    gpu: FakeGpu, tmp_path: Path, size: tuple[int, int], make_film: MakeFilm, remux: Remux
) -> None:
    both = tmp_path / "both.ts"
    with both.open("wb") as file:
        for height in size:
            film = gpu.teach(make_film(tmp_path / f"{height}.mp4", height=height))
            file.write(remux(film, tmp_path / f"{height}.ts").read_bytes())

    read, hardware = _read(gpu, both)

    assert (len(read["frames"]), hardware) == (80, "NVDEC")


@pytest.mark.parametrize("libraries", [(), ("libcuda.so.1",), ("libnvcuvid.so.1",)], ids=str)
def test_without_the_libraries_software_decodes(
    gpu: FakeGpu, tmp_path: Path, libraries: tuple[str, ...], make_film: MakeFilm
) -> None:
    read, hardware = _read(gpu, gpu.teach(make_film(tmp_path / "a.mp4")), libraries=libraries)

    assert (len(read["frames"]), hardware, gpu.used()) == (40, None, "")


@pytest.mark.parametrize("fails", ["device", "caps", "create", "picture 0", "map 0", "rubbish"])
def test_a_gpu_that_cannot_do_it_is_not_used(gpu: FakeGpu, tmp_path: Path, fails: str, make_film: MakeFilm) -> None:
    read, hardware = _read(gpu, gpu.teach(make_film(tmp_path / "a.mp4")), fails=fails)

    assert (len(read["frames"]), hardware) == (40, None)
    assert len(gpu.used()) < 8


@_NEEDS_18
@pytest.mark.parametrize("options", [{}, {"g": "1"}, _OPEN_GOP, _HEVC], ids=str)
@pytest.mark.parametrize("fails", ["picture 9", "picture 12", "map 25", "picture 39"])
def test_a_gpu_that_fails_later(
    gpu: FakeGpu, tmp_path: Path, fails: str, options: dict[str, Any], make_film: MakeFilm
) -> None:
    read, hardware = _read(gpu, gpu.teach(make_film(tmp_path / "a.mp4", **options)), fails=fails)

    assert (len(read["frames"]), hardware) == (40, None)
    assert len(gpu.used()) >= int(fails.split()[1])


@_NEEDS_18
def test_what_is_kept_for_software_has_a_limit(gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm) -> None:
    path = gpu.teach(make_film(tmp_path / "a.mp4"))
    with av.open(str(path)) as container:
        largest = max(packet.size for packet in container.demux(video=0))
    limited = f"from fcnrt.runtime.video import decoder\ndecoder._KEPT_BYTES = {largest + 1000}\n" + _READ

    done = gpu.run("-c", limited, path, fails="picture 20")

    software, hardware = json.loads(done.stdout)
    assert hardware["error"] == (
        f"{path}: damaged in 1 place; {len(hardware['frames'])} frames could be read. Fetch the file again"
    )
    # From 20 on, those up to the next key frame are missing.
    assert hardware["frames"] == software["frames"][:18] + software["frames"][24:]


def test_after_too_much_to_keep_the_next_key_frame_is_a_new_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_KEPT_BYTES", 1000)

    def packet(pts: int, size: int, *, key: bool = False) -> av.Packet[Any]:
        made = av.Packet(size)
        made.pts, made.is_keyframe = pts, key
        return made

    frame = av.VideoFrame(16, 16)
    kept = decoder._KeptPackets()
    kept.add(packet(0, 600, key=True))
    kept.add(packet(1, 600))
    assert not kept.complete
    kept.add(packet(2, 100))
    kept.add(packet(3, 100, key=True))
    kept.add(packet(4, 100))
    frame.pts = 2
    kept.start_at(frame)
    assert not kept.complete
    frame.pts = 3
    kept.start_at(frame)
    assert kept.complete
    assert [item.pts for item in kept.packets if item is not None] == [3, 4]


@_NEEDS_18
@pytest.mark.parametrize(
    ("damaged", "fails", "told"),
    [(17, "", True), (1, "picture 9", False)],  # before the first frame it is a stream that was joined in the middle
)
def test_damage_is_told_as_by_software(
    gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, damaged: int, fails: str, told: bool
) -> None:
    path = make_film(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][damaged]
        position, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)

    read, hardware = _read(gpu, gpu.teach(path), fails=fails)

    assert ("damaged in 1 place;" in str(read["error"])) == told
    assert hardware is None
    assert len(gpu.used()) >= 8


@_NEEDS_18
def test_a_file_that_was_cut_off(gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, remux: Remux) -> None:
    whole = remux(gpu.teach(make_film(tmp_path / "a.mp4")), tmp_path / "a.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: int(len(whole) * 0.8)])

    read, _ = _read(gpu, cut)

    assert "truncated" in read["error"]
    assert len(gpu.used()) >= len(read["frames"]) > 10


def test_frames_without_times_stay_with_software(
    gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, remux: Remux
) -> None:
    film = gpu.teach(make_film(tmp_path / "a.mp4"))

    read, hardware = _read(gpu, remux(film, tmp_path / "a.h264"))

    assert (len(read["frames"]), hardware, gpu.used()) == (40, None, "")


def test_codecs_that_do_not_define_every_bit_stay_with_software(
    gpu: FakeGpu, tmp_path: Path, make_video: MakeVideo
) -> None:
    _, hardware = _read(gpu, make_video(tmp_path / "a.mp4", codec="mpeg4"))

    assert (hardware, gpu.used()) == (None, "")


def test_a_gpu_with_another_index(gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm) -> None:
    path = gpu.teach(make_film(tmp_path / "a.mp4"))

    assert _read(gpu, path, script=_READ.replace("cuda:0", "cuda:1"))[1] is None


def test_it_can_be_switched_off(gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm) -> None:
    path = gpu.teach(make_film(tmp_path / "a.mp4"))

    assert _read(gpu, path, variables={"FCNRT_HARDWARE_VIDEO": "0"})[1] is None
    assert gpu.used() == ""
