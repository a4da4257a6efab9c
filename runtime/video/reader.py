"""Videos, cameras and streams as upright frames with their times; sound comes along as it is."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from types import TracebackType
from typing import Literal

import av
import numpy as np
from av.format import Flags
from av.stream import Disposition, Stream
from numpy.typing import NDArray
from typing_extensions import Self

from ..errors import SourceError
from ..sources import VideoSource
from ..spec import ChannelOrder, ImageSize
from .arrival_clock import ARRIVAL_TIME_BASE, ArrivalClock
from .color import VideoColor
from .decoder import VideoDecoder
from .hardware import video_gpu
from .interruptible import interruptible
from .opening import is_file_truncated, open_video, why
from .orientation import Orientation
from .overlay import has_planes_to_paint
from .running_clock import RunningClock

_TIMEOUT_S = 10.0
_SUSPECT_FOR = 3  # packets: FFmpeg marks one shortly before files were put together, too
_ASSUMED_FPS = Fraction(25)  # only for frames without any time, of a stream without a rate
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"

# Their times count from the start of the file. Transport streams, network streams and cameras have a clock that
# started at any moment; their results start at 0.
_FORMATS_WITH_FILE_TIME = (_MP4, "matroska,webm", "avi")


@dataclass(frozen=True)
class TimedFrame:
    """A frame and when it is shown.

    Attributes:
        image: uint8 (H, W, 3), upright.
        pts: Time at which it is shown, in units of the video's `time_base`; strictly increasing.
        duration: How long it is shown, in the same unit; 0 if unknown.
        decoded: The same picture as the decoder gave it, where `PlanePainter` can paint it as it is; else None.
    """

    image: NDArray[np.uint8]
    pts: int
    duration: int
    decoded: av.VideoFrame | None = None


@dataclass(frozen=True)
class AudioPacket:
    """Some sound, still compressed, of the audio stream with this position among `VideoReader.audio`."""

    packet: av.Packet[Stream]
    track: int


@dataclass(frozen=True)
class VideoFacts:
    """What is known about a video before reading it.

    Attributes:
        size: Of the upright frames.
        time_base: Unit of all times, in seconds.
        fps: Average frame rate; None if unknown.
        duration_s: Length in seconds; None for cameras and streams.
        frame_count: Number of frames, or an estimate; None if unknown.
        pixel_aspect: Width of a pixel divided by its height, upright; None if not stated, which means square.
        color: Colour space of the frames.
    """

    size: ImageSize
    time_base: Fraction
    fps: Fraction | None
    duration_s: float | None
    frame_count: int | None
    pixel_aspect: Fraction | None
    color: VideoColor


def codec_threads() -> int:
    """Threads for a decoder or an encoder: a quarter of the processors, 1 to 8, as inference needs the others."""
    return max(1, min(8, (os.cpu_count() or 1) // 4))


class VideoReader:
    """An open video. Iterate once over it for `TimedFrame` and `AudioPacket` in the order of the file.

    The first frame is decoded on opening. Frames that change size on the way are scaled to the first one's.

    Example:
        >>> with VideoReader(find_source("street.mp4")) as reader:   # doctest: +SKIP
        ...     for item in reader: ...

    Args:
        source: The video, camera or stream.
        channel_order: Order of the channels in the frames.
        timeout_s: Seconds to wait for a stream to answer, and later for its next piece.
        device: Where the frames are needed, as `Segmenter.device` says it. On a CUDA device that has NVDEC and gives
            the same frames as FFmpeg, it decodes files and streams.

    Raises:
        SourceError: If it cannot be opened, does not answer in time, or has no frame.

    Attributes:
        source: The video, camera or stream.
        facts: What is known before the frames.
        audio: Its sound tracks.
        is_paced: Whether frames come at the pace of the source, however fast they are read.
    """

    def __init__(
        self,
        source: VideoSource,
        *,
        channel_order: ChannelOrder = "rgb",
        timeout_s: float = _TIMEOUT_S,
        device: str = "cpu",
    ) -> None:
        self.source = source
        self._timeout_s = timeout_s
        self._pixel_format = "rgb24" if channel_order == "rgb" else "bgr24"
        self._frames_decoded = 0
        self._packets_damaged = 0
        self._has_joined = False
        """Whether a key frame has come."""
        self._suspects: list[int] = []
        """How many packets ago one came that FFmpeg marks as lacking a part."""
        self._truncated = source.path is not None and is_file_truncated(source.path)
        self._container = open_video(source, timeout_s=timeout_s, truncated=self._truncated)
        self._opened = ExitStack()
        self._opened.callback(self._container.close)
        self.is_paced = source.is_live or self._container.format.name == "mpjpeg"
        try:
            self._video = self._find_video()
            self._video.thread_type = "AUTO"
            self._video.codec_context.thread_count = codec_threads()
            self.audio: list[av.AudioStream] = list(self._container.streams.audio)
            self._decoder = VideoDecoder(self._video, video_gpu(device) if source.device_format is None else None)
            self._opened.callback(self._decoder.close)
            self._end = self._end_time()
            self._clock = RunningClock() if Flags.ts_discont in self._flags() else None
            self._arrivals = ArrivalClock() if self._sends_no_times() else None
            self._packets = self._container.demux([self._video, *self.audio])
            # The generator holds the last packet, which may be a camera's memory.
            self._opened.callback(self._packets.close)  # type: ignore[attr-defined]
            self._decoded = self._decode()
            self._opened.callback(self._decoded.close)
            self._head = self._until_first_frame() if source.path else interruptible(self._until_first_frame)
            first = next(item for item in self._head if isinstance(item, av.VideoFrame))
            self._start_s = self._start_time(first)
            self._orientation = Orientation.of(first)
            self._stored_size = ImageSize(first.height, first.width)
            self.facts = self._describe(first)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def hardware(self) -> Literal["NVDEC"] | None:
        """The part of the GPU that decodes; None while software does."""
        return "NVDEC" if self._decoder.on_gpu else None

    def close(self) -> None:
        """Close the file, camera or connection."""
        self._opened.close()

    def __iter__(self) -> Iterator[TimedFrame | AudioPacket]:
        """The frames and the sound, once.

        Raises:
            SourceError: At the end, if the video was cut off or damaged; the message counts the frames before.
        """
        last_pts: int | None = None
        for item in chain(self._head, self._decoded):
            if isinstance(item, AudioPacket):
                self._move_to_start(item.packet)
                yield item
                continue
            frame = self._convert(item, last_pts)
            last_pts = frame.pts
            yield frame

    def _find_video(self) -> av.VideoStream:
        for stream in self._container.streams.video:
            if not stream.disposition & Disposition.attached_pic:  # the cover of a song is no video
                return stream
        raise SourceError(f"{self.source.label}: there is no video in it")

    def _start_time(self, first: av.VideoFrame) -> Fraction:
        """Time in seconds of the file's clock that becomes 0."""
        if self._container.format.name in _FORMATS_WITH_FILE_TIME:
            return Fraction(0)
        start_s = Fraction(self._container.start_time or 0, av.time_base)
        if first.pts is None:
            return start_s
        # FFmpeg takes the first time it meets, which in a stream may be that of a frame shown later.
        return min(start_s, first.pts * self._time_base)

    def _end_time(self) -> int | None:
        """Time at which the last frame ends, as the file gives it, in the video's time base."""
        if self._video.duration is None:
            return None
        return (self._video.start_time or 0) + self._video.duration

    def _until_first_frame(self) -> list[av.VideoFrame | AudioPacket]:
        """What comes up to the first frame; up to the second one if the first has no time."""
        head: list[av.VideoFrame | AudioPacket] = []
        frames: list[av.VideoFrame] = []
        for item in self._decoded:
            head.append(item)
            if isinstance(item, av.VideoFrame):
                frames.append(item)
                if frames[0].pts is not None or len(frames) == 2:
                    break
        if not frames:
            raise SourceError(f"{self.source.label}: the video has no frames")
        if frames[0].pts is None and frames[-1].pts is not None:
            # FFmpeg gives the time of an RTSP stream's first frame to the parameter sets that are sent before it.
            frames[0].pts = frames[-1].pts - self._step()
        return head

    def _flags(self) -> Flags:
        return Flags(self._container.format.flags)

    def _sends_no_times(self) -> bool:
        """Whether frames come when they happen, without saying when that was."""
        return self.is_paced and Flags.no_timestamps in self._flags()

    @property
    def _time_base(self) -> Fraction:
        if self._arrivals is not None:
            return ARRIVAL_TIME_BASE
        assert self._video.time_base is not None
        return self._video.time_base

    def _fps(self) -> Fraction | None:
        if self._arrivals is not None:
            return None
        rates = [self._video.average_rate, self._video.guessed_rate]
        if Flags.no_timestamps in self._flags():
            rates.reverse()  # without times the average is FFmpeg's assumption, and the guess what the stream says
        return next(filter(None, rates), None)

    def _step(self) -> int:
        """Time from one frame to the next."""
        return round(1 / ((self._fps() or _ASSUMED_FPS) * self._time_base))

    def _describe(self, first: av.VideoFrame) -> VideoFacts:
        stream = self._video
        size = ImageSize(first.height, first.width)
        pixel_aspect = stream.sample_aspect_ratio or None
        if self._orientation.transpose:
            size = ImageSize(size.width, size.height)
            pixel_aspect = 1 / pixel_aspect if pixel_aspect else None
        fps = self._fps()
        duration_s: float | None = None
        if stream.duration:
            assert stream.time_base is not None
            duration_s = float(stream.duration * stream.time_base)
        elif self._container.duration:
            duration_s = self._container.duration / av.time_base
        estimate = round(duration_s * fps) if duration_s and fps else None
        return VideoFacts(
            size=size,
            time_base=self._time_base,
            fps=fps,
            duration_s=duration_s,
            frame_count=stream.frames or estimate,
            pixel_aspect=pixel_aspect,
            color=VideoColor.of(first, stream.codec_context),
        )

    def _decode(self) -> Generator[av.VideoFrame | AudioPacket, None, None]:
        tracks = {stream.index: track for track, stream in enumerate(self.audio)}
        try:
            for packet in map(self._detached, self._packets):
                restarts = self._clock is not None and self._clock.move(packet)
                if packet.stream.index == self._video.index:
                    self._count_damage(packet, restarts)
                    yield from self._decode_packet(packet)
                elif packet.dts is not None:  # the last, empty packet of a stream has no time
                    yield AudioPacket(packet, tracks[packet.stream.index])
        except av.FFmpegError as exc:
            yield from self._decode_packet(None)  # what the decoder still holds
            broken = f"broke off after {_frames(self._frames_decoded)} ({why(exc, self._timeout_s)})"
            if not self._frames_decoded and self.source.path is None and self._container.format.name == _MP4:
                # FFmpeg has read to the index at the end, and cannot go back.
                broken += "; a server must answer range requests for an MP4 file with its index at the end. Download it"
            raise SourceError(f"{self.source.label}: {broken}") from exc
        if self._truncated:
            raise SourceError(
                f"{self.source.label}: truncated; {_frames(self._frames_decoded)} before the cut could be read. "
                f"Fetch the file again"
            )
        self._packets_damaged += len(self._suspects)
        if self._packets_damaged:
            places = "1 place" if self._packets_damaged == 1 else f"{self._packets_damaged:,} places"
            raise SourceError(
                f"{self.source.label}: damaged in {places}; "
                f"{_frames(self._frames_decoded)} could be read. Fetch the file again"
            )

    def _count_damage(self, packet: av.Packet[Stream], restarts: bool) -> None:
        """Count the packets of a transport stream that lack a part.

        Nothing was lost where a clock starts again, nor where the stream was joined, before its first key frame.
        """
        if self._clock is None or self.source.path is None:
            return
        self._suspects = [] if restarts else [age + 1 for age in self._suspects]
        self._packets_damaged += self._suspects.count(_SUSPECT_FOR)
        self._suspects = [age for age in self._suspects if age < _SUSPECT_FOR]
        self._has_joined |= packet.is_keyframe
        if packet.is_corrupt and self._has_joined:
            self._suspects.append(0)

    def _detached(self, packet: av.Packet[Stream]) -> av.Packet[Stream]:
        """The packet in memory of its own: giving back a capture device's after closing it crashes FFmpeg."""
        if self.source.device_format is None or packet.size == 0:
            return packet
        copy = av.Packet(bytes(packet))
        copy.stream, copy.time_base = packet.stream, packet.time_base
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        return copy

    def _decode_packet(self, packet: av.Packet[Stream] | None) -> Iterator[av.VideoFrame]:
        if (
            self._truncated and packet is not None and packet.is_corrupt
        ):  # the packet at the cut would decode to half a picture
            return
        try:
            for frame in self._decoder.decode(packet):
                self._frames_decoded += 1
                if self._arrivals is not None:
                    self._arrivals.stamp(frame)
                yield frame
        except av.FFmpegError:
            # A recording or stream that was joined in the middle cannot show anything before its next key frame.
            if self._frames_decoded and self.source.path is not None and 0 not in self._suspects:
                self._packets_damaged += 1

    def _move_to_start(self, packet: av.Packet[Stream]) -> None:
        start = round(self._start_s / packet.time_base)
        if packet.pts is not None:
            packet.pts -= start
        assert packet.dts is not None
        packet.dts -= start

    def _convert(self, frame: av.VideoFrame, last_pts: int | None) -> TimedFrame:
        facts = self.facts
        if frame.pts is not None:
            pts = frame.pts - round(self._start_s / facts.time_base)
        else:
            pts = 0 if last_pts is None else last_pts + self._step()
        if last_pts is not None:
            pts = max(pts, last_pts + 1)  # damaged files repeat times, which no container takes
        image = frame.to_ndarray(
            format=self._pixel_format,
            height=self._stored_size.height,
            width=self._stored_size.width,
            src_colorspace=facts.color.scaler_matrix,
            threads=1,
        )
        duration = frame.duration or 0
        if self._end is not None and frame.pts is not None and not (self._clock and self._clock.has_restarted):
            # A frame comes with the duration of its packet, which is wrong where times vary and frames are reordered.
            # Only the last frame's matters, as the others end when the next one starts.
            duration = max(0, min(duration, self._end - frame.pts))
        as_shown = self._orientation == Orientation() and (frame.height, frame.width) == image.shape[:2]
        decoded = frame if as_shown and has_planes_to_paint(frame, facts.color) else None
        return TimedFrame(self._orientation.apply(np.asarray(image, np.uint8)), pts, duration, decoded)


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count:,} frames"
