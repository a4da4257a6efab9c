"""A video in, a video or a folder of class maps out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path, make_folder, write_bytes
from ..errors import SourceError
from ..images.overlay import ClassPainter
from ..images.palette_png import encode_palette_png
from ..opacity import DEFAULT_OPACITY
from ..segmenter import Segmenter
from ..video.overlay import PlanePainter
from ..video.reader import AudioPacket, TimedFrame, VideoReader
from ..video.writer import VideoWriter
from .batching import segment_items
from .outputs import Save
from .pipeline import StageTimes, run_pipeline

_Item = TimedFrame | AudioPacket
_Result = tuple[_Item, NDArray[np.uint8] | None]


def segment_video(
    segmenter: Segmenter,
    reader: VideoReader,
    output: Path,
    *,
    save: Save = "overlay",
    opacity: float = DEFAULT_OPACITY,
    batch: int = 1,
    on_result: Callable[[NDArray[np.uint8]], None] = lambda class_map: None,
    times: StageTimes | None = None,
) -> None:
    """Segment a video; decoding, inference and encoding overlap, and memory does not grow with its length.

    A live source does not wait: frames for which inference is too slow are dropped (`StageTimes.dropped`), and the
    others keep their times.

    If the video turns out to be cut off or damaged, and on Ctrl-C, the result holds the frames so far and is complete
    and playable before the exception is raised. After any other error there is no result file.

    Args:
        segmenter: The model.
        reader: The video, opened in the channel order of the segmenter's spec, and for its device.
        output: The MP4 file; for ``classes`` the folder of numbered PNGs. See `fcnrt.runtime.run.outputs.video_output`.
        save: Form of the result.
        opacity: Weight of the class colours in an overlay, 0 to 1.
        batch: Frames to segment in one call.
        on_result: Called with the class map of each frame when it is written, in order, from another thread.
        times: Is filled in with the time that decoding, inference, and painting and encoding took, with what sound was
            lost, and with the parts of the GPU that decoded and encoded.

    Raises:
        SourceError: If the video was cut off or damaged; the message counts the frames before.
        OutputError: If the result cannot be written.
        InferenceError: If the model fails.
        KeyboardInterrupt: On Ctrl-C.
    """
    if save == "classes":
        opened = _class_map_folder(segmenter, output)
    else:
        opened = _video_file(segmenter, reader, output, save, opacity, times)

    frame_count = 0
    stopped: SourceError | KeyboardInterrupt | None = None
    with opened as write:

        def sink(result: _Result) -> None:
            nonlocal frame_count
            item, class_map = result
            write(item, class_map)
            if class_map is not None:
                frame_count += 1
                on_result(class_map)

        try:
            run_pipeline(
                reader,
                partial(_segment, segmenter, batch),
                sink,
                times=times,
                may_drop=_is_frame if reader.source.is_live else None,
            )
        except (SourceError, KeyboardInterrupt) as exc:
            if frame_count == 0:
                raise
            stopped = exc
        finally:
            if times is not None:
                times.read_by = reader.hardware
    if stopped is not None:
        raise stopped


_Write = Callable[[_Item, NDArray[np.uint8] | None], None]


def _segment(segmenter: Segmenter, batch: int, items: Iterator[_Item]) -> Iterator[_Result]:
    return segment_items(segmenter, items, _frame_of, batch=batch)


def _is_frame(item: _Item) -> bool:
    return isinstance(item, TimedFrame)


def _frame_of(item: _Item) -> NDArray[np.uint8] | None:
    return item.image if isinstance(item, TimedFrame) else None


@contextmanager
def _video_file(
    segmenter: Segmenter, reader: VideoReader, output: Path, save: Save, opacity: float, times: StageTimes | None
) -> Iterator[_Write]:
    order = segmenter.spec.channel_order
    painter = ClassPainter(segmenter.spec.palette, channel_order=order)
    plane_painter = PlanePainter(segmenter.spec.palette, reader.facts.color, opacity=opacity)
    make_folder(output.parent)
    with (
        atomic_path(output) as temporary,
        VideoWriter(
            temporary,
            reader.facts,
            audio=reader.audio,
            channel_order=order,
            label=output,
            device=segmenter.device,
        ) as writer,
    ):
        if times is not None:
            times.write_by = writer.hardware

        def write(item: _Item, class_map: NDArray[np.uint8] | None) -> None:
            if isinstance(item, AudioPacket):
                writer.write_audio(item)
                return
            assert class_map is not None
            if save == "overlay" and item.decoded is not None:
                writer.write_picture(plane_painter.overlay(item.decoded, class_map), item.pts, item.duration)
                return
            if save == "color":
                painted = painter.colorize(class_map)
            else:
                painted = painter.overlay(item.image, class_map, opacity=opacity)
            writer.write(TimedFrame(painted, item.pts, item.duration))

        try:
            yield write
        finally:
            if times is not None:
                times.sound_lost = writer.sound_lost


@contextmanager
def _class_map_folder(segmenter: Segmenter, output: Path) -> Iterator[_Write]:
    palette = segmenter.spec.palette
    number = 0

    def write(item: _Item, class_map: NDArray[np.uint8] | None) -> None:
        nonlocal number
        if class_map is not None:
            make_folder(output)
            write_bytes(output / f"{number:06d}.png", encode_palette_png(class_map, palette))
            number += 1

    yield write
