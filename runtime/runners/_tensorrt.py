"""The runner that computes with a TensorRT engine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import Device
from ..engines.manifest import EngineManifest, check_machine, read_manifest, read_plan, rebuild_command
from ..engines.optimization_profile import OptimizationProfile
from ..engines.store import kernel_dir
from ..engines.tensorrt_library import made_or_none
from ..errors import DeviceError, EngineMismatchError, FrameError, InferenceError, OutputError
from ..gpu.cuda_driver import CudaDriver
from ..output_layout import output_layouts
from ..spec import ImageSize, OutputName
from .engine_lane import Lane, ProfileContext
from .kernel_cache import KernelCache
from .lane_pool import LanePool
from .machine import Machine, find_machine
from .tensorrt_messages import MessageLog, make_logger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..gpu.array import GpuArray

_LANES = 2  # the copies of one batch run beside the computation of another


class TensorRtRunner:
    """A `Runner` on TensorRT; made by `open_runner`. Each profile is set up when the first frame of its sizes comes.

    Attributes:
        profiles: The sizes that the engine takes.
    """

    backend = "tensorrt"

    def __init__(self, path: Path, manifest: EngineManifest, machine: Machine, device: Device) -> None:
        """See `open`; the engine is loaded here. Profiles that the manifest leaves open are read from the engine."""
        self.spec = manifest.spec
        self.device = str(device)
        self._path = path
        self._manifest = manifest
        self._trt = machine.library.trt
        self._memory = machine.memory
        self._cuda = machine.cuda
        self._outputs = output_layouts(manifest.spec)
        self._log = MessageLog()
        self._logger = make_logger(self._trt, self._log)
        plan = read_plan(path, manifest)
        with self._memory.current():
            self._runtime: Any = made_or_none(self._trt.Runtime, self._logger)
            if self._runtime is None:
                raise InferenceError(
                    f"{machine.library} cannot start on {device}: {self._log.take_errors() or 'it gave no reason'}"
                )
            self._engine: Any = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise InferenceError(
                    f"{machine.library} cannot load {path}: {self._log.take_errors() or 'it gave no reason'}. "
                    f"Rebuild it: {rebuild_command(path, manifest)}"
                )
            self._check_tensors()
            self.profiles = self._read_profiles()
        self._pools: dict[OptimizationProfile, LanePool] = {}
        self._kernels = _kernel_cache(manifest, machine)
        self._setup = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, device: Device | None, machine: Machine | None = None) -> TensorRtRunner:
        """Load an engine, after its manifest was checked against this machine.

        Args:
            path: The engine, with its manifest beside it.
            device: Where to run; None: the first CUDA device.
            machine: What to run on; found if not given.

        Raises:
            EngineMismatchError: If the engine is missing, damaged or for another machine.
            DeviceError: If there is no such GPU.
            MissingDependencyError: If TensorRT or a package for GPU memory is not installed.
            InferenceError: If TensorRT cannot load the engine.
        """
        device = device or Device("cuda")
        if device.kind == "cpu":
            raise DeviceError(
                f"{path} is a TensorRT engine and runs on NVIDIA GPUs only; on the CPU run its .onnx file"
            )
        manifest = read_manifest(path)
        machine = machine or find_machine(path, manifest.key.flavor, device)
        return cls.load(path, manifest, machine, device)

    @classmethod
    def load(cls, path: Path, manifest: EngineManifest, machine: Machine, device: Device) -> TensorRtRunner:
        """Load an engine with a given manifest; see `open`. The machine's memory is released if that fails."""
        try:
            check_machine(path, manifest, machine.library, machine.gpu)
            return cls(path, manifest, machine, device)
        except BaseException:
            with machine.memory.current():
                machine.memory.close()
            raise

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        """See `Runner.run`; a batch larger than the engine's is run in parts.

        Raises:
            FrameError: If no profile of the engine admits frames of this size.
        """
        batch, height, width, _ = frames.shape
        results: dict[OutputName, NDArray[Any]] = {}
        for name in outputs:
            layout = self._outputs[name]
            given = class_map if name == "class_map" else None
            results[name] = np.empty(layout.dims(batch, height, width), layout.dtype) if given is None else given
        with self._memory.current():
            pool = self._pool_for(ImageSize(height, width))
            under_way: deque[Lane] = deque()
            try:
                for start in range(0, batch, pool.max_batch):
                    part = slice(start, start + pool.max_batch)
                    lane = pool.take(under_way)
                    try:
                        lane.submit(frames[part], {name: array[part] for name, array in results.items()})
                    except BaseException:
                        pool.give_back(lane)
                        raise
                    under_way.append(lane)
            except BaseException:
                with suppress(InferenceError):  # the first failure is the one to report
                    pool.finish_all(under_way)
                raise
            pool.finish_all(under_way)
        return results

    def cuda_driver(self) -> CudaDriver:
        """See `GpuRunner.cuda_driver`."""
        return self._cuda

    def run_on_gpu(self, frames: GpuArray, class_map: GpuArray, *, stream: int) -> None:
        """See `GpuRunner.run_on_gpu`; returns as soon as everything is queued.

        Raises:
            FrameError: If no profile of the engine admits frames of this size.
        """
        batch, height, width, _ = frames.shape
        with self._memory.current():
            pool = self._pool_for(ImageSize(height, width))
            lane = pool.take(deque())
            try:
                for start in range(0, batch, pool.max_batch):
                    image, classes = (array.part(start, start + pool.max_batch) for array in (frames, class_map))
                    addresses = {"image": image.address, "class_map": classes.address}
                    lane.submit_on_gpu(image.shape, addresses, stream, self._cuda.order)
            finally:
                pool.give_back(lane)

    def close(self) -> None:
        """See `Runner.close`; waits for calls under way in other threads, and for what they queued."""
        with self._setup:
            if self._closed:
                return
            self._closed = True
        for pool in self._pools.values():
            pool.retire()
        with self._memory.current():
            for pool in self._pools.values():
                with suppress(InferenceError):  # what failed there was reported where it was waited for
                    pool.stream.synchronize()
            if self._kernels is not None:
                self._kernels.save()
            self._pools.clear()  # contexts before their kernels and engine, the engine before its runtime
            self._kernels = None
            self._engine = None
            self._runtime = None
            self._memory.close()

    def _pool_for(self, size: ImageSize) -> LanePool:
        """The lanes of the tightest profile that admits frames of a size, set up on first use."""
        fitting = [profile for profile in self.profiles if profile.admits(size)]
        if not fitting:
            raise self._outside(size)
        best = min(fitting, key=lambda profile: profile.max.height * profile.max.width)
        with self._setup:
            if self._closed:
                raise InferenceError("the runner is closed; open the model again")
            if best not in self._pools:
                self._pools[best] = self._set_up(best)
            return self._pools[best]

    def _set_up(self, profile: OptimizationProfile) -> LanePool:
        strategy = self._trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE  # memory for this profile only
        if self._kernels is None:
            context = self._engine.create_execution_context(strategy)
        else:
            context = self._kernels.create_context(self._engine, strategy)
        if context is None:
            raise self._no_memory(profile)
        stream = self._memory.stream()
        index = self.profiles.index(profile)
        if not context.set_optimization_profile_async(index, stream.handle):
            raise self._no_memory(profile)
        stream.synchronize()
        shared = ProfileContext(context, profile, stream, self._log)
        lanes = [Lane(shared, self._memory, self._outputs) for _ in range(_LANES)]
        return LanePool(lanes, profile.max_batch, stream)

    def _no_memory(self, profile: OptimizationProfile) -> InferenceError:
        return InferenceError(
            f"not enough memory on {self.device} for frames of {profile.max}, batch {profile.max_batch}: "
            f"{self._log.take_errors() or 'TensorRT gave no reason'}"
        )

    def _outside(self, size: ImageSize) -> FrameError:
        ranges = " or ".join(f"{profile.min}..{profile.max}" for profile in self.profiles)
        first = self.profiles[0]
        smallest = ImageSize(min(first.min.height, size.height), min(first.min.width, size.width))
        largest = ImageSize(max(first.max.height, size.height), max(first.max.width, size.width))
        wider = (f"{smallest},{first.opt},{largest}", *map(str, self.profiles[1:]))
        key = replace(self._manifest.key, profiles=wider)
        return FrameError(
            f"frames of {size} are outside the sizes this engine was built for ({ranges}). Resize them, or rebuild it: "
            f"{rebuild_command(self._path, replace(self._manifest, key=key))}"
        )

    def _check_tensors(self) -> None:
        """Raise unless the engine has the inputs and outputs that its manifest says."""
        engine, trt = self._engine, self._trt
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = sorted(name for name in names if name not in inputs)
        types = {"uint8": trt.DataType.UINT8, "float32": trt.DataType.FLOAT}
        wrong = [
            name
            for name in outputs
            if name not in self._outputs or engine.get_tensor_dtype(name) != types[self._outputs[name].dtype]
        ]
        if inputs != ["image"] or outputs != sorted(self.spec.outputs) or wrong:
            raise self._not_as_promised(f"takes {', '.join(inputs)} and returns {', '.join(outputs)}")

    def _read_profiles(self) -> tuple[OptimizationProfile, ...]:
        """The engine's own profiles, which have to be those in its manifest, if that has any."""
        profiles = []
        for index in range(self._engine.num_optimization_profiles):
            shapes = [tuple(shape) for shape in self._engine.get_tensor_profile_shape("image", index)]
            if shapes[0][0] != 1:
                raise self._not_as_promised(f"takes no fewer than {shapes[0][0]} frames at once in profile {index}")
            smallest, best, largest = (ImageSize(height, width) for _, height, width, _ in shapes)
            profiles.append(OptimizationProfile(smallest, best, largest, max_batch=shapes[2][0]))
        found = tuple(profiles)
        if self._manifest.profiles not in ((), found):
            ranges = " or ".join(f"{profile}, batch {profile.max_batch}" for profile in found)
            raise self._not_as_promised(f"has the profiles {ranges}")
        return found

    def _not_as_promised(self, found: str) -> EngineMismatchError:
        return EngineMismatchError(
            f"{self._path} is not the engine of {self._manifest.onnx_name} that it is said to be: it {found}. "
            f"Rebuild it: {rebuild_command(self._path, self._manifest)}"
        )


def _kernel_cache(manifest: EngineManifest, machine: Machine) -> KernelCache | None:
    if machine.library.flavor != "tensorrt_rtx":
        return None  # its engines are complete
    name = "".join(letter if letter.isalnum() else "-" for letter in machine.gpu.name)
    try:
        return KernelCache(kernel_dir() / f"{manifest.engine_sha256[:16]}-{name}.cache")
    except OutputError:  # there is no place for it
        return None
