from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fcnrt.runtime import doctor
from fcnrt.runtime.doctor import Finding, examine
from fcnrt.runtime.gpu.gpu import Gpu
from fcnrt.runtime.packages import EXPORT_PACKAGES

L4 = Gpu("NVIDIA L4", "8.9", 24 << 30)
H200 = Gpu("NVIDIA H200", "9.0", 141 << 30)

ORT_CPU = SimpleNamespace(__version__="1.31.1", get_available_providers=lambda: ["CPUExecutionProvider"])
ORT_GPU = SimpleNamespace(
    __version__="1.31.1",
    get_available_providers=lambda: ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
)
TENSORRT = SimpleNamespace(__version__="11.4.0")
RTX = SimpleNamespace(
    __version__="1.7.1",
    ComputeCapability=SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM89": 2, "SM120": 3}),
)
PYAV = SimpleNamespace(__version__="18.1", codecs_available={"libx264"})
EVERYTHING = {
    "onnxruntime": ORT_GPU,
    "tensorrt": TENSORRT,
    "tensorrt_rtx": RTX,
    "pycuda.driver": SimpleNamespace(),
    "cuda.bindings.runtime": SimpleNamespace(),
    "cv2": SimpleNamespace(__version__="5.0.0"),
    "av": PYAV,
}


def examined(
    monkeypatch: pytest.MonkeyPatch,
    modules: dict[str, Any],
    gpus: list[Gpu],
    hardware: tuple[str, ...] = ("NVDEC", "NVENC"),
) -> dict[str, Finding]:
    """The findings of a machine with these modules, GPUs and video hardware, by subject and ability."""

    def load(name: str) -> Any:
        if name not in modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return modules[name]

    monkeypatch.setattr(doctor, "list_gpus", lambda driver: gpus)
    monkeypatch.setattr(doctor, "_find_spec", lambda name: modules.get(name))
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    monkeypatch.setattr(doctor, "_working_hardware", lambda device: hardware)
    return {f"{item.subject}: {item.ability}": item for item in examine(driver=object(), load=load)}


def test_a_machine_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_library", lambda: "10.13.3")
    everything = EVERYTHING | dict.fromkeys(EXPORT_PACKAGES, SimpleNamespace())
    found = examined(monkeypatch, everything, [L4])
    assert [key for key, item in found.items() if not item.works] == []
    assert found["gpu: cuda:0: NVIDIA L4 (8.9), 25.8 GB"].works
    assert "TensorRT-RTX: build engines for 8.9 12.0" in found


def test_a_machine_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, {}, [])
    missing = {item.subject: (item.obstacle, item.remedy) for item in found.values() if not item.works}
    assert missing.pop("gpu")[0] == "no NVIDIA driver with a device was found"
    assert missing == {
        "onnxruntime": ("cannot be imported (No module named 'onnxruntime')", "pip install onnxruntime"),
        "TensorRT": ("not installed", 'pip install "fcnrt[tensorrt]"'),
        "TensorRT-RTX": ("not installed", 'pip install "fcnrt[rtx]"'),
        "pycuda": ("not installed", 'pip install "fcnrt[pycuda]"'),
        "cuda-bindings": ("not installed", 'pip install "fcnrt[tensorrt]"'),
        "pictures": (
            "OpenCV is not installed",
            "pip install opencv-python (or opencv-python-headless, on a machine without a desktop)",
        ),
        "video": ("PyAV is not installed", "pip install av"),
        "export": (
            "torch, torchvision, onnx, onnxscript, safetensors not installed",
            'pip install "fcnrt[export]"',
        ),
    }


def test_libraries_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, EVERYTHING | {"onnxruntime": ORT_CPU}, [])
    assert found["onnxruntime: cpu"].works
    cuda = found["onnxruntime: cuda"]
    assert cuda.obstacle == "the installed onnxruntime has no CUDA support"
    assert cuda.remedy == 'pip uninstall onnxruntime; pip install "onnxruntime-gpu[cuda,cudnn]"'
    assert found["TensorRT: build and run engines"].obstacle == "there is no NVIDIA GPU"
    assert found["TensorRT-RTX: build engines for 8.9 12.0"].works
    assert found["TensorRT-RTX: run engines"].obstacle == "there is no NVIDIA GPU"


def test_a_gpu_that_tensorrt_rtx_does_not_support(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, EVERYTHING, [H200])
    assert found["TensorRT-RTX: run engines"].obstacle == "NVIDIA H200 (9.0) is none of the GPUs it supports"
    assert found["TensorRT: build and run engines"].works


def test_a_gpu_that_does_not_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, EVERYTHING, [H200], hardware=("NVDEC",))
    assert found["video: decode on cuda:0 with NVDEC"].works
    assert (
        found["video: encode on cuda:0 with NVENC"].obstacle == "not with this GPU, driver and PyAV; software does it"
    )


def test_a_provider_whose_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_library", lambda: None)
    found = examined(monkeypatch, EVERYTHING, [L4])["onnxruntime: tensorrt provider"]
    assert (found.obstacle, found.remedy) == (
        "libnvinfer.so.10 not found",
        'pip install "tensorrt-cu13>=10.13,<11"',
    )


def test_a_library_that_is_installed_but_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        raise OSError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(doctor, "_find_spec", lambda name: SimpleNamespace())
    (found,) = doctor._tensorrt("tensorrt", [L4], load)
    assert found.obstacle == "TensorRT cannot be imported (libnvinfer.so.10: cannot open shared object file)"


def test_an_opencv_that_wants_a_desktop() -> None:
    def load(name: str) -> Any:
        raise ImportError("libGL.so.1: cannot open shared object file", name="cv2")

    (found,) = doctor._pictures(load)
    assert found.obstacle == "OpenCV cannot be imported (libGL.so.1: cannot open shared object file)"
    assert found.remedy == "pip uninstall opencv-python; pip install opencv-python-headless"


def test_this_machine() -> None:
    found = examine()
    assert {item.subject for item in found} >= {
        "python",
        "gpu",
        "TensorRT",
        "TensorRT-RTX",
        "pictures",
        "video",
        "export",
    }
