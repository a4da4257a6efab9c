"""The NVIDIA GPUs of this machine, as their driver describes them: without CUDA libraries, taking no GPU memory."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

from ..device import Device
from ..errors import DeviceError

_SUCCESS = 0
_ATTRIBUTE_CAPABILITY_MAJOR, _ATTRIBUTE_CAPABILITY_MINOR = 75, 76  # of CUdevice_attribute in cuda.h
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: As the driver calls it, for example ``NVIDIA GeForce RTX 4090``.
        compute_capability: Generation of its instruction set, for example ``8.9``.
        memory_bytes: Memory it has in all.
    """

    name: str
    compute_capability: str
    memory_bytes: int

    def __str__(self) -> str:
        return f"{self.name} ({self.compute_capability})"


def load_driver() -> Any | None:
    """The NVIDIA driver's library, or None if there is none or it has no device."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == _SUCCESS else None


def count_gpus(driver: Any | None) -> int:
    """Number of GPUs that the driver offers; 0 without a driver.

    Args:
        driver: From `load_driver`.
    """
    count = ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != _SUCCESS:
        return 0
    return count.value


def list_gpus(driver: Any | None) -> list[Gpu]:
    """All GPUs that the driver offers and describes, in CUDA's order; none without a driver.

    Args:
        driver: From `load_driver`.
    """
    return [gpu for gpu in (_describe(driver, index) for index in range(count_gpus(driver))) if gpu is not None]


def find_gpu(index: int = 0) -> Gpu | None:
    """The GPU with this CUDA index, or None if there is none."""
    driver = load_driver()
    return _describe(driver, index) if index < count_gpus(driver) else None


def require_gpu(device: Device) -> Gpu:
    """The GPU that TensorRT is to use.

    Raises:
        DeviceError: If the device is the CPU, or there is no such GPU.
    """
    if device.kind == "cpu":
        raise DeviceError("TensorRT runs on NVIDIA GPUs only; on the CPU, ONNX Runtime runs .onnx files")
    gpu = find_gpu(device.index)
    if gpu is None:
        raise DeviceError(
            f"TensorRT needs an NVIDIA GPU, and there is no {device} here (nvidia-smi must list it); on the CPU, ONNX "
            "Runtime runs .onnx files"
        )
    return gpu


def _describe(driver: Any, index: int) -> Gpu | None:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    memory = ctypes.c_size_t()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    answers = (
        driver.cuDeviceGet(ctypes.byref(device), index),
        driver.cuDeviceGetName(name, _NAME_BYTES, device),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _ATTRIBUTE_CAPABILITY_MAJOR, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _ATTRIBUTE_CAPABILITY_MINOR, device),
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
    )
    if any(answer != _SUCCESS for answer in answers):
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", memory.value)
