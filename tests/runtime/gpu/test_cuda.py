from __future__ import annotations

import sys

import pytest
import torch

from fcnrt.runtime.device import Device
from fcnrt.runtime.errors import DeviceError
from fcnrt.runtime.gpu.cuda import PROVIDER, count_cuda_devices, cuda_obstacle, require_cuda


class FakeOnnxRuntime:
    """What `cuda_obstacle` asks onnxruntime, with the answers of some installation."""

    def __init__(self, *, providers: tuple[str, ...] = (PROVIDER, "CPUExecutionProvider"), report: str = "") -> None:
        self.providers = providers
        self.report = report
        self.preloaded = False

    def get_available_providers(self) -> list[str]:
        return list(self.providers)

    def preload_dlls(self) -> None:
        self.preloaded = True
        sys.stdout.write(self.report)


class OldOnnxRuntime:
    """As before 1.21: nothing to preload."""

    def get_available_providers(self) -> list[str]:
        return [PROVIDER]


def test_nothing_in_the_way() -> None:
    onnxruntime = FakeOnnxRuntime()
    assert cuda_obstacle(onnxruntime, 1, count_devices=lambda: 2) is None
    assert onnxruntime.preloaded


def test_onnxruntime_that_cannot_preload() -> None:
    assert cuda_obstacle(OldOnnxRuntime(), 0, count_devices=lambda: 1) is None


def test_onnxruntime_for_the_cpu_only() -> None:
    obstacle = cuda_obstacle(FakeOnnxRuntime(providers=("CPUExecutionProvider",)), 0, count_devices=lambda: 1)
    assert obstacle == (
        "the installed onnxruntime has no CUDA support; "
        'run: pip uninstall onnxruntime; pip install "onnxruntime-gpu[cuda,cudnn]"'
    )


def test_no_driver() -> None:
    obstacle = cuda_obstacle(FakeOnnxRuntime(), 0, count_devices=lambda: 0)
    assert obstacle is not None
    assert obstacle.startswith("no NVIDIA driver with a device was found; install the driver")


def test_no_such_device() -> None:
    obstacle = cuda_obstacle(FakeOnnxRuntime(), 2, count_devices=lambda: 2)
    assert obstacle == "there is no device 2; this machine has 2 (cuda:0 .. cuda:1)"


def test_missing_libraries_are_named_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    report = (
        "Failed to load /venv/nvidia/cu13/lib/libcurand.so.10: invalid ELF header\n"
        "Failed to load libcurand.so.10: libcurand.so.10: cannot open shared object file: No such file or directory\n"
        "Failed to load libcublas.so.13: libcublas.so.13: cannot open shared object file: No such file or directory\n"
        "Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA."
    )
    obstacle = cuda_obstacle(FakeOnnxRuntime(report=report), 0, count_devices=lambda: 1)
    assert obstacle == (
        'libcublas.so.13, libcurand.so.10 cannot be loaded; run: pip install "onnxruntime-gpu[cuda,cudnn]"'
    )
    assert capfd.readouterr() == ("", "")


class FakeSession:
    def __init__(self, *providers: str) -> None:
        self.providers = providers

    def get_providers(self) -> list[str]:
        return list(self.providers)


def test_session_that_fell_back_to_the_cpu_is_refused() -> None:
    with pytest.raises(DeviceError, match="cuda:1 cannot be used: ONNX Runtime refused it and offered the CPU instead"):
        require_cuda(FakeSession("CPUExecutionProvider"), Device("cuda", 1))


def test_session_on_cuda_is_accepted() -> None:
    require_cuda(FakeSession(PROVIDER, "CPUExecutionProvider"), Device("cuda", 1))


def test_devices_are_counted_as_pytorch_counts_them() -> None:
    assert count_cuda_devices() == torch.cuda.device_count()
