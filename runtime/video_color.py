"""The colour space of a video's frames, so that RGB in between changes no colour."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.video.reformatter import ColorRange, Colorspace

_UNSPECIFIED = 2  # H.273, for each of matrix, primaries and transfer
_RESERVED = (0, 3)  # encoders refuse them

# FFmpeg's frames carry H.273 codes; its scaler has codes of its own. Both ways are needed.
_MATRIX_OF_CODE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_CODE_OF_MATRIX = {
    Colorspace.ITU709: 1,
    Colorspace.FCC: 4,
    Colorspace.ITU601: 6,
    Colorspace.SMPTE240M: 7,
    Colorspace.BT2020: 9,
}
_FIRST_HD_HEIGHT = 720


@dataclass(frozen=True)
class VideoColor:
    """How a video codes its colours.

    Attributes:
        matrix: Between RGB and YUV, as FFmpeg's scaler calls it.
        primaries: H.273 code.
        transfer: H.273 code.
    """

    matrix: Colorspace
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: av.VideoFrame, decoder: av.VideoCodecContext) -> VideoColor:
        """The frame's colours; if it does not name its matrix, what players assume: BT.709 for HD, else BT.601."""
        assumed = Colorspace.ITU709 if frame.height >= _FIRST_HD_HEIGHT else Colorspace.ITU601
        return cls(
            matrix=_MATRIX_OF_CODE.get(int(frame.colorspace), assumed),
            primaries=_known(decoder.color_primaries),
            transfer=_known(decoder.color_trc),
        )

    def tag(self, codec: av.VideoCodecContext) -> None:
        """Have an encoder write these colours, in limited range, into its file."""
        codec.colorspace = _CODE_OF_MATRIX[self.matrix]
        codec.color_range = ColorRange.MPEG
        codec.color_primaries = self.primaries
        codec.color_trc = self.transfer


def _known(code: int) -> int:
    return _UNSPECIFIED if code in _RESERVED else int(code)
