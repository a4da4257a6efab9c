"""Whether ONNX Runtime can compute with TensorRT here, and if not, why and what to do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from ..device import Device
from ..errors import DeviceError
from ..gpu.cuda import cuda_obstacle

PROVIDER = "TensorrtExecutionProvider"
"""ONNX Runtime's name for it."""

LIBRARY = "libnvinfer.so.10"
"""What the published onnxruntime-gpu is linked against: TensorRT 11 does not serve."""

INSTALL_LIBRARY = 'pip install "tensorrt-cu13>=10.13,<11"'


def find_library(
    *, load: Callable[[str], Any] = ctypes.CDLL, import_: Callable[[str], object] = import_module
) -> str | None:
    """Version of the TensorRT that ONNX Runtime would use, such as ``10.13.3``; None if it is not to be found.

    Args:
        load: Loads a library by its name.
        import_: Imports a module by its name.
    """
    with suppress(ImportError, OSError, RuntimeError):
        import_("tensorrt")  # loads the libraries of its wheels, which nothing else would find
    try:
        number = int(load(LIBRARY).getInferLibVersion())
    except (OSError, AttributeError):
        return None
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"


def require_tensorrt_provider(
    onnxruntime: Any,
    device: Device,
    *,
    count_devices: Callable[[], int],
    find: Callable[[], str | None] = find_library,
) -> str:
    """The version of TensorRT with which ONNX Runtime computes on a device.

    Asking first matters: a session that cannot have it prints to the terminal and quietly runs elsewhere.

    Args:
        onnxruntime: The imported module.
        device: Where it should compute.
        count_devices: Number of devices the NVIDIA driver offers; `count_cuda_devices`.
        find: As `find_library`.

    Raises:
        DeviceError: If it cannot, saying why and what to do.
    """
    if device.kind == "cpu":
        raise DeviceError("ONNX Runtime's TensorRT provider needs a CUDA device, not the cpu")
    obstacle = cuda_obstacle(onnxruntime, device.index, count_devices=count_devices)
    if obstacle is None and PROVIDER not in onnxruntime.get_available_providers():
        obstacle = "the installed onnxruntime-gpu was built without TensorRT"
    version = None if obstacle else find()
    if version is None:
        obstacle = obstacle or f"{LIBRARY} cannot be loaded; run: {INSTALL_LIBRARY}"
        raise DeviceError(f"ONNX Runtime's TensorRT provider cannot be used on {device}: {obstacle}")
    return version
