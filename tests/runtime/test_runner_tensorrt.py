"""The TensorRT runner against a TensorRT and a GPU made of numpy: everything but TensorRT and CUDA themselves.

The fake GPU is as unkind as a real one may be: work that was queued on a stream is done late, other streams first,
and memory that was not written holds garbage. A missing wait or a buffer reused too early gives a wrong result.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.errors import (
    DeviceError,
    EngineMismatchError,
    FrameError,
    InferenceError,
    MissingDependencyError,
    ModelFileError,
)
from fcnrt.runtime.manifest import EngineKey, EngineManifest, manifest_path, read_manifest, write_engine
from fcnrt.runtime.optimization_profile import OptimizationProfile
from fcnrt.runtime.runners import open_runner
from fcnrt.runtime.runners._tensorrt import Machine, TensorRtRunner
from fcnrt.runtime.runners.device import Device
from fcnrt.runtime.runners.gpu import Gpu
from fcnrt.runtime.runners.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.runners.trusted_engine import trust_engine
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec, OutputName

GPU = Gpu("NVIDIA Fake", "8.9", 8 << 30)
SMALL, LARGE = map(OptimizationProfile.parse, ("4x4,8x8,16x16", "8x8,32x32,40x60"))
GARBAGE = 0xA5


class FakeEvent:
    def __init__(self) -> None:
        self.recorded: tuple[FakeStream, int] | None = None

    def record(self, stream: FakeStream) -> None:
        stream.queued.append(lambda: None)
        self.recorded = (stream, stream.issued)
        stream.issued += 1


class FakeStream:
    def __init__(self, memory: FakeMemory, handle: int) -> None:
        self.memory, self.handle = memory, handle
        self.queued: list[Any] = []  # functions, and (stream, position) to wait for
        self.issued = self.done = 0

    def add(self, work: Any) -> None:
        with self.memory.lock:
            self.queued.append(work)
            self.issued += 1

    def wait(self, event: FakeEvent) -> None:
        assert event.recorded is not None, "waiting for an event that was never recorded waits for nothing"
        self.add(event.recorded)

    def synchronize(self) -> None:
        with self.memory.lock:
            self.memory.run_until_idle(last=self)
        if self.memory.failure:
            raise InferenceError(self.memory.failure)

    def step(self) -> bool:
        """Do the next piece of work, unless it has to wait; whether anything was done."""
        if not self.queued:
            return False
        work = self.queued[0]
        if isinstance(work, tuple):
            stream, position = work
            if stream.done <= position:
                return False
        else:
            work()
        self.queued.pop(0)
        self.done += 1
        return True


class FakeMemory:
    name = "fake"

    def __init__(self, *, limit: int = 1 << 30) -> None:
        self.lock = threading.RLock()
        self.limit = limit
        self.used = 0
        self.blocks: dict[int, np.ndarray] = {}
        self.streams: dict[int, FakeStream] = {}
        self.host_blocks = 0
        self.failure = ""
        self.lazy = False
        self.depth = threading.local()
        self.closed = False

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        self.depth.value = getattr(self.depth, "value", 0) + 1
        try:
            yield
        finally:
            self.depth.value -= 1

    def _check(self) -> None:
        assert getattr(self.depth, "value", 0) > 0, "the GPU is not current in this thread"
        assert not self.closed, "the memory was released"

    def allocate(self, size: int) -> int:
        self._check()
        self.used += size
        if self.used > self.limit:
            raise InferenceError(f"not enough memory on the GPU for {size:,} more bytes")
        address = max((begin + block.size for begin, block in self.blocks.items()), default=4096)
        self.blocks[address] = np.full(size, GARBAGE, np.uint8)
        return address

    def allocate_host(self, size: int) -> np.ndarray:
        self._check()
        self.host_blocks += 1
        return np.full(size, GARBAGE, np.uint8)

    def stream(self) -> FakeStream:
        self._check()
        stream = FakeStream(self, 77 + len(self.streams))
        self.streams[stream.handle] = stream
        return stream

    def event(self) -> FakeEvent:
        self._check()
        return FakeEvent()

    def at(self, address: int, size: int) -> np.ndarray:
        """The bytes at an address, which may lie inside a block."""
        start = max(begin for begin in self.blocks if begin <= address)
        found = self.blocks[start][address - start :][:size]
        assert found.size == size, "beyond the end of a block"
        return found

    def upload(self, address: int, host: np.ndarray, stream: FakeStream) -> None:
        self._check()

        def copy() -> None:
            self.at(address, host.size)[:] = host

        stream.add(copy)

    def download(self, host: np.ndarray, address: int, stream: FakeStream) -> None:
        self._check()

        def copy() -> None:
            host[:] = self.at(address, host.size)

        stream.add(copy)

    def run_until_idle(self, *, last: FakeStream) -> None:
        """Everything that was queued, the stream that is waited for last; if lazy, first, and no more than it takes."""
        order = [*(stream for stream in self.streams.values() if stream is not last), last]
        if self.lazy:
            order.reverse()
        while (last.queued or not self.lazy) and any(stream.step() for stream in order):
            pass
        assert not last.queued, "a stream waits for something that never happens"

    def close(self) -> None:
        self._check()
        self.closed = True


class FakeCuda:
    """`CudaDriver` on the same streams and memory."""

    index = 0

    def __init__(self, memory: FakeMemory) -> None:
        self.memory = memory

    def order(self, first: int, then: int) -> None:
        event = FakeEvent()
        event.record(self.memory.streams[first])
        self.memory.streams[then].wait(event)

    def synchronize(self, stream: int) -> None:
        self.memory.streams[stream].synchronize()

    def allocate(self, size: int) -> Any:
        with self.memory.current():
            return SimpleNamespace(address=self.memory.allocate(size))


class FakeContext:
    """Computes what `tiny_model` computes: the strongest channel of every pixel."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.profile = -1
        self.shape: tuple[int, ...] = ()
        self.user = 0
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream_handle: int) -> bool:
        self.profile = index
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
            }
            for name in trt.outputs:
                data = values[name].reshape(-1).view(np.uint8)
                memory.at(addresses[name], data.size)[:] = data

        memory.streams[stream_handle].add(compute)
        return True


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

    def create_execution_context(self, strategy: str) -> FakeContext | None:
        assert strategy == "on profile change"
        self.trt.contexts += 1
        return None if "context" in self.trt.refused else FakeContext(self)


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
    ) -> None:
        self.path = folder / "tiny.engine"
        plan = b"plan"
        self.manifest = EngineManifest(
            key=EngineKey(
                onnx_sha256="0" * 64,
                flavor="tensorrt",
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
        self.cuda: Any = FakeCuda(self.memory)
        self.machine = Machine(TensorRtLibrary("tensorrt", "11.4.0", self.trt), GPU, self.memory, self.cuda)

    def open(self) -> TensorRtRunner:
        return TensorRtRunner.open(self.path, device=None, machine=self.machine)


@pytest.fixture
def make_setup(tmp_path: Path, tiny_spec: ModelSpec) -> Callable[..., Setup]:
    return lambda **options: Setup(tmp_path, tiny_spec, **options)


@pytest.fixture
def setup(make_setup: Callable[..., Setup]) -> Setup:
    return make_setup()


def frames(batch: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, batch, height, width]).integers(0, 256, (batch, height, width, 3), np.uint8)


def test_computes(setup: Setup) -> None:
    image = frames(1, 10, 12)
    with Segmenter(setup.open()) as segmenter:
        assert (segmenter.backend, segmenter.device) == ("tensorrt", "cuda:0")
        np.testing.assert_array_equal(segmenter(image[0]), image[0].argmax(-1))
    assert setup.trt.plans == [b"plan"]


def test_all_outputs(make_setup: Callable[..., Setup]) -> None:
    image = frames(1, 9, 7)
    with Segmenter(make_setup(outputs=("class_map", "confidence", "logits")).open()) as segmenter:
        prediction = segmenter.predict(image[0])
    np.testing.assert_array_equal(prediction.class_map, image[0].argmax(-1))
    np.testing.assert_array_equal(prediction.confidence, image[0].max(-1))
    np.testing.assert_array_equal(prediction.logits, image[0].transpose(2, 0, 1).astype(np.float32))


def test_memory_for_an_output_is_page_locked_when_it_is_wanted(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(outputs=("class_map", "logits"))
    runner = setup.open()
    runner.run(frames(1, 8, 8), ("class_map",))
    before = setup.memory.host_blocks
    runner.run(frames(1, 8, 8), ("class_map", "logits"))
    assert setup.memory.host_blocks == before + 1


def test_writes_into_the_callers_buffer(setup: Setup) -> None:
    image, out = frames(1, 10, 12), np.zeros((1, 10, 12), np.uint8)
    results = setup.open().run(image, ("class_map",), class_map=out)
    assert results["class_map"] is out
    np.testing.assert_array_equal(out, image.argmax(-1))


def test_results_belong_to_the_caller(setup: Setup) -> None:
    runner = setup.open()
    images = [frames(1, 10, 12, seed) for seed in range(3)]
    results = [runner.run(image, ("class_map",))["class_map"] for image in images]
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, image.argmax(-1))


def test_buffers_are_made_once_per_profile(setup: Setup) -> None:
    runner = setup.open()
    runner.run(frames(1, 5, 5), ("class_map",))
    small, contexts = len(setup.memory.blocks), setup.trt.contexts
    for height in range(4, 17):
        runner.run(frames(1, height, 6), ("class_map",))
    assert (len(setup.memory.blocks), setup.trt.contexts) == (small, contexts) == (4, 1)
    runner.run(frames(1, 30, 50), ("class_map",))
    assert (len(setup.memory.blocks), setup.trt.contexts) == (8, 2)
    assert max(block.size for block in setup.memory.blocks.values()) == 40 * 60 * 3


@pytest.mark.parametrize(("size", "blocks"), [((8, 8), [16 * 16]), ((17, 8), [40 * 60]), ((40, 60), [40 * 60])])
def test_takes_the_tightest_profile(setup: Setup, size: tuple[int, int], blocks: list[int]) -> None:
    setup.open().run(frames(1, *size), ("class_map",))
    assert sorted({block.size for block in setup.memory.blocks.values()})[:1] == blocks


@pytest.mark.parametrize("size", [(3, 8), (41, 20), (20, 61), (5, 50)])
def test_refuses_sizes_outside_every_profile(setup: Setup, size: tuple[int, int]) -> None:
    message = (
        rf"frames of {size[0]}x{size[1]} are outside the sizes this engine was built for "
        r"\(4x4\.\.16x16 or 8x8\.\.40x60\)\. Resize them, or rebuild it: "
        r"fcnrt build .*tiny\.onnx -o .*tiny\.engine --profile "
        rf"{min(4, size[0])}x{min(4, size[1])},8x8,{max(16, size[0])}x{max(16, size[1])}$"
    )
    with pytest.raises(FrameError, match=message):
        setup.open().run(frames(1, *size), ("class_map",))


@pytest.mark.parametrize(("batch", "parts"), [(1, [1]), (2, [2]), (3, [2, 1]), (7, [2, 2, 2, 1])])
def test_a_larger_batch_is_run_in_parts(make_setup: Callable[..., Setup], batch: int, parts: list[int]) -> None:
    setup = make_setup(profiles=(replace(SMALL, max_batch=2),))
    images = frames(batch, 6, 11)
    results = setup.open().run(images, ("class_map",))
    np.testing.assert_array_equal(results["class_map"], images.argmax(-1))
    assert setup.trt.batches == parts


def test_the_next_part_is_on_its_way_before_one_is_waited_for(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(SMALL,))
    runner, events = setup.open(), []
    runner.run(frames(1, 8, 8), ("class_map",))
    upload, wait = setup.memory.upload, setup.memory.run_until_idle

    def noted_upload(*arguments: Any) -> None:
        events.append("upload")
        upload(*arguments)

    def noted_wait(**options: Any) -> None:
        events.append("wait")
        wait(**options)

    setup.memory.upload, setup.memory.run_until_idle = noted_upload, noted_wait  # type: ignore[method-assign]
    runner.run(frames(4, 8, 8), ("class_map",))
    assert events == ["upload", "upload", "wait", "upload", "wait", "upload", "wait", "wait"]


def test_many_threads(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(replace(SMALL, max_batch=2), replace(LARGE, max_batch=2)))
    runner = setup.open()

    def segment(seed: int) -> bool:
        images = frames(1 + seed % 5, 8 + seed % 9, 8 + seed % 7, seed)
        return np.array_equal(runner.run(images, ("class_map",))["class_map"], images.argmax(-1))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(segment, range(60)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("shape", r"TensorRT refused frames of shape \(1, 8, 8, 3\): it gave no reason"),
        ("address", "TensorRT refused the address of image"),
        ("execute", r"TensorRT refused to run frames of shape \(1, 8, 8, 3\): Cask \(no kernel image\)"),
        ("context", "not enough memory on cuda:0 for frames of 16x16, batch 1: TensorRT gave no reason"),
        ("profile", "not enough memory on cuda:0 for frames of 16x16, batch 1"),
    ],
)
def test_every_refusal_of_tensorrt_is_an_error_and_passes(setup: Setup, step: str, message: str) -> None:
    runner, image = setup.open(), frames(1, 8, 8)
    setup.trt.refused.add(step)
    for _ in range(5):  # more often than there are lanes
        with pytest.raises(InferenceError, match=message):
            runner.run(image, ("class_map",))
    setup.trt.refused.clear()
    np.testing.assert_array_equal(runner.run(image, ("class_map",))["class_map"], image.argmax(-1))


def test_a_failure_on_the_gpu_is_an_error(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(SMALL,))
    runner, images = setup.open(), frames(5, 8, 8)
    runner.run(images, ("class_map",))
    setup.memory.failure = "CUDA failed in cudaStreamSynchronize: an illegal memory access was encountered"
    for _ in range(3):
        with pytest.raises(InferenceError, match="illegal memory access"):
            runner.run(images, ("class_map",))
    setup.memory.failure = ""
    np.testing.assert_array_equal(runner.run(images, ("class_map",))["class_map"], images.argmax(-1))


def test_memory_that_does_not_suffice(setup: Setup) -> None:
    setup.memory.limit = 1000
    with pytest.raises(InferenceError, match="not enough memory on the GPU for"):
        setup.open().run(frames(1, 8, 8), ("class_map",))


def test_closed(setup: Setup) -> None:
    runner = setup.open()
    runner.run(frames(1, 8, 8), ("class_map",))
    runner.close()
    runner.close()
    assert setup.memory.closed
    with pytest.raises(InferenceError, match="the runner is closed"):
        runner.run(frames(1, 8, 8), ("class_map",))


def test_tensorrt_that_does_not_start(setup: Setup) -> None:
    setup.trt.refused.add("runtime")
    with pytest.raises(InferenceError, match=r"TensorRT 11\.4\.0 cannot start on cuda:0: CUDA initialization failure"):
        setup.open()
    assert setup.memory.closed


def test_refused_plan(setup: Setup) -> None:
    setup.trt.refused.add("plan")
    message = r"TensorRT 11\.4\.0 cannot load .*: Serialization \(Version tag mismatch\)\. Rebuild it: fcnrt build"
    with pytest.raises(InferenceError, match=message):
        setup.open()
    assert setup.memory.closed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda setup: setattr(setup.trt, "profiles", [SMALL]), "it has the profiles 4x4,8x8,16x16, batch 1. Rebuild"),
        (
            lambda setup: setattr(setup.trt, "profiles", [SMALL, replace(LARGE, max_batch=2)]),
            r"it has the profiles 4x4,8x8,16x16, batch 1 or 8x8,32x32,40x60, batch 2\. Rebuild it: fcnrt build",
        ),
        (lambda setup: setattr(setup.trt, "outputs", ("logits",)), "it takes image and returns logits"),
        (lambda setup: setup.trt.types.update(class_map="float"), "is not the engine of tiny.onnx that it is said"),
    ],
)
def test_engine_that_is_not_what_its_manifest_says(
    setup: Setup, change: Callable[[Setup], object], message: str
) -> None:
    change(setup)
    with pytest.raises(EngineMismatchError, match=message):
        setup.open()


def test_another_machine_is_refused_before_tensorrt_sees_the_engine(setup: Setup) -> None:
    setup.machine = replace(setup.machine, gpu=replace(GPU, name="NVIDIA Other"))
    with pytest.raises(EngineMismatchError, match="was built for an NVIDIA Fake; this machine has an NVIDIA Other"):
        setup.open()
    assert setup.trt.plans == []
    assert setup.memory.closed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"pla"), "has 3 bytes, its manifest says 4"),
        (lambda path: path.write_bytes(b"PLAN"), "is damaged"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: manifest_path(path).unlink(), r"has no manifest tiny\.engine\.json .* with --trust$"),
        (lambda path: path.with_name("tiny.onnx").write_bytes(b"another"), "was built from another tiny.onnx"),
    ],
)
def test_damaged_files_are_refused_before_tensorrt_sees_them(
    setup: Setup, damage: Callable[[Path], object], message: str
) -> None:
    damage(setup.path)
    with pytest.raises(EngineMismatchError, match=message):
        setup.open()
    assert setup.trt.plans == []


@pytest.fixture
def stranger(make_setup: Callable[..., Setup], tiny_model: Path) -> Setup:
    """An engine without a manifest, the ONNX file it was built from beside it."""
    setup = make_setup(profiles=(SMALL, replace(LARGE, max_batch=4)))
    manifest_path(setup.path).unlink()
    shutil.copy(tiny_model, setup.path.with_suffix(".onnx"))
    return setup


def trust(setup: Setup) -> Path | None:
    return trust_engine(setup.path, machine=setup.machine)


def test_a_trusted_engine_gets_its_manifest(stranger: Setup, tiny_model: Path, tiny_spec: ModelSpec) -> None:
    assert trust(stranger) == manifest_path(stranger.path)
    assert stranger.memory.closed
    manifest = read_manifest(stranger.path)
    assert manifest.spec == tiny_spec
    assert manifest.profiles == (SMALL, replace(LARGE, max_batch=4))
    assert manifest.key.onnx_sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert (manifest.key.version, manifest.key.gpu, manifest.key.max_batch) == ("11.4.0", GPU.name, 4)
    assert trust(stranger) is None  # it has one now
    assert stranger.trt.plans == [b"plan"]
    stranger.trt.memory = memory = FakeMemory()
    stranger.machine = replace(stranger.machine, memory=memory)
    image = frames(1, 10, 12)
    np.testing.assert_array_equal(stranger.open().run(image, ("class_map",))["class_map"], image.argmax(-1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda setup: setattr(setup.trt, "outputs", ("logits",)),
            EngineMismatchError,
            r"is not the engine of tiny\.onnx that it is said to be: it takes image and returns logits",
        ),
        (
            lambda setup: setattr(setup.trt, "min_batch", 2),
            EngineMismatchError,
            "it takes no fewer than 2 frames at once in profile 0",
        ),
        (lambda setup: setup.trt.refused.add("plan"), InferenceError, r"cannot load .*Version tag mismatch"),
    ],
)
def test_a_trusted_engine_that_does_not_fit_gets_none(
    stranger: Setup, change: Callable[[Setup], object], error: type[Exception], message: str
) -> None:
    change(stranger)
    with pytest.raises(error, match=message):
        trust(stranger)
    assert stranger.memory.closed
    assert sorted(path.name for path in stranger.path.parent.iterdir()) == ["tiny.engine", "tiny.onnx"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.with_suffix(".onnx").unlink(), r"put the ONNX file .* beside it, as tiny\.onnx"),
        (lambda path: path.with_suffix(".onnx").write_bytes(b"other"), "is not an ONNX file"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: manifest_path(path).write_text("{}"), r"tiny\.engine\.json cannot be used"),
    ],
)
def test_trust_alone_does_not_do(stranger: Setup, change: Callable[[Path], object], message: str) -> None:
    change(stranger.path)
    with pytest.raises(ModelFileError, match=message):
        trust(stranger)
    assert stranger.trt.plans == []


def test_trust_is_asked_for_by_name(stranger: Setup) -> None:
    with pytest.raises(EngineMismatchError, match="has no manifest"):
        Segmenter.open(stranger.path, device="cuda:99")
    with pytest.raises(DeviceError, match="cuda:99: no such NVIDIA GPU"):
        Segmenter.open(stranger.path, device="cuda:99", trust=True)
    assert trust_engine(stranger.path, device="cpu", machine=stranger.machine) is None


def test_the_cpu_is_refused(setup: Setup) -> None:
    with pytest.raises(DeviceError, match=r"tiny\.engine is a TensorRT engine and runs on NVIDIA GPUs only"):
        TensorRtRunner.open(setup.path, device=Device("cpu"), machine=setup.machine)


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_an_engine_file_is_opened_with_tensorrt(setup: Setup, backend: Any) -> None:
    with pytest.raises((DeviceError, EngineMismatchError, MissingDependencyError), match=r"tiny\.engine|TensorRT"):
        open_runner(setup.path, backend=backend, device="cuda:99")


def test_an_engine_file_is_not_for_onnxruntime(setup: Setup) -> None:
    with pytest.raises(ModelFileError, match=r"is a TensorRT engine; ONNX Runtime runs the \.onnx file"):
        open_runner(setup.path, backend="onnxruntime")


class OnFakeGpu:
    """An array in the fake GPU's memory that is written there late, on a stream of the caller's."""

    def __init__(self, memory: FakeMemory, values: np.ndarray, stream: FakeStream) -> None:
        with memory.current():
            address = memory.allocate(values.size)
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": values.shape,
            "typestr": "|u1",
            "strides": None,
            "stream": stream.handle,
        }
        self._place = memory.at(address, values.size)
        stream.add(lambda: np.copyto(self._place, values.reshape(-1)))

    def read(self) -> np.ndarray:
        return self._place.reshape(self.__cuda_array_interface__["shape"])


class GpuSetup(Setup):
    """With two streams of the caller's and CUDA's default one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        with self.memory.current():
            self.mine, self.other = self.memory.stream(), self.memory.stream()
        self.memory.streams[1] = FakeStream(self.memory, 1)
        self.cuda.device_of = lambda address: 0

    def frames(self, batch: int, height: int, width: int, seed: int = 0) -> tuple[OnFakeGpu, np.ndarray]:
        values = frames(batch, height, width, seed)
        return OnFakeGpu(self.memory, values, self.mine if seed % 2 == 0 else self.other), values

    def out(self, *shape: int) -> OnFakeGpu:
        return OnFakeGpu(self.memory, np.full(shape, GARBAGE, np.uint8), self.mine)

    def read(self, array: Any) -> np.ndarray:
        return self.memory.at(array.address, array.nbytes).reshape(array.shape)


@pytest.fixture(params=[False, True], ids=["others first", "others late"])
def gpu_setup(tmp_path: Path, tiny_spec: ModelSpec, request: pytest.FixtureRequest) -> Callable[..., GpuSetup]:
    def make(**options: Any) -> GpuSetup:
        setup = GpuSetup(tmp_path, tiny_spec, **options)
        setup.memory.lazy = request.param
        return setup

    return make


@pytest.mark.parametrize("outputs", [("class_map",), ("class_map", "confidence", "logits")])
def test_a_frame_on_the_gpu_stays_there(gpu_setup: Callable[..., GpuSetup], outputs: tuple[OutputName, ...]) -> None:
    setup = gpu_setup(outputs=outputs)
    frame, values = setup.frames(1, 10, 12)
    setup.memory.upload = setup.memory.download = None  # type: ignore[assignment, method-assign]  # never called
    with Segmenter(setup.open()) as segmenter:
        class_map = segmenter(frame)
        np.testing.assert_array_equal(setup.read(class_map), values.argmax(-1))
        assert class_map.__cuda_array_interface__["stream"] is None  # the call has waited


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1], ids=["frame on my stream", "frame on another"])
def test_on_the_callers_stream_nothing_is_waited_for(gpu_setup: Callable[..., GpuSetup], batch: int, seed: int) -> None:
    setup = gpu_setup(profiles=(replace(SMALL, max_batch=2),))
    (given, values), out = setup.frames(batch, 10, 12, seed), setup.out(batch, 10, 12)
    segmenter = Segmenter(setup.open())
    assert segmenter(given, out=out, stream=setup.mine.handle) is out
    assert (out.read() == GARBAGE).all()  # queued, not done
    setup.mine.synchronize()
    np.testing.assert_array_equal(out.read(), values.argmax(-1))


def test_results_of_a_stream_say_so(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    frame, values = setup.frames(1, 10, 12)
    class_map = Segmenter(setup.open())(frame, stream=setup.mine.handle)
    assert class_map.__cuda_array_interface__["stream"] == setup.mine.handle
    setup.mine.synchronize()
    np.testing.assert_array_equal(setup.read(class_map)[0], values[0].argmax(-1))


def test_calls_from_the_gpu_and_from_the_cpu_in_turn(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup(outputs=("class_map", "confidence"))
    segmenter = Segmenter(setup.open())
    queued = []
    for seed in range(6):
        (given, values), out = setup.frames(1, 9, 9, seed), setup.out(1, 9, 9)
        segmenter(given, out=out, stream=setup.mine.handle)
        queued.append((out, values))
        image = frames(1, 9, 9, 100 + seed)
        prediction = segmenter.predict(image)
        np.testing.assert_array_equal(prediction.class_map, image.argmax(-1))
        np.testing.assert_array_equal(prediction.confidence, image.max(-1))
    setup.mine.synchronize()
    for out, values in queued:
        np.testing.assert_array_equal(out.read(), values.argmax(-1))


def test_refusals_on_the_gpu_are_errors_and_pass(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    frame, values = setup.frames(1, 8, 8)
    segmenter = Segmenter(setup.open())
    setup.trt.refused.add("execute")
    for _ in range(5):  # more often than there are lanes
        with pytest.raises(InferenceError, match=r"TensorRT refused to run frames of shape \(1, 8, 8, 3\)"):
            segmenter(frame)
    setup.trt.refused.clear()
    np.testing.assert_array_equal(setup.read(segmenter(frame)), values.argmax(-1))
    with pytest.raises(FrameError, match="frames of 3x8 are outside the sizes this engine was built for"):
        segmenter(setup.frames(1, 3, 8)[0])


def test_closing_waits_for_what_was_queued(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    (given, values), out = setup.frames(1, 8, 8), setup.out(1, 8, 8)
    segmenter = Segmenter(setup.open())
    segmenter(given, out=out, stream=setup.mine.handle)
    segmenter.close()
    np.testing.assert_array_equal(out.read(), values.argmax(-1))
