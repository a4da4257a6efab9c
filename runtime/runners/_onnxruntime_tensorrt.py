"""The runner that computes with TensorRT inside ONNX Runtime, which builds the engine and keeps it in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import remove_folder
from ..device import Device
from ..engines.optimization_profile import DEFAULT_PROFILE
from ..engines.store import PROVIDER_SUFFIX, UNFINISHED_SUFFIX, EngineStore
from ..errors import DeviceError, FrameError, OutputError
from ..file_hash import file_hash
from ..gpu.cuda import count_cuda_devices
from ..gpu.gpu import Gpu, find_gpu
from ..onnx_header import read_onnx_header
from ..spec import ImageSize, OutputName
from ._onnxruntime import OnnxRuntimeRunner, import_onnxruntime, session_options, shorten
from .tensorrt_provider import PROVIDER, require_tensorrt_provider

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..gpu.array import GpuArray


class TensorRtProviderRunner(OnnxRuntimeRunner):
    """A `Runner` on ONNX Runtime's TensorRT provider; made by `open_runner`. Takes the sizes of `DEFAULT_PROFILE`."""

    backend = "onnxruntime with tensorrt"

    @classmethod
    def open_with_tensorrt(cls, path: Path, *, device: Device | None, threads: int | None) -> TensorRtProviderRunner:
        """Load an exported ONNX file; the first time its engine is built, which takes minutes.

        Args:
            path: The file.
            device: Where to run; None: the first CUDA device.
            threads: As for `Segmenter.open`.

        Raises:
            MissingDependencyError: If ONNX Runtime is not installed.
            ModelFileError: If the file is not a usable model.
            DeviceError: If TensorRT cannot be had, or does not take the whole network.
            OutputError: If the engine cannot be kept.
        """
        spec = read_onnx_header(path).spec
        onnxruntime = import_onnxruntime(path)
        device = device or Device("cuda")
        version = require_tensorrt_provider(onnxruntime, device, count_devices=count_cuda_devices)
        gpu = find_gpu(device.index)
        if gpu is None:
            raise DeviceError(f"{device} cannot be used: the NVIDIA driver does not describe it (see nvidia-smi)")
        session = open_stored(onnxruntime, path, device, threads, gpu=gpu, tensorrt_version=version)
        return cls(session, spec, device)

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        """See `Runner.run`; the frames of a batch are run one by one, as the engine takes them.

        Raises:
            FrameError: If the engine does not take frames of this size.
        """
        _check_size(frames.shape)
        parts = []
        for index in range(len(frames)):
            place = None if class_map is None else class_map[index : index + 1]
            parts.append(super().run(frames[index : index + 1], outputs, class_map=place))
        results = (
            parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in outputs}
        )
        return results if class_map is None else results | {"class_map": class_map}

    def run_on_gpu(self, frames: GpuArray, class_map: GpuArray, *, stream: int) -> None:
        """See `GpuRunner.run_on_gpu`; as `run`, the frames one by one.

        Raises:
            FrameError: If the engine does not take frames of this size.
        """
        _check_size(frames.shape)
        for index in range(frames.shape[0]):
            super().run_on_gpu(frames.part(index, index + 1), class_map.part(index, index + 1), stream=stream)


def open_stored(
    onnxruntime: Any,
    path: Path,
    device: Device,
    threads: int | None,
    *,
    gpu: Gpu,
    tensorrt_version: str,
    store: EngineStore | None = None,
) -> Any:
    """A session whose engine comes from the store; of several processes at once, one builds it.

    ONNX Runtime neither notices an engine of another TensorRT, nor writes it in one piece, nor locks it. So each has a
    folder whose name stands for all that the engine depends on, filled under another name.

    Args:
        onnxruntime: The imported module.
        path: The exported ONNX file.
        device: A CUDA device.
        threads: As for `Segmenter.open`.
        gpu: That device, as its driver describes it.
        tensorrt_version: Version of the TensorRT that ONNX Runtime loads.
        store: Where to keep it; the user's cache if not given.

    Raises:
        DeviceError: If TensorRT cannot run the file there.
        OutputError: If the folder cannot be written.
    """
    store = store or EngineStore()
    depends_on = {
        "onnx_sha256": file_hash(path),
        "onnxruntime": str(onnxruntime.__version__),
        "tensorrt": tensorrt_version,
        "gpu": str(gpu),
        "profile": str(DEFAULT_PROFILE),
    }
    name = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
    folder = store.directory / f"{name}{PROVIDER_SUFFIX}"
    unfinished = store.directory / f"{name}{UNFINISHED_SUFFIX}"
    with store.locked(name):
        if folder.is_dir():
            try:
                return _open_session(onnxruntime, path, device, threads, provider_options(device, gpu, folder))
            except DeviceError as exc:
                if "deserialize" not in str(exc):
                    raise
                remove_folder(folder)  # damaged: built again
        remove_folder(unfinished)  # of a process that was ended
        try:
            unfinished.mkdir()
            session = _open_session(onnxruntime, path, device, threads, provider_options(device, gpu, unfinished))
            unfinished.rename(folder)
        except OSError as exc:
            raise OutputError(f"cannot write {unfinished}: {exc.strerror or exc}") from exc
        finally:
            remove_folder(unfinished)
        return session


def provider_options(device: Device, gpu: Gpu, cache: Path) -> dict[str, str]:
    """Options of the provider, as in https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html.

    Args:
        device: The CUDA device.
        gpu: That device, as its driver describes it.
        cache: Folder for the engine.
    """

    def shape(size: ImageSize) -> str:
        return f"image:1x{size.height}x{size.width}x3"

    return {
        "device_id": str(device.index),
        # Without leave to choose types (fp16, bf16 and int8 are off), the provider keeps to those of the graph.
        "trt_fp16_enable": "0",
        # Where all inputs have a profile, the engine is built as the session opens, and never again for another size.
        "trt_profile_min_shapes": shape(DEFAULT_PROFILE.min),
        "trt_profile_opt_shapes": shape(DEFAULT_PROFILE.opt),
        "trt_profile_max_shapes": shape(DEFAULT_PROFILE.max),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_max_workspace_size": str(gpu.memory_bytes),  # as TensorRT's own; before 1.21 the provider had 1 GiB
    }


def _open_session(onnxruntime: Any, path: Path, device: Device, threads: int | None, options: dict[str, str]) -> Any:
    """A session in which TensorRT computes everything.

    Raises:
        DeviceError: If it cannot be had.
    """
    settings = session_options(onnxruntime, threads)
    # No other provider is offered and the CPU is forbidden: what TensorRT does not take is an error.
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=[(PROVIDER, options)], enable_fallback=0)
    except Exception as exc:  # ONNX Runtime's errors have no common base class
        reason = shorten(exc)
        if "assigned to the default CPU EP" in reason:
            reason = "TensorRT does not take the whole network"
        raise DeviceError(f"ONNX Runtime cannot run {path} with TensorRT on {device}: {reason}") from exc
    used = session.get_providers()[0]
    if used != PROVIDER:
        raise DeviceError(
            f"ONNX Runtime cannot run {path} with TensorRT on {device}: it refused it and chose {used}. "
            "See what is missing: fcnrt doctor"
        )
    return session


def _check_size(shape: tuple[int, ...]) -> None:
    size = ImageSize(shape[1], shape[2])
    if not DEFAULT_PROFILE.admits(size):
        raise FrameError(
            f"frames of {size} are outside the sizes that ONNX Runtime's TensorRT engine is built for "
            f"({DEFAULT_PROFILE.min}..{DEFAULT_PROFILE.max}). Resize them, or build an engine for them: "
            "fcnrt build --profile"
        )
