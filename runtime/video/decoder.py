"""A video's decoder: FFmpeg's own, and the GPU's from the moment it is seen to give the same pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import av
from av.stream import Stream

from .nvdec import open_nvdec, planar, same_picture

_Packet: TypeAlias = "av.Packet[Stream]"

_KEPT_BYTES: Final = 64 << 20  # a minute at 8 Mbit/s; key frames are seconds apart


class _KeptPackets:
    """The packets from which the frames that were not given yet can be decoded.

    Attributes:
        packets: From a key frame's packet on, in order.
        complete: False after there were too many to keep, until the next key frame is given.
    """

    def __init__(self) -> None:
        self.packets: list[_Packet | None] = []
        self.complete = True
        self._bytes = 0

    def add(self, packet: _Packet | None) -> None:
        self.packets.append(packet)
        self._bytes += _size(packet)
        if self._bytes > _KEPT_BYTES:
            self.packets, self._bytes, self.complete = [], 0, False

    def start_at(self, key_frame: av.VideoFrame) -> None:
        """Drop what comes before the packet of a frame that was given: no later frame needs it."""
        for place in range(len(self.packets) - 1, -1, -1):
            packet = self.packets[place]
            if packet is not None and packet.is_keyframe and packet.pts == key_frame.pts:
                self._bytes -= sum(map(_size, self.packets[:place]))
                del self.packets[:place]
                self.complete = True
                return


def _size(packet: _Packet | None) -> int:
    return 0 if packet is None else packet.size


class VideoDecoder:
    """Decodes the packets of a video, on a GPU if there is one that can.

    Software decodes the first frames in any case: they say what the video is, and the GPU takes over only if its
    picture of the last of them is the same, bit by bit. If it fails later, at a damaged packet too, software takes over
    again and keeps the rest. Whoever takes over starts at the last key frame and drops the frames that were given
    already, so that each comes once and in order. Frames without times cannot be told from each other: they stay with
    software.

    Args:
        stream: The video; nothing else decodes it.
        gpu: Index of the CUDA device to decode on; None for none.
    """

    def __init__(self, stream: av.VideoStream, gpu: int | None) -> None:
        self._software = stream.codec_context
        self._hardware = None if gpu is None else open_nvdec(self._software, gpu)
        self._on_gpu = False
        self._kept = _KeptPackets()
        self._last_pts: int | None = None
        """Time of the frame that was given last."""
        self._skip_to: int | None = None
        """While software decodes again what was given: the time up to which."""

    @property
    def on_gpu(self) -> bool:
        """Whether the GPU is what decodes."""
        return self._on_gpu

    def close(self) -> None:
        """Give the GPU's memory back; nothing can be decoded afterwards."""
        self._hardware = None
        self._kept = _KeptPackets()

    def decode(self, packet: _Packet | None) -> Iterator[av.VideoFrame]:
        """The frames that are complete with this packet; with None or an empty one, all that are left.

        Raises:
            av.FFmpegError: If the packet is damaged.
        """
        if self._hardware is None:
            yield from self._not_given(self._software.decode(packet))
            return
        self._kept.add(packet)
        if self._on_gpu:
            frames = self._decode_on_gpu(self._hardware, packet)
        else:
            frames = self._decode_until_on_gpu(self._hardware, packet)
        for frame in frames:
            if frame.pts is not None:
                self._last_pts = frame.pts
            if frame.key_frame:
                self._kept.start_at(frame)
            yield frame

    def _decode_until_on_gpu(self, hardware: av.VideoCodecContext, packet: _Packet | None) -> Iterator[av.VideoFrame]:
        frames = self._software.decode(packet)
        yield from frames
        if not frames or frames[-1].pts is None or packet is None or packet.size == 0:
            return
        again = list(_decode_undamaged(hardware, self._kept.packets))
        same = next((place for place, frame in enumerate(again) if frame.pts == frames[-1].pts), None)
        if same is None or not same_picture(again[same], frames[-1]):
            self._hardware = None
            self._kept = _KeptPackets()
            return
        self._software.flush_buffers()
        self._on_gpu = True
        yield from again[same + 1 :]

    def _decode_on_gpu(self, hardware: av.VideoCodecContext, packet: _Packet | None) -> Iterator[av.VideoFrame]:
        try:
            frames = hardware.decode(packet)
        except av.FFmpegError:
            self._software.reorder_depth = hardware.reorder_depth  # it may have grown since software stopped
            self._hardware, self._on_gpu = None, False
            kept, self._kept = self._kept, _KeptPackets()
            if not kept.complete:
                raise
            yield from self._decode_again(kept.packets)
        else:
            yield from map(planar, frames)

    def _decode_again(self, packets: Iterable[_Packet | None]) -> Iterator[av.VideoFrame]:
        self._skip_to = self._last_pts
        damage: av.FFmpegError | None = None
        for packet in packets:
            error = yield from self._decode_packet_again(packet)
            damage = damage or error
        if damage is not None:
            raise damage

    def _decode_packet_again(self, packet: _Packet | None) -> Generator[av.VideoFrame, None, av.FFmpegError | None]:
        try:
            yield from self._not_given(self._software.decode(packet))
        except av.FFmpegError as exc:
            if self._skip_to is None:  # else it was noticed the first time
                return exc
        return None

    def _not_given(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            if self._skip_to is not None:
                if frame.pts is None or frame.pts < self._skip_to:
                    continue
                given, self._skip_to = self._skip_to, None
                if frame.pts == given:
                    continue
            yield frame


def _decode_undamaged(decoder: av.VideoCodecContext, packets: Iterable[_Packet | None]) -> Iterator[av.VideoFrame]:
    for packet in packets:
        with suppress(av.FFmpegError):
            yield from map(planar, decoder.decode(packet))
