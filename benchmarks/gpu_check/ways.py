"""`Way`: a way to run a network on a device, from frames there to class maps there, or from memory to memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...export.engine.build import EngineOptions, build_engine
from ...runtime.engines.optimization_profile import OptimizationProfile
from ...runtime.engines.tensorrt_library import load_flavor
from ...runtime.errors import DeviceError, FcnrtError, MissingDependencyError
from ...runtime.gpu.cuda import count_cuda_devices, cuda_obstacle
from ...runtime.gpu.gpu import find_gpu
from ...runtime.runners import Backend
from ...runtime.segmenter import Segmenter
from ...runtime.spec import Precision
from ..device_timing import Arithmetic, allow_tf32
from .models import CheckedNetwork, exported_file

Mode = Literal["eager", "compiled", "CUDA graph"]

FP32, TF32 = "PyTorch fp32", "PyTorch tf32"
"""The reference of every comparison, and what PyTorch does by itself: the way that others are measured against."""

OWN = "fcnrt "
"""What the names of fcnrt's own ways begin with."""

_ENGINE_PROFILES = ("256x256,512x512,512x512", "512x512,1024x2048,1024x2048")
_ENGINE_BATCH = 8

_EXPORTED: tuple[tuple[Backend, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "fp16"),
    ("tensorrt", "fp16"),  # building takes minutes: only the engine that is deployed
)


class Way(Protocol):
    """What is measured.

    Attributes:
        arithmetic: How it computes.
    """

    @property
    def arithmetic(self) -> Arithmetic: ...  # noqa: D102

    def on_device(self, frames: torch.Tensor) -> Callable[[], torch.Tensor]:
        """A call that segments frames, uint8 (N, H, W, 3) on the device: class maps, uint8 (N, H, W), there as well.

        It may return before they are there: they come in the order of PyTorch's current stream.
        """
        ...

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class maps, uint8 (N, H, W), of frames, uint8 (N, H, W, 3), from memory to memory."""
        ...


class TorchWay:
    """The network in PyTorch, with the same pre-processing and arg-max around it as an exported file.

    Args:
        network: A `Deployable`: uint8 (N, H, W, 3) to a tuple with the class map, uint8 (N, H, W).
        device: Where to run.
        arithmetic: How to compute; the network's weights are of that type.
        mode: ``compiled`` runs through ``torch.compile``; ``CUDA graph`` records the kernels of a call once and starts
            them together.
    """

    def __init__(self, network: nn.Module, device: torch.device, arithmetic: Arithmetic, mode: Mode = "eager") -> None:
        self.arithmetic: Arithmetic = arithmetic
        # Tensor cores want the channels innermost, which is also how frames come.
        network = network.eval().to(device).to(memory_format=torch.channels_last)
        self._network: Callable[[torch.Tensor], tuple[torch.Tensor, ...]] = (
            torch.compile(network, dynamic=False) if mode == "compiled" else network
        )
        self._device = device
        self._captured: _Graph | None = None
        self._mode: Mode = mode

    def on_device(self, frames: torch.Tensor) -> Callable[[], torch.Tensor]:
        """See `Way.on_device`."""
        return _Graph(self._run, frames) if self._mode == "CUDA graph" else lambda: self._run(frames)

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Way.__call__`."""
        given = torch.from_numpy(frames).to(self._device)
        if self._mode != "CUDA graph":
            return self._run(given).cpu().numpy()
        if self._captured is None or self._captured.frames.shape != given.shape:
            self._captured = None  # its memory first
            self._captured = _Graph(self._run, given.clone())
        self._captured.frames.copy_(given)
        return self._captured().cpu().numpy()

    @torch.inference_mode()
    def _run(self, frames: torch.Tensor) -> torch.Tensor:
        with allow_tf32(self.arithmetic == "tf32"):
            (class_map,) = self._network(frames)
        return class_map


class _Graph:
    """The kernels of a call, recorded on frames at one place in memory."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor], frames: torch.Tensor) -> None:
        self.frames = frames
        # What is chosen and made on a first call must not be recorded.
        aside = torch.cuda.Stream(frames.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(frames.device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                run(frames)
        torch.cuda.current_stream(frames.device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._class_map = run(frames)

    def __call__(self) -> torch.Tensor:
        self._graph.replay()
        return self._class_map


class SegmenterWay:
    """An exported file in a `Segmenter`; frames on the device stay there."""

    def __init__(self, segmenter: Segmenter, device: torch.device) -> None:
        self.arithmetic: Arithmetic = "fp16" if segmenter.spec.precision == "fp16" else "fp32"
        self._segmenter = segmenter
        self._device = device

    def on_device(self, frames: torch.Tensor) -> Callable[[], torch.Tensor]:
        """See `Way.on_device`."""
        class_map = torch.empty(frames.shape[:-1], dtype=torch.uint8, device=self._device)
        out = class_map if self._device.type == "cuda" else class_map.numpy()

        def call() -> torch.Tensor:
            self._segmenter(frames, out=out)
            return class_map

        return call

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Way.__call__`."""
        class_map: NDArray[np.uint8] = self._segmenter(frames)
        return class_map


def open_ways(
    stack: ExitStack,
    network: CheckedNetwork,
    device: torch.device,
    *,
    models: Path,
    folder: Path,
    compiled: bool,
    note: Callable[[str], None],
) -> dict[str, Way]:
    """Every way to run a network that works here; of the others it is noted why they do not.

    Args:
        stack: Closes what is opened.
        network: What to run.
        device: Where.
        models: Folder with its exported files.
        folder: Where files that are missing there are written.
        compiled: Whether ``torch.compile`` is one of the ways.
        note: Told what is left out, in sentences.
    """
    on_cuda = device.type == "cuda"
    single, half = network.deployable("fp32"), network.deployable("fp16")
    ways: dict[str, Way] = {FP32: TorchWay(single, device, "fp32")}
    if on_cuda:
        ways[TF32] = TorchWay(single, device, "tf32")
    ways["PyTorch fp16"] = TorchWay(half, device, "fp16")
    if on_cuda:
        ways["PyTorch fp16, CUDA graph"] = TorchWay(half, device, "fp16", "CUDA graph")
    if compiled:
        ways["PyTorch fp16, compiled"] = TorchWay(half, device, "fp16", "compiled")
    for backend, precision in _EXPORTED:
        try:
            path = _file(network, precision, backend, device, models, folder)
            segmenter = stack.enter_context(Segmenter.open(path, device=str(device)))
        except FcnrtError as exc:  # three rounds
            note(f"{backend} is left out for {network.name} in {precision}: {exc}")
            continue
        ways[f"{OWN}{backend} {precision}"] = SegmenterWay(segmenter, device)
    return ways


def _file(
    network: CheckedNetwork, precision: Precision, backend: Backend, device: torch.device, models: Path, folder: Path
) -> Path:
    """The file that a backend runs, made if it is missing and the backend works here.

    Raises:
        FcnrtError: If it cannot be had.
    """
    if backend == "tensorrt":
        if device.type != "cuda":
            raise DeviceError("it runs on NVIDIA GPUs only")
        library = load_flavor("tensorrt")
    elif find_spec("onnxruntime") is None:
        raise MissingDependencyError("it is not installed")
    elif device.type == "cuda":
        import onnxruntime

        obstacle = cuda_obstacle(onnxruntime, device.index or 0, count_devices=count_cuda_devices)
        if obstacle is not None:
            raise DeviceError(f"it cannot use {device}: {obstacle}")
    onnx = models / f"{network.name}-{precision}.onnx"
    if not onnx.is_file():
        onnx = exported_file(network, precision, folder)
    if backend == "onnxruntime":
        return onnx
    engine = folder / onnx.with_suffix(".engine").name
    profiles = tuple(OptimizationProfile.parse(text, max_batch=_ENGINE_BATCH) for text in _ENGINE_PROFILES)
    options = EngineOptions(profiles=profiles, max_batch=_ENGINE_BATCH)
    return build_engine(onnx, engine, options, machine=(library, find_gpu(device.index or 0))).path
