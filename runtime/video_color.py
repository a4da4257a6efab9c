"""The colour space of a video's frames, so that RGB in between changes no colour."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.video.reformatter import ColorRange

_UNSPECIFIED = 2  # H.273, for each of matrix, primaries and transfer
_RESERVED = (0, 3)  # encoders refuse them
_BT709, _BT601 = 1, 6
_FIRST_HD_HEIGHT = 720

# FFmpeg's scaler numbers matrices almost as H.273 does: it has one BT.601 and one BT.2020.
_SCALER_NUMBERS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True)
class VideoColor:
    """How a video codes its colours, as numbers of H.273.

    Attributes:
        matrix: Between RGB and YUV; never unspecified.
        primaries: What the RGB colours are.
        transfer: Between RGB and light.
    """

    matrix: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: av.VideoFrame, decoder: av.VideoCodecContext) -> VideoColor:
        """The frame's colours; if it does not name its matrix, what players assume: BT.709 for HD, else BT.601."""
        assumed = _BT709 if frame.height >= _FIRST_HD_HEIGHT else _BT601
        return cls(
            matrix=int(frame.colorspace) if frame.colorspace in _SCALER_NUMBERS else assumed,
            primaries=_known(decoder.color_primaries),
            transfer=_known(decoder.color_trc),
        )

    @property
    def scaler_matrix(self) -> int:
        """The matrix as FFmpeg's scaler numbers it, for `av.VideoFrame.reformat`."""
        return _SCALER_NUMBERS[self.matrix]

    def tag(self, codec: av.VideoCodecContext) -> None:
        """Have an encoder write these colours, in limited range, into its file."""
        codec.colorspace = self.matrix
        codec.color_range = ColorRange.MPEG
        codec.color_primaries = self.primaries
        codec.color_trc = self.transfer


def _known(code: int) -> int:
    return _UNSPECIFIED if code in _RESERVED else int(code)
