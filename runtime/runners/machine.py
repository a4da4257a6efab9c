"""`Machine`: what an engine runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..device import Device
from ..engines.tensorrt_library import Flavor, TensorRtLibrary, choose_library, load_flavor
from ..errors import DeviceError
from ..gpu.cuda_driver import CudaDriver
from ..gpu.device_memory import DeviceMemory, open_device_memory
from ..gpu.gpu import Gpu, find_gpu


@dataclass(frozen=True)
class Machine:
    """What an engine runs on.

    Attributes:
        library: TensorRT.
        gpu: The GPU.
        memory: Its memory.
        cuda: Its driver.
    """

    library: TensorRtLibrary
    gpu: Gpu
    memory: DeviceMemory
    cuda: CudaDriver


def find_machine(path: Path, flavor: Flavor | None, device: Device) -> Machine:
    """What an engine runs on, with the TensorRT that built it, or the one there is if that is not known.

    Raises:
        DeviceError: If there is no such GPU.
        MissingDependencyError: If TensorRT or a package for GPU memory is not installed.
    """
    gpu = find_gpu(device.index)
    if gpu is None:
        raise DeviceError(
            f"{path} is a TensorRT engine and needs {device}: no such NVIDIA GPU was found (nvidia-smi must list it). "
            "On the CPU run the .onnx file it was built from"
        )
    library = choose_library("auto", gpu_present=True) if flavor is None else load_flavor(flavor)
    return Machine(library, gpu, open_device_memory(device.index), CudaDriver(device.index))
