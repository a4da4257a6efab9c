"""NVDEC, the video decoder of NVIDIA GPUs, through FFmpeg."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from av.codec.hwaccel import HWAccel

# Their standards define every bit of a decoded picture. Decoders of the older ones may round differently.
_EXACT_CODECS: Final = ("h264", "hevc")

_FIRST_PYAV: Final = 18  # earlier ones lose what a frame says about itself when they fetch it from the GPU


def open_nvdec(software: av.VideoCodecContext, gpu: int) -> av.VideoCodecContext | None:
    """A decoder on a GPU for the video that another one decodes; None if it cannot be had.

    Whether the GPU decodes this kind of video shows only with the first packet: an `av.FFmpegError` if it does not.

    Args:
        software: Made by opening the video.
        gpu: Index of the CUDA device.
    """
    if software.codec.name not in _EXACT_CODECS or int(av.__version__.split(".")[0]) < _FIRST_PYAV:
        return None
    try:
        hardware = av.CodecContext.create(
            software.codec.name, "r", hwaccel=HWAccel("cuda", str(gpu), allow_software_fallback=False)
        )
    except av.FFmpegError:  # there is no driver, or not this device
        return None
    assert isinstance(hardware, av.VideoCodecContext)
    if not hardware.is_hwaccel:  # this FFmpeg was built without CUDA
        return None
    hardware.extradata = software.extradata
    hardware.reorder_depth = software.reorder_depth
    hardware.color_range, hardware.colorspace = software.color_range, software.colorspace
    hardware.thread_count = 1  # the GPU does the work; more of them would hold more of its surfaces
    return hardware


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame of the GPU as software decoders give it: in 8 bits, with a plane for each colour.

    No sample changes. From such planes FFmpeg converts to RGB several times as fast, and rounds as for other videos. It
    makes no difference to pictures of 10 bits, which stay as they are.
    """
    if frame.format.name != "nv12":
        return frame
    return frame.reformat(format="yuv420p", threads=1)


def same_picture(frame: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Whether two decoders gave the same picture, described in the same way."""
    return (
        (frame.width, frame.height) == (other.width, other.height)
        and (frame.color_range, frame.colorspace) == (other.color_range, other.colorspace)
        and np.array_equal(frame.to_ndarray(format="rgb24", threads=1), other.to_ndarray(format="rgb24", threads=1))
    )
