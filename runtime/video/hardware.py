"""The video engines of a GPU: NVDEC, which decodes, and NVENC, which encodes."""

from __future__ import annotations

import os
from typing import Final

from ..device import Device

HARDWARE_VIDEO_VARIABLE: Final = "FCNRT_HARDWARE_VIDEO"


def video_gpu(device: str) -> int | None:
    """Index of the CUDA device whose video engines are worth trying; None for none.

    They are tried where frames are needed on the GPU anyway. ``FCNRT_HARDWARE_VIDEO=0`` keeps video off it: what a
    faulty driver does in this process, nothing here can undo.

    Args:
        device: Where the network runs, ``cpu`` or ``cuda:N``.

    Raises:
        DeviceError: If the text is no device.
    """
    wanted = Device.parse(device)
    if wanted is None or wanted.kind == "cpu" or os.environ.get(HARDWARE_VIDEO_VARIABLE) == "0":
        return None
    return wanted.index
