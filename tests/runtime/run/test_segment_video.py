from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fcnrt.runtime.errors import InferenceError, OutputError, SourceError
from fcnrt.runtime.images.overlay import ClassPainter
from fcnrt.runtime.run.segment_video import segment_video
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.spec import ImageSize, ModelSpec
from fcnrt.runtime.video.reader import AudioPacket, TimedFrame, VideoReader
from fcnrt.runtime.video.writer import VideoWriter

MakeVideo = Callable[..., Path]
MakeSegmenter = Callable[..., Segmenter]


def _segment(segmenter: Segmenter, source: Path, output: Path, **options: Any) -> None:
    with VideoReader(find_source(str(source)), channel_order=segmenter.spec.channel_order) as reader:  # type: ignore[arg-type]
        segment_video(segmenter, reader, output, **options)


def _packets(path: Path) -> list[tuple[int, Fraction | None, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.stream.index, packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux()
            if packet.pts is not None
        ]


def _times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("save", ["overlay", "color"])
def test_the_result_is_that_of_working_in_sequence(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter, tiny_spec: ModelSpec, save: str, batch: int
) -> None:
    source = make_video(tmp_path / "a.mp4", pts=[0, 1, 2, 5, 6, 9, 10, 11, 30, 31, 32], audio="aac", rotation=90)
    delay = random.Random(0)
    seen: list[NDArray[np.uint8]] = []

    _segment(
        make_segmenter(lambda number, frames: time.sleep(delay.random() * 0.01)),
        source,
        tmp_path / "overlapped.mp4",
        save=save,
        batch=batch,
        on_result=seen.append,
    )

    painter = ClassPainter(tiny_spec.palette)
    class_maps = []
    with (
        VideoReader(find_source(str(source))) as reader,  # type: ignore[arg-type]
        VideoWriter(tmp_path / "sequence.mp4", reader.facts, audio=reader.audio) as writer,
    ):
        for item in reader:
            if isinstance(item, AudioPacket):
                writer.write_audio(item)
                continue
            class_map = item.image.argmax(-1).astype(np.uint8)
            class_maps.append(class_map)
            painted = painter.colorize(class_map) if save == "color" else painter.overlay(item.image, class_map)
            writer.write(TimedFrame(painted, item.pts, item.duration))
    assert _packets(tmp_path / "overlapped.mp4") == _packets(tmp_path / "sequence.mp4")
    assert _times(tmp_path / "overlapped.mp4") == _times(source)
    np.testing.assert_array_equal(seen, class_maps)


def test_bgr_models_get_bgr_frames(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter, tiny_spec: ModelSpec
) -> None:
    source = make_video(tmp_path / "a.mp4")
    segmenter = make_segmenter()
    segmenter.spec = replace(tiny_spec, channel_order="bgr")
    seen: list[NDArray[np.uint8]] = []

    _segment(segmenter, source, tmp_path / "out.mp4", opacity=0, on_result=seen.append)

    assert seen[0][5, 5] == 2  # the red corner, in a frame whose last channel is red
    with VideoReader(find_source(str(tmp_path / "out.mp4"))) as reader:  # type: ignore[arg-type]
        image = next(item.image for item in reader if isinstance(item, TimedFrame))
    assert image[5, 5].argmax() == 0


def test_class_maps_go_into_a_folder(tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter) -> None:
    source = make_video(tmp_path / "a.mp4", audio="aac")
    seen: list[NDArray[np.uint8]] = []

    _segment(make_segmenter(), source, tmp_path / "maps", save="classes", on_result=seen.append)

    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == [f"{number:06d}.png" for number in range(10)]
    for name, class_map in zip(names, seen, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "maps" / name)), class_map)


def test_a_truncated_video_gives_a_playable_result(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter
) -> None:
    source = make_video(tmp_path / "a.mkv", pts=range(40), audio="aac")
    whole = _times(source)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.7)])

    with pytest.raises(SourceError, match=r"a\.mkv: truncated; (\d+) frames before the cut could be read") as stop:
        _segment(make_segmenter(), source, tmp_path / "out.mp4")

    times = _times(tmp_path / "out.mp4")
    assert f" {len(times)} frames" in str(stop.value)
    assert times == whole[: len(times)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "out.mp4"]


def test_ctrl_c_leaves_a_playable_result(tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter) -> None:
    source = make_video(tmp_path / "a.mp4", pts=range(60), audio="aac")

    def interrupt(number: int, frames: NDArray[np.uint8]) -> None:
        if number == 20:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _segment(make_segmenter(interrupt), source, tmp_path / "out.mp4")

    assert _times(tmp_path / "out.mp4") == _times(source)[:20]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]


def test_ctrl_c_before_the_first_result_leaves_nothing(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter
) -> None:
    source = make_video(tmp_path / "a.mp4")

    with pytest.raises(KeyboardInterrupt):
        _segment(make_segmenter(lambda *_: signal.raise_signal(signal.SIGINT)), source, tmp_path / "out.mp4")

    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_failing_model_leaves_nothing(tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter) -> None:
    source = make_video(tmp_path / "a.mp4", pts=range(60))

    def fail(number: int, frames: NDArray[np.uint8]) -> None:
        if number == 20:
            raise InferenceError("out of memory")

    with pytest.raises(InferenceError, match="out of memory"):
        _segment(make_segmenter(fail), source, tmp_path / "out.mp4")

    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_failing_callback_leaves_nothing(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter
) -> None:
    source = make_video(tmp_path / "a.mp4")

    def fail(class_map: NDArray[np.uint8]) -> None:
        raise RuntimeError("in the callback")

    with pytest.raises(RuntimeError, match="in the callback"):
        _segment(make_segmenter(), source, tmp_path / "out.mp4", on_result=fail)

    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_result_that_cannot_be_written(tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter) -> None:
    source = make_video(tmp_path / "a.mp4")

    with pytest.raises(OutputError, match=r"cannot make the folder .*a\.mp4"):
        _segment(make_segmenter(), source, source / "out.mp4")


def test_odd_sizes(tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter) -> None:
    source = make_video(tmp_path / "a.mkv", size=ImageSize(47, 63), codec="ffv1", pix_fmt="bgr0")
    seen: list[NDArray[np.uint8]] = []

    _segment(make_segmenter(), source, tmp_path / "out.mp4", on_result=seen.append)

    assert seen[0].shape == (47, 63)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (48, 64)
