"""A TensorRT that computes with numpy what `tiny_model` computes, and an engine file for it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import Flavor, TensorRtLibrary
from fcnrt.runtime.gpu.gpu import Gpu
from fcnrt.runtime.runners._tensorrt import TensorRtRunner
from fcnrt.runtime.runners.machine import Machine
from fcnrt.runtime.spec import ModelSpec, OutputName

from .fake_gpu import FakeCuda, FakeMemory

GPU = Gpu("NVIDIA Fake", "8.9", 8 << 30)
SMALL, LARGE = map(OptimizationProfile.parse, ("4x4,8x8,16x16", "8x8,32x32,40x60"))


class FakeContext:
    """Computes what `tiny_model` computes: the strongest channel of every pixel."""

    def __init__(self, engine: FakeEngine, cache: FakeRuntimeCache | None) -> None:
        self.engine = engine
        self.cache = cache
        self.profile = -1
        self.shape: tuple[int, ...] = ()
        self.user = 0
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream_handle: int) -> bool:
        self.profile = index
        if self.cache is not None and index not in self.cache.kernels:
            self.engine.trt.compiled += 1
            self.cache.kernels.add(index)
        return "profile" not in self.engine.trt.refused

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        profile = self.engine.trt.profiles[self.profile]
        batch, height, width, channels = shape
        self.shape = shape
        self.user = threading.get_ident()
        time.sleep(0.0005)  # an invitation to other threads, which must not come in between
        return (
            "shape" not in self.engine.trt.refused
            and name == "image"
            and 1 <= batch <= profile.max_batch
            and profile.min.height <= height <= profile.max.height
            and profile.min.width <= width <= profile.max.width
            and channels == 3
        )

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return "address" not in self.engine.trt.refused

    def execute_async_v3(self, stream_handle: int) -> bool:
        trt = self.engine.trt
        assert self.user == threading.get_ident(), "two threads use one context at a time"
        if "execute" in trt.refused:
            trt.loggers[-1].log(1, "IExecutionContext::enqueueV3: Error Code 1: Cask (no kernel image)")
            return False
        shape, addresses = self.shape, dict(self.addresses)
        assert set(addresses) == {"image", *trt.outputs}
        trt.batches.append(shape[0])
        memory: FakeMemory = trt.memory

        def compute() -> None:
            size = int(np.prod(shape))
            frames = memory.at(addresses["image"], size).reshape(shape)
            values = {
                "class_map": frames.argmax(-1).astype(np.uint8),
                "confidence": frames.max(-1),
                "logits": np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).astype(np.float32),
                "overlay": 255 - frames,
            }
            for name in trt.outputs:
                data = values[name].reshape(-1).view(np.uint8)
                memory.at(addresses[name], data.size)[:] = data

        memory.streams[stream_handle].add(compute)
        return True


class FakeRuntimeCache:
    """TensorRT-RTX's: knows the profiles whose kernels were compiled; takes only what one of its kind has written."""

    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt
        self.kernels: set[int] = set()

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"kernels "):
            return False
        self.kernels = set(blob[8:])
        return True

    def serialize(self) -> memoryview | None:
        return None if "serialize" in self.trt.refused else memoryview(b"kernels " + bytes(sorted(self.kernels)))


class FakeRuntimeConfig:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt
        self.strategy = ""
        self.cache: FakeRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> FakeRuntimeCache:
        return FakeRuntimeCache(self.trt)

    def set_runtime_cache(self, cache: FakeRuntimeCache) -> bool:
        self.cache = cache
        return "cache" not in self.trt.refused


class FakeEngine:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt
        self.num_optimization_profiles = len(trt.profiles)
        self.num_io_tensors = 1 + len(trt.outputs)

    def get_tensor_name(self, index: int) -> str:
        return ("image", *self.trt.outputs)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name == "image" else "output"

    def get_tensor_dtype(self, name: str) -> str:
        return self.trt.types.get(name, "uint8")

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        assert name == "image"
        profile = self.trt.profiles[index]
        sizes = ((self.trt.min_batch, profile.min), (profile.max_batch, profile.opt), (profile.max_batch, profile.max))
        return [[batch, size.height, size.width, 3] for batch, size in sizes]

    def create_runtime_config(self) -> FakeRuntimeConfig | None:
        assert self.trt.flavor == "tensorrt_rtx", "older ones of TensorRT do not have it"
        return None if "config" in self.trt.refused else FakeRuntimeConfig(self.trt)

    def create_execution_context(self, settings: str | FakeRuntimeConfig) -> FakeContext | None:
        strategy, cache = (settings, None) if isinstance(settings, str) else (settings.strategy, settings.cache)
        assert strategy == "on profile change"
        self.trt.contexts += 1
        return None if "context" in self.trt.refused else FakeContext(self, cache)


class FakeTrt:
    """The part of TensorRT's module that running an engine takes."""

    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    DataType = SimpleNamespace(UINT8="uint8", FLOAT="float")
    ExecutionContextAllocationStrategy = SimpleNamespace(ON_PROFILE_CHANGE="on profile change")

    class ILogger:
        def __init__(self) -> None:
            pass

    def __init__(
        self, memory: FakeMemory, profiles: Sequence[OptimizationProfile], outputs: Sequence[OutputName]
    ) -> None:
        self.memory, self.profiles, self.outputs = memory, profiles, outputs
        self.flavor: Flavor = "tensorrt"
        self.compiled = 0  # profiles for which TensorRT-RTX had to compile kernels
        self.refused: set[str] = set()
        self.types = {"logits": "float"}
        self.min_batch = 1
        self.loggers: list[Any] = []
        self.batches: list[int] = []
        self.contexts = 0
        self.plans: list[bytes] = []

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        self.loggers.append(logger)
        if "runtime" in self.refused:
            logger.log(1, "CUDA initialization failure with error: 999")
            raise TypeError("pybind11::init(): factory function returned nullptr")

        def deserialize(plan: bytes) -> FakeEngine | None:
            self.plans.append(plan)
            if "plan" in self.refused:
                logger.log(1, "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Version tag mismatch)")
                return None
            return FakeEngine(self)

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


class Setup:
    """An engine file, and the fake machine that runs it."""

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        *,
        profiles: Sequence[OptimizationProfile] = (SMALL, LARGE),
        outputs: tuple[OutputName, ...] = ("class_map",),
        flavor: Flavor = "tensorrt",
    ) -> None:
        self.path = folder / "tiny.engine"
        plan = b"plan"
        self.manifest = EngineManifest(
            key=EngineKey(
                onnx_sha256="0" * 64,
                flavor=flavor,
                version="11.4.0",
                gpu=GPU.name,
                compute_capabilities=("8.9",),
                profiles=tuple(map(str, profiles)),
                max_batch=profiles[0].max_batch,
                workspace_bytes=None,
                optimization_level=None,
            ),
            profiles=tuple(profiles),
            onnx_name="tiny.onnx",
            onnx_bytes=1,
            engine_bytes=len(plan),
            engine_sha256=hashlib.sha256(plan).hexdigest(),
            convolutions={"fp32": 1},
            spec=replace(spec, outputs=outputs),
        )
        write_engine(self.path, plan, self.manifest)
        self.memory = FakeMemory()
        self.trt = FakeTrt(self.memory, profiles, outputs)
        self.trt.flavor = flavor
        self.cuda: Any = FakeCuda(self.memory)
        self.machine = Machine(TensorRtLibrary(flavor, "11.4.0", self.trt), GPU, self.memory, self.cuda)

    def open(self) -> TensorRtRunner:
        return TensorRtRunner.open(self.path, device=None, machine=self.machine)


def frames(batch: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, batch, height, width]).integers(0, 256, (batch, height, width, 3), np.uint8)
