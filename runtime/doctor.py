"""What this machine can do, and what is missing for the rest. Everything is tried, nothing is believed from a name."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .engines.tensorrt_library import Flavor, load_flavor, title
from .errors import FcnrtError
from .gpu.cuda import cuda_obstacle
from .gpu.gpu import Gpu, list_gpus, load_driver
from .packages import EXPORT_PACKAGES, explain_missing_media, installed_version
from .runners.cores import usable_cores
from .runners.tensorrt_provider import INSTALL_LIBRARY, LIBRARY, PROVIDER, find_library


@dataclass(frozen=True)
class Finding:
    """One thing that works here or does not.

    Attributes:
        subject: What was examined, for example ``onnxruntime``.
        version: Its version; None if it is not there.
        ability: What it does here, or would do.
        obstacle: Why it does not; None if it does.
        remedy: The command or step that removes the obstacle; None if there is nothing to do or nothing known.
    """

    subject: str
    version: str | None
    ability: str
    obstacle: str | None = None
    remedy: str | None = None

    @property
    def works(self) -> bool:
        """Whether nothing stands in the way."""
        return self.obstacle is None


def examine(*, driver: Any | None = None, load: Callable[[str], Any] = import_module) -> list[Finding]:
    """Everything fcnrt can use, tried out on this machine. Takes a second or two.

    Args:
        driver: The NVIDIA driver's library; found if not given.
        load: Imports a module by its name.
    """
    gpus = list_gpus(load_driver() if driver is None else driver)
    return [
        Finding(
            "python", platform.python_version(), f"{platform.system()} {platform.machine()}, {usable_cores()} cores"
        ),
        *_gpus(gpus),
        *_onnxruntime(gpus, load),
        *_tensorrt("tensorrt", gpus, load),
        *_tensorrt("tensorrt_rtx", gpus, load),
        *_gpu_memory(gpus, load),
        *_pictures(load),
        *_video(gpus, load),
        *_export(),
    ]


def _gpus(gpus: Sequence[Gpu]) -> list[Finding]:
    if not gpus:
        return [
            Finding(
                "gpu",
                None,
                "run on an NVIDIA GPU",
                "no NVIDIA driver with a device was found",
                "install the driver; nvidia-smi must list the device",
            )
        ]
    return [
        Finding("gpu", None, f"cuda:{index}: {gpu}, {gpu.memory_bytes / 1e9:.1f} GB") for index, gpu in enumerate(gpus)
    ]


def _onnxruntime(gpus: Sequence[Gpu], load: Callable[[str], Any]) -> list[Finding]:
    try:
        onnxruntime = load("onnxruntime")
    except ImportError as exc:
        return [
            Finding("onnxruntime", None, "run .onnx files", f"cannot be imported ({exc})", "pip install onnxruntime")
        ]
    number = str(onnxruntime.__version__)
    obstacle, _, remedy = (cuda_obstacle(onnxruntime, 0, count_devices=lambda: len(gpus)) or "").partition("; ")
    found = [Finding("onnxruntime", number, "cpu")]
    found.append(Finding("onnxruntime", number, "cuda", obstacle or None, remedy.removeprefix("run: ") or None))
    if PROVIDER in onnxruntime.get_available_providers():
        missing = None if find_library() else f"{LIBRARY} not found"
        found.append(Finding("onnxruntime", number, "tensorrt provider", missing, INSTALL_LIBRARY if missing else None))
    return found


def _tensorrt(flavor: Flavor, gpus: Sequence[Gpu], load: Callable[[str], Any]) -> list[Finding]:
    subject = title(flavor)
    builds_and_runs = "build and run engines" if flavor == "tensorrt" else "build engines without a GPU"
    try:
        library = load_flavor(flavor, load=load)
    except FcnrtError as exc:
        reason, _, remedy = str(exc).partition(". Run: ")
        missing = _find_spec(flavor) is None
        return [Finding(subject, None, builds_and_runs, "not installed" if missing else reason, remedy or None)]
    number = library.version
    if flavor == "tensorrt":
        obstacle = None if gpus else "there is no NVIDIA GPU"
        return [Finding(subject, number, builds_and_runs, obstacle)]
    capabilities = [name for name in library.trt.ComputeCapability.__members__ if name.startswith("SM")]
    known = [f"{name[2:-1]}.{name[-1]}" for name in capabilities]
    if not gpus:
        obstacle = "there is no NVIDIA GPU"
    elif not any(gpu.compute_capability in known for gpu in gpus):
        obstacle = f"{gpus[0]} is none of the GPUs it supports"
    else:
        obstacle = None
    return [
        Finding(subject, number, f"build engines for {' '.join(known)}"),
        Finding(subject, number, "run engines", obstacle),
    ]


def _gpu_memory(gpus: Sequence[Gpu], load: Callable[[str], Any]) -> list[Finding]:
    found = []
    for subject, module, extra in (
        ("pycuda", "pycuda.driver", "pycuda"),
        ("cuda-bindings", "cuda.bindings.runtime", "tensorrt"),
    ):
        ability = "hold engines' buffers on the GPU"
        try:
            load(module)
        # A library that is missing is an OSError in one and an ImportError in the other.
        except (ImportError, OSError, RuntimeError) as exc:
            installed = installed_version(subject)
            obstacle = "not installed" if installed is None else f"cannot be imported ({exc})"
            remedy = f'pip install "fcnrt[{extra}]"' if installed is None else None
            found.append(Finding(subject, installed, ability, obstacle, remedy))
        else:
            found.append(
                Finding(subject, installed_version(subject), ability, None if gpus else "there is no NVIDIA GPU")
            )
    return found


def _pictures(load: Callable[[str], Any]) -> list[Finding]:
    try:
        cv2 = load("cv2")
    except ImportError as exc:
        return [Finding("pictures", None, "read and write pictures", *_missing_media(exc))]
    return [Finding("pictures", f"OpenCV {cv2.__version__}", "read and write pictures")]


def _missing_media(error: ImportError) -> tuple[str, str | None]:
    return explain_missing_media(error) or (f"cannot be imported ({error})", None)


def _video(gpus: Sequence[Gpu], load: Callable[[str], Any]) -> list[Finding]:
    try:
        av = load("av")
    except ImportError as exc:
        return [Finding("video", None, "read and write video", *_missing_media(exc))]
    number = f"PyAV {av.__version__}"
    if "libx264" not in av.codecs_available:
        remedy = "pip install --force-reinstall av"
        return [Finding("video", number, "write H.264", "this FFmpeg has no libx264", remedy)]
    found = [Finding("video", number, "read video, write H.264")]
    for index in range(len(gpus)):
        working = _working_hardware(f"cuda:{index}")
        for ability, hardware in (("decode", "NVDEC"), ("encode", "NVENC")):
            obstacle = None if hardware in working else "not with this GPU, driver and PyAV; software does it"
            found.append(Finding("video", number, f"{ability} on cuda:{index} with {hardware}", obstacle))
    return found


def _working_hardware(device: str) -> set[str]:
    from .video.hardware_trial import working_hardware

    return working_hardware(device)


def _export() -> list[Finding]:
    missing = [name for name in EXPORT_PACKAGES if _find_spec(name) is None]
    obstacle = f"{', '.join(missing)} not installed" if missing else None
    remedy = 'pip install "fcnrt[export]"' if missing else None
    torch = installed_version("torch")
    return [Finding("export", torch and f"torch {torch}", "export checkpoints with PyTorch", obstacle, remedy)]


def _find_spec(module: str) -> object | None:
    """Where a module would be imported from, or None; a module that is blocked counts as absent."""
    try:
        return find_spec(module)
    except ValueError:
        return None
