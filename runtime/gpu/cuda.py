"""Whether ONNX Runtime can use a CUDA device here, and if not, why and what to do."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from typing import Any

from ..device import Device
from ..errors import DeviceError
from .gpu import count_gpus, load_driver

PROVIDER = "CUDAExecutionProvider"
"""ONNX Runtime's name for its CUDA backend."""

_INSTALL_LIBRARIES = 'pip install "onnxruntime-gpu[cuda,cudnn]"'
_INSTALL_GPU = f"pip uninstall onnxruntime; {_INSTALL_LIBRARIES}"


def cuda_obstacle(onnxruntime: Any, index: int, *, count_devices: Callable[[], int]) -> str | None:
    """Why ONNX Runtime cannot use CUDA device `index`, with the remedy; None if nothing is known to stand in the way.

    Asking first matters: a session that cannot have CUDA prints to the terminal and quietly runs on the CPU. CUDA's
    libraries are loaded on the way.

    Args:
        onnxruntime: The imported module.
        index: Number of the CUDA device, from 0.
        count_devices: Number of devices the NVIDIA driver offers; `count_cuda_devices`.
    """
    if PROVIDER not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime has no CUDA support; run: {_INSTALL_GPU}"
    devices = count_devices()
    if devices == 0:
        return "no NVIDIA driver with a device was found; install the driver (nvidia-smi must list the device)"
    if index >= devices:
        return f"there is no device {index}; this machine has {devices} (cuda:0 .. cuda:{devices - 1})"
    missing = _missing_libraries(onnxruntime)
    if missing:
        return f"{', '.join(missing)} cannot be loaded; run: {_INSTALL_LIBRARIES}"
    return None


def require_cuda(session: Any, device: Device) -> None:
    """Check that an ONNX Runtime session got the CUDA device it asked for.

    Raises:
        DeviceError: If it runs on the CPU instead, which ONNX Runtime does not report as an error.
    """
    if session.get_providers()[0] != PROVIDER:
        raise DeviceError(
            f"{device} cannot be used: ONNX Runtime refused it and offered the CPU instead. Check that the NVIDIA "
            "driver fits onnxruntime-gpu's CUDA version, or ask for the device cpu"
        )


def count_cuda_devices() -> int:
    """Number of CUDA devices the NVIDIA driver offers; 0 without a driver. Takes no device memory."""
    return count_gpus(load_driver())


def _missing_libraries(onnxruntime: Any) -> list[str]:
    """Load CUDA's and cuDNN's libraries from their wheels or the system; the names of those that were not found."""
    if not hasattr(onnxruntime, "preload_dlls"):  # before 1.21 the system had to provide them
        return []
    report = io.StringIO()
    with contextlib.redirect_stdout(report):  # its only report is what it prints
        onnxruntime.preload_dlls()
    names = re.findall(r"^Failed to load (\S+):", report.getvalue(), flags=re.MULTILINE)
    return sorted({name for name in names if "/" not in name and "\\" not in name})
