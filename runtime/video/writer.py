"""Frames and their times as an H.264 video in an MP4 file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import av
import av.container
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from typing_extensions import Self

from ..errors import MissingDependencyError, OutputError
from ..spec import ChannelOrder
from .audio import AudioTrack, plan_audio
from .hardware import HARDWARE_VIDEO_VARIABLE, video_gpu
from .nvenc import NVENC, encodes_truly, nvenc_options
from .reader import AudioPacket, TimedFrame, VideoFacts, codec_threads

_ENCODER: Final = "libx264"
# The network needs the processor more. On 2 cores at 512x512 two benchmark runs gave `fcnrt run` 0.955 of the bare
# network's frame rate, and 0.933 with the next preset, superfast, whose file of the demo's film is 0.6 times as large.
_ENCODER_OPTIONS = {"preset": "ultrafast", "crf": "20"}
_NOMINAL_FPS = Fraction(25)  # for sources without a rate; only a hint, each frame has its time


class VideoWriter:
    """An MP4 file being written. Leaving the context completes the file; on an exception it is just closed.

    Players want 4:2:0 colour, which needs an even height and width: odd frames get their last row or column twice.

    Args:
        path: The file.
        facts: Of the video that the frames come from: their size, time base, pixel aspect and colours.
        audio: Its sound tracks.
        channel_order: Order of the channels in the frames.
        label: How error messages call the file, if not by its path.
        device: Where the frames come from, as `Segmenter.device` says it. On a CUDA device that has NVENC and encodes
            frames of this size, it does that.

    Attributes:
        hardware: The part of the GPU that encodes; None for software.

    Raises:
        OutputError: Here and in every method, if the file cannot be written.
        MissingDependencyError: If the installed FFmpeg has no H.264 encoder.
    """

    def __init__(
        self,
        path: Path,
        facts: VideoFacts,
        *,
        audio: Sequence[av.AudioStream] = (),
        channel_order: ChannelOrder = "rgb",
        label: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self._label = label or path
        self._facts = facts
        self._pixel_format = "rgb24" if channel_order == "rgb" else "bgr24"
        self._durations: dict[int, int] = {}
        """By time, of the frames that are in the encoder."""
        self._delay: int | None = None
        """Time by which the first frame is shown later than its packet is decoded."""
        self._end = 0
        self._padding = (facts.size.height % 2, facts.size.width % 2)
        self.hardware: Literal["NVENC"] | None = None
        encoder, options = self._choose_encoder(video_gpu(device))
        with self._translated_errors():
            self._container = av.open(str(path), "w", format="mp4")
            self._stream = self._add_video(encoder, options)
            self._tracks = {
                number: AudioTrack(self._container, stream)
                for number, stream in enumerate(audio)
                if plan_audio(stream) != "drop"
            }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        else:
            with suppress(av.FFmpegError):
                self._container.close()

    def write(self, frame: TimedFrame) -> None:
        """Write the image of a frame."""
        image = np.ascontiguousarray(frame.image)
        if any(self._padding):
            bottom, right = self._padding
            image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        with self._translated_errors():
            picture = av.VideoFrame.from_numpy_buffer(image, format=self._pixel_format).reformat(
                format="yuv420p",
                dst_colorspace=self._facts.color.scaler_matrix,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        self.write_picture(picture, frame.pts, frame.duration)

    def write_picture(self, picture: av.VideoFrame, pts: int, duration: int) -> None:
        """Write a picture in the file's own form: 4:2:0, limited range, even size; times as in `TimedFrame`."""
        picture.pts, picture.time_base = pts, self._facts.time_base
        self._durations[pts] = duration
        with self._translated_errors():
            self._mux(self._encode(picture))

    @property
    def sound_lost(self) -> int:
        """Pieces of sound that could not be carried over, see `AudioTrack`."""
        return sum(track.lost for track in self._tracks.values())

    def write_audio(self, item: AudioPacket) -> None:
        """Write some sound of the source."""
        track = self._tracks.get(item.track)
        if track is not None:
            with self._translated_errors():
                track.write(item.packet)

    def _choose_encoder(self, gpu: int | None) -> tuple[str, dict[str, str]]:
        if gpu is not None and NVENC in av.codecs_available:
            codec = av.CodecContext.create(NVENC, "w")
            assert isinstance(codec, av.VideoCodecContext)
            codec.options = nvenc_options(gpu)
            self._set_up(codec)
            if encodes_truly(codec):
                self.hardware = "NVENC"
                return NVENC, nvenc_options(gpu)
        if _ENCODER not in av.codecs_available:
            raise MissingDependencyError(
                f"the installed PyAV {av.__version__} has no {_ENCODER} encoder, which writing a video needs; "
                f"run: pip install --force-reinstall av"
            )
        return _ENCODER, _ENCODER_OPTIONS

    def _add_video(self, encoder: str, options: dict[str, str]) -> av.VideoStream:
        stream = self._container.add_stream(encoder, rate=self._facts.fps or _NOMINAL_FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        self._set_up(stream.codec_context)
        return stream

    def _set_up(self, codec: av.VideoCodecContext) -> None:
        facts = self._facts
        codec.height = facts.size.height + self._padding[0]
        codec.width = facts.size.width + self._padding[1]
        codec.pix_fmt = "yuv420p"
        codec.framerate = facts.fps or _NOMINAL_FPS
        codec.time_base = facts.time_base
        codec.thread_count = codec_threads()
        if facts.pixel_aspect is not None:
            codec.sample_aspect_ratio = facts.pixel_aspect
        facts.color.tag(codec)

    def _encode(self, picture: av.VideoFrame | None) -> list[av.Packet[av.VideoStream]]:
        try:
            return self._stream.encode(picture)
        except av.FFmpegError as exc:
            if self.hardware is None:
                raise
            raise OutputError(
                f"cannot write {self._label}: {self.hardware} failed ({exc.strerror}); "
                f"{HARDWARE_VIDEO_VARIABLE}=0 writes it without the GPU"
            ) from exc

    def _mux(self, packets: list[av.Packet[av.VideoStream]]) -> None:
        for packet in packets:
            assert packet.pts is not None and packet.dts is not None
            # The encoder drops the durations; without its own, the last frame would be shown for an average one.
            packet.duration = self._durations.pop(packet.pts)
            self._end = max(self._end, packet.pts + packet.duration)
            if self._delay is None:
                self._delay = packet.pts - packet.dts
            if not self._durations:  # this file gives lengths in coding order, so the last one covers the rest
                packet.duration = max(packet.duration, self._end - packet.dts - self._delay)
            self._container.mux(packet)

    def _finish(self) -> None:
        try:
            with self._translated_errors():
                self._mux(self._encode(None))
                for track in self._tracks.values():
                    track.finish()
        finally:
            with self._translated_errors():
                self._container.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as exc:
            raise OutputError(f"cannot write {self._label}: {exc.strerror}") from exc
