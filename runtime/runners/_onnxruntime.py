"""The runner that computes with ONNX Runtime, on the CPU or on a CUDA device."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import remove_folder
from ..device import Device
from ..errors import DeviceError, InferenceError, MissingDependencyError, ModelFileError, OutputError
from ..gpu.cuda import PROVIDER as CUDA_PROVIDER
from ..gpu.cuda import count_cuda_devices, cuda_obstacle, require_cuda
from ..gpu.cuda_driver import CudaDriver
from ..onnx_header import read_onnx_header
from ..output_layout import output_layouts
from ..spec import ModelSpec, OutputName
from .cores import usable_cores
from .optimized_graph import is_large, optimized_graph
from .weights_in_place import open_in_place

if TYPE_CHECKING:
    import onnxruntime
    from numpy.typing import NDArray

    from ..gpu.array import GpuArray

_ATTEMPTS = 3  # to open a file that is replaced meanwhile

_CUDA_OPTIONS = {
    # The default searches all algorithms again for every new frame size: seconds per size.
    "cudnn_conv_algo_search": "HEURISTIC",
    # The graph states the precision: fp32 means fp32, not TF32's 10 bits of mantissa.
    "use_tf32": "0",
}


class OnnxRuntimeRunner:
    """A `Runner` on ONNX Runtime; made by `open_runner`."""

    backend = "onnxruntime"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        spec: ModelSpec,
        device: Device,
        *,
        cuda: CudaDriver | None = None,
    ) -> None:
        """Wrap a session that runs on `device`; `cuda` is its driver, found when it is needed if not given."""
        self._session: onnxruntime.InferenceSession | None = session
        self.spec = spec
        self._layouts = output_layouts(spec)
        self.device = str(device)
        self._index = device.index
        self._cuda = cuda
        self._idle: list[_BoundArrays] = []

    @classmethod
    def open(cls, path: Path, *, device: Device | None, threads: int | None, cached: bool = True) -> OnnxRuntimeRunner:
        """Load an exported ONNX file.

        Args:
            path: The file.
            device: Where to run; None: the first CUDA device if there is a usable one, else the CPU.
            threads: CPU threads for one frame; None: one for each physical core this process may use.
            cached: Whether a large file is run as it was rearranged for the processor and is kept in the user's cache;
                else as it is in the file, which takes no time to open and runs a little slower.

        Raises:
            MissingDependencyError: If ONNX Runtime is not installed.
            ModelFileError: If the file is not a usable model.
            DeviceError: If CUDA was asked for and cannot be had.
        """
        for _ in range(_ATTEMPTS):
            identity = _identity(path)
            spec = read_onnx_header(path).spec
            session, found = _open_somewhere(import_onnxruntime(path), path, device, threads, cached)
            if _identity(path) == identity:
                return cls(session, spec, found)
        raise ModelFileError(f"{path} changes while it is being opened; try again when it is complete")

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        """See `Runner.run`."""
        session = self._open_session()
        batch, height, width, _ = frames.shape
        results: dict[OutputName, NDArray[Any]] = {}
        for name in outputs:
            if name == "class_map" and class_map is not None:
                results[name] = class_map
            else:
                layout = self._layouts[name]
                results[name] = np.empty(layout.dims(batch, height, width), layout.dtype)
        try:
            bound = self._idle.pop()
        except IndexError:  # each call under way has its own
            bound = _BoundArrays(session, on_cpu=self.device == "cpu")
        bound.bind(frames, results)
        self._run(session, bound.binding, frames.shape)
        if self._session is not None:  # else it was closed meanwhile, and nothing may hold on to its memory
            self._idle.append(bound)
        return results

    def cuda_driver(self) -> CudaDriver:
        """See `GpuRunner.cuda_driver`."""
        if self._cuda is None:
            self._cuda = CudaDriver(self._index)
        return self._cuda

    def run_on_gpu(self, frames: GpuArray, class_map: GpuArray, *, stream: int) -> None:
        """See `GpuRunner.run_on_gpu`; returns when it is done: a session cannot change its stream."""
        session = self._open_session()
        binding = session.io_binding()
        binding.bind_input("image", "cuda", self._index, np.uint8, frames.shape, frames.address)
        binding.bind_output("class_map", "cuda", self._index, np.uint8, class_map.shape, class_map.address)
        self.cuda_driver().synchronize(stream)
        self._run(session, binding, frames.shape)

    def _open_session(self) -> onnxruntime.InferenceSession:
        session = self._session
        if session is None:
            raise InferenceError("the runner is closed; open the model again")
        return session

    def _run(self, session: Any, binding: Any, shape: tuple[int, ...]) -> None:
        try:
            session.run_with_iobinding(binding)
        except Exception as exc:  # ONNX Runtime's errors have no common base class
            raise _inference_error(exc, shape, self.device) from exc

    def close(self) -> None:
        """See `Runner.close`; calls under way in other threads still finish, and the memory is freed after them."""
        self._session = None
        self._idle.clear()


class _BoundArrays:
    """Arrays that a session reads and writes in place: no copy on the CPU, one each way on a CUDA device.

    ONNX Runtime notes addresses and does not keep the arrays. On the CPU, a caller who has one buffer for frames and
    one for class maps has them bound once: that is half of what a call costs in Python. For a CUDA device a frame is
    copied when it is bound.
    """

    def __init__(self, session: onnxruntime.InferenceSession, *, on_cpu: bool) -> None:
        self.binding = session.io_binding()
        self._on_cpu = on_cpu
        self._places: list[tuple[str, int, tuple[int, ...]]] = []

    def bind(self, frames: NDArray[np.uint8], results: Mapping[OutputName, NDArray[Any]]) -> None:
        """Bind frames and results, unless what is at these addresses is what was bound last."""
        places = [("image", _address(frames), frames.shape)]
        places += [(name, _address(array), array.shape) for name, array in results.items()]
        if self._on_cpu and places == self._places:
            return
        self.binding.clear_binding_outputs()
        (_, address, shape), *_ = places
        self.binding.bind_input("image", "cpu", 0, np.uint8, shape, address)
        for (name, address, shape), array in zip(places[1:], results.values(), strict=True):
            self.binding.bind_output(name, "cpu", 0, array.dtype.type, shape, address)
        self._places = places


def _identity(path: Path) -> tuple[int, int, int, int] | None:
    """What changes when a file is replaced or written; None if it is not there.

    A file is read several times while it is opened: its metadata, its graph, its weights. They must be of one file.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def import_onnxruntime(path: Path) -> Any:
    """ONNX Runtime's module, for a file.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as exc:
        if isinstance(exc.__cause__ or exc.__context__, KeyboardInterrupt):  # Ctrl-C while its library is loaded
            raise KeyboardInterrupt from exc
        raise MissingDependencyError(
            f"{path} needs onnxruntime, which cannot be imported ({exc}). "
            'Run: pip install onnxruntime (or "onnxruntime-gpu[cuda,cudnn]" for NVIDIA devices)'
        ) from exc
    return onnxruntime


def _address(array: NDArray[Any]) -> int:
    """Where the array's first byte is.

    Not ``array.ctypes.data``, whose Python code is out of the processor's caches by the time the last frame is done:
    measured after such a frame, 27 us against 12.
    """
    address: int = array.__array_interface__["data"][0]
    return address


def _open_somewhere(
    onnxruntime: Any, path: Path, device: Device | None, threads: int | None, cached: bool
) -> tuple[onnxruntime.InferenceSession, Device]:
    """A session on `device`; if that is None, on the first CUDA device if there is a usable one, else on the CPU."""
    if device is not None:
        return _open_session(onnxruntime, path, device, threads, cached), device
    try:
        return _open_session(onnxruntime, path, Device("cuda"), threads, cached), Device("cuda")
    except DeviceError:
        return _open_session(onnxruntime, path, Device("cpu"), threads, cached), Device("cpu")


def _open_session(
    onnxruntime: Any, path: Path, device: Device, threads: int | None, cached: bool
) -> onnxruntime.InferenceSession:
    """A session that really runs on `device`.

    Raises:
        DeviceError: If it cannot be had.
        ModelFileError: If the file is not a model that ONNX Runtime can run.
    """
    options = session_options(onnxruntime, threads)
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.kind == "cpu":
        opened = _open_optimized if cached else _open_as_it_is
        session = opened(onnxruntime, path, threads)
        if session is not None:
            return session
    else:
        obstacle = cuda_obstacle(onnxruntime, device.index, count_devices=count_cuda_devices)
        if obstacle is not None:
            raise DeviceError(f"{device} cannot be used: {obstacle}")
        providers.insert(0, (CUDA_PROVIDER, {"device_id": str(device.index), **_CUDA_OPTIONS}))
    try:
        # Without enable_fallback=0 a failing provider is reported by print and replaced.
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as exc:  # ONNX Runtime's errors have no common base class
        if os.fsencode(path) != str(path).encode(errors="replace"):
            raise ModelFileError(f"{path}: ONNX Runtime opens only names that are UTF-8; rename it") from exc
        reason = shorten(exc)
        if device.kind == "cuda" and re.search("cuda|cudnn|cublas", reason.replace(str(path), ""), re.IGNORECASE):
            raise DeviceError(f"{device} cannot be used: {reason}") from exc
        raise ModelFileError(f"ONNX Runtime cannot load {path}: {reason}") from exc
    if device.kind == "cuda":
        require_cuda(session, device)
    return session


def _open_optimized(onnxruntime: Any, path: Path, threads: int | None) -> onnxruntime.InferenceSession | None:
    """A session of the graph that is kept for this processor; None if there is none."""
    graph = optimized_graph(onnxruntime, path, session_options(onnxruntime, threads))
    if graph is None:
        return None
    options = session_options(onnxruntime, threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it is optimised already
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception:  # damaged: made again next time. ONNX Runtime's errors have no common base class
        with suppress(OutputError):
            remove_folder(graph.parent)
        return None


def _open_as_it_is(onnxruntime: Any, path: Path, threads: int | None) -> onnxruntime.InferenceSession | None:
    """A session of a large file without what takes the most time and memory; None for others."""
    if not is_large(path):
        return None
    try:
        return open_in_place(onnxruntime, path, sparing_options(onnxruntime, threads))
    except Exception:  # opening the file as a whole tells more. ONNX Runtime's errors have no common base class
        return None


def session_options(onnxruntime: Any, threads: int | None) -> Any:
    """What every session has in common."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    options.inter_op_num_threads = 1  # an FCN is one chain of layers
    options.log_severity_level = 4  # fatal only: what goes wrong is raised, not printed
    # Idle workers that spin take the cores from decoding and encoding. Measured on 2 cores, slim network at 512x512:
    # 1 % slower alone, 8 % faster beside a thread that compresses.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def sparing_options(onnxruntime: Any, threads: int | None) -> Any:
    """As `session_options`, for a network whose opening is to take little time and memory.

    Rearranging weights for the quickest kernels takes seconds and three times their size.
    """
    options = session_options(onnxruntime, threads)
    options.enable_cpu_mem_arena = False  # it keeps what the largest frame needed
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return options


def _inference_error(exc: Exception, shape: tuple[int, ...], device: str) -> InferenceError:
    batch, height, width, _ = shape
    what = f"{batch} frame{'s' if batch > 1 else ''} of {height}x{width}"
    if re.search(r"failed to allocate|out of memory|bad_alloc", str(exc), flags=re.IGNORECASE):
        return InferenceError(f"not enough memory on {device} for {what}; use smaller frames or batches")
    return InferenceError(f"ONNX Runtime failed on {what}: {shorten(exc)}")


def shorten(exc: Exception) -> str:
    """The useful part of an ONNX Runtime error: one line, without error codes and source locations."""
    text = " ".join(str(exc).split())
    text = re.sub(r"^.*Status Message: ", "", text)
    text = re.sub(r"^/\S+\.(?:cc|h):\d+ .*?\) (?:const )?", "", text)
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    return text if len(text) <= 200 else f"{text[:200]} ..."
