"""The sound of a video, carried over into an MP4 file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import av
import av.container
import av.error
from av.stream import Stream

AudioPlan = Literal["copy", "convert", "drop"]
"""What happens to a sound track: kept bit by bit, compressed again as AAC, or left out."""

# Players expect these in an MP4 file.
_CODECS_IN_MP4 = ("aac", "mp3", "mp3float", "ac3", "eac3", "alac", "flac", "opus", "libopus")
_AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_DEFAULT_RATE_HZ = 48000
_OVERLAP_S = Fraction(1, 20)  # times of compressed sound are not exact
_AAC_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}  # by number of channels; others become stereo


def plan_audio(stream: av.AudioStream) -> AudioPlan:
    """What can be done with a sound track: copied if MP4 files may hold its codec, converted if it can be decoded."""
    codec: av.AudioCodecContext | None = stream.codec_context
    if codec is None:
        return "drop"
    return "copy" if codec.name in _CODECS_IN_MP4 else "convert"


def describe_audio(streams: Sequence[av.AudioStream]) -> str:
    """What becomes of the sound, in a few words."""
    plans = {plan_audio(stream) for stream in streams}
    if not plans:
        return "no audio"
    if "drop" in plans:
        return "audio dropped (unknown codec)"
    return "audio converted to AAC" if "convert" in plans else "audio kept"


class AudioTrack:
    """A sound track of the output file. Create it before the first packet of any track is written.

    Sound that cannot be carried over is left out and counted: it is no reason to lose the pictures.

    Args:
        container: The output file.
        source: The track to carry over; its plan is ``copy`` or ``convert``.

    Attributes:
        lost: Pieces of sound that were damaged, or came a second time.
    """

    def __init__(self, container: av.container.OutputContainer, source: av.AudioStream) -> None:
        self._container = container
        self._source = source
        self._encoder: av.AudioStream | None = None
        self._earliest_s: Fraction | None = None
        """What does not come after this was there before."""
        self.lost = 0
        if plan_audio(source) == "copy":
            self._output = container.add_stream_from_template(source)
        else:
            rate = source.rate if source.rate in _AAC_RATES_HZ else _DEFAULT_RATE_HZ
            layout = _AAC_LAYOUTS.get(source.layout.nb_channels, "stereo")
            self._output = self._encoder = container.add_stream("aac", rate=rate, layout=layout)
        language = source.metadata.get("language")
        if language:
            self._output.metadata["language"] = language

    def write(self, packet: av.Packet[Stream]) -> None:
        """Write a packet of the source track."""
        if self._encoder is None:
            assert packet.dts is not None
            start_s = packet.dts * packet.time_base
            if self._comes_after(start_s):
                packet.stream = self._output
                self._mux(packet)
                self._earliest_s = start_s
            return
        try:
            frames = self._source.decode(packet)
        except av.FFmpegError:  # a moment of silence, not a reason to stop
            self.lost += 1
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                start_s = frame.pts * frame.time_base
                if not self._comes_after(start_s):
                    continue
                self._earliest_s = start_s + Fraction(frame.samples, frame.sample_rate) - _OVERLAP_S
            for encoded in self._encoder.encode(frame):
                self._mux(encoded)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._encoder is not None:
            for encoded in self._encoder.encode(None):
                self._mux(encoded)

    def _comes_after(self, start_s: Fraction) -> bool:
        if self._earliest_s is None or start_s > self._earliest_s:
            return True
        self.lost += 1
        return False

    def _mux(self, packet: av.Packet[Stream]) -> None:
        try:
            self._container.mux(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):  # other errors are the disk's
            self.lost += 1
