"""NVENC, the video encoder of NVIDIA GPUs, through FFmpeg."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from av.codec.context import Flags

NVENC: Final = "h264_nvenc"

_LARGEST_DIFFERENCE = 8  # of 255, in the mean of a row; at this quantiser it is about 1


def nvenc_options(gpu: int) -> dict[str, str]:
    """Options of the encoder for a quality like that of the software encoder.

    Args:
        gpu: Index of the CUDA device.
    """
    # The standard defines the quantiser, so that it means the same in every encoder; rate control is each one's own.
    # libx264 at CRF 20 came to 17 in key frames and 19 to 20 in the others; this is 16 and 20. Frames are not
    # reordered, and key frames come as often as libx264's.
    return {"gpu": str(gpu), "preset": "p4", "rc": "constqp", "qp": "20", "bf": "0", "g": "250"}


def encodes_truly(codec: av.VideoCodecContext) -> bool:
    """Whether an encoder does what it is for, which opening it does not tell: a picture comes back as it was.

    Args:
        codec: Encoder of H.264 in 4:2:0, set up and not opened yet. It cannot be used afterwards.
    """
    codec.flags |= Flags.global_header
    picture = _test_picture(codec.width, codec.height)
    picture.pts = 0
    decoder = av.CodecContext.create("h264", "r")
    try:
        packets = codec.encode(picture) + codec.encode(None)
        decoder.extradata = codec.extradata
        frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    except av.FFmpegError:
        return False
    if len(frames) != 1 or (frames[0].width, frames[0].height) != (picture.width, picture.height):
        return False
    difference = np.abs(frames[0].to_ndarray().astype(np.int16) - picture.to_ndarray())
    return bool(difference.mean(axis=1).max() <= _LARGEST_DIFFERENCE)


def _test_picture(width: int, height: int) -> av.VideoFrame:
    """Luma that rises to the right, and two chroma planes that are neither like it nor like each other."""
    across, down = np.linspace(16, 235, width // 2), np.linspace(16, 235, height // 2)[:, None]
    planes = (across.repeat(2) + np.zeros((height, 1)), down + 0 * across, 251 - down + 0 * across)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
        rows[:, : plane.width] = values
    return frame
