"""The colour space of a video's frames, so that RGB in between changes no colour."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

_UNSPECIFIED = 2  # H.273, for each of matrix, primaries and transfer
_RESERVED = (0, 3)  # encoders refuse them
_BT709, _BT601 = 1, 6
_FIRST_HD_HEIGHT = 720

# FFmpeg's scaler numbers matrices almost as H.273 does: it has one BT.601 and one BT.2020.
_SCALER_NUMBERS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}

_LUMA_WEIGHTS = {  # of red and blue, H.273 table 4, by the scaler's number; green has the rest
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


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
        return cls(
            matrix=_matrix_of(frame),
            primaries=_known(decoder.color_primaries),
            transfer=_known(decoder.color_trc),
        )

    @property
    def scaler_matrix(self) -> int:
        """The matrix as FFmpeg's scaler numbers it, for `av.VideoFrame.reformat`."""
        return _SCALER_NUMBERS[self.matrix]

    def is_of(self, frame: av.VideoFrame) -> bool:
        """Whether the frame's matrix is this one; streams may change it on the way."""
        return _SCALER_NUMBERS[_matrix_of(frame)] == self.scaler_matrix

    def from_rgb(self, colors: NDArray[np.float64]) -> NDArray[np.uint8]:
        """RGB colours, (N, 3) of 0..255, as limited-range luma and two chroma values, uint8 (N, 3) (H.273, 8.3)."""
        red, blue = _LUMA_WEIGHTS[self.scaler_matrix]
        luma = colors @ np.array([red, 1 - red - blue, blue])
        chroma_blue = (colors[:, 2] - luma) / (2 * (1 - blue))
        chroma_red = (colors[:, 0] - luma) / (2 * (1 - red))
        values = np.stack([16 + luma * 219 / 255, 128 + chroma_blue * 224 / 255, 128 + chroma_red * 224 / 255], axis=1)
        return np.round(values).astype(np.uint8)

    def tag(self, codec: av.VideoCodecContext) -> None:
        """Have an encoder write these colours, in limited range, into its file."""
        codec.colorspace = self.matrix
        codec.color_range = ColorRange.MPEG
        codec.color_primaries = self.primaries
        codec.color_trc = self.transfer


def _matrix_of(frame: av.VideoFrame) -> int:
    assumed = _BT709 if frame.height >= _FIRST_HD_HEIGHT else _BT601
    return int(frame.colorspace) if frame.colorspace in _SCALER_NUMBERS else assumed


def _known(code: int) -> int:
    return _UNSPECIFIED if code in _RESERVED else int(code)
