"""Both providers of GPU memory against stand-ins for their packages, which know addresses, streams and errors."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.errors import DeviceError, InferenceError
from fcnrt.runtime.gpu._cuda_bindings_memory import CudaBindingsMemory
from fcnrt.runtime.gpu._pycuda_memory import PycudaMemory
from fcnrt.runtime.gpu.device_memory import DeviceMemory


class Status(enum.Enum):
    cudaSuccess = 0  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorInvalidValue = 1  # noqa: N815
    cudaErrorInsufficientDriver = 35  # noqa: N815


class FakeCudart:
    """`cuda.bindings.runtime`: functions return an error code and what they made; 'device' memory is the host's."""

    cudaError_t = Status  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")  # noqa: N815
    cudaHostAllocDefault, cudaStreamNonBlocking, cudaEventDisableTiming = 0, 1, 2  # noqa: N815

    def __init__(self) -> None:
        self.device = 5  # somebody else's choice
        self.live: dict[int, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.failing = ""

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            if name == self.failing:
                code = "cudaErrorMemoryAllocation" if name == "cudaMalloc" else "cudaErrorInvalidValue"
                return Status[code], None
            return Status.cudaSuccess, *self._results(name, *arguments)

        return call

    def _results(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        if name in ("cudaMalloc", "cudaHostAlloc"):
            block = ctypes.create_string_buffer(arguments[0])
            self.live[ctypes.addressof(block)] = block
            return (ctypes.addressof(block),)
        if name in ("cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"):
            assert arguments == ((1,) if "Stream" in name else (2,))
            handle = 900 + len(self.live)
            self.live[handle] = name
            return (handle,)
        if name in ("cudaFree", "cudaFreeHost", "cudaStreamDestroy", "cudaEventDestroy"):
            del self.live[arguments[0]]
        elif name == "cudaMemcpyAsync":
            target, source, size, kind, stream = arguments
            assert kind in ("up", "down")
            assert stream in self.live
            ctypes.memmove(target, source, size)
        elif name == "cudaGetDevice":
            return (self.device,)
        elif name == "cudaSetDevice":
            self.device = arguments[0]
        elif name == "cudaGetErrorString":
            return (b"invalid argument",)
        return ()


class FakePycuda:
    """`pycuda.driver`: objects that free themselves, exceptions for errors, a stack of contexts."""

    class Error(Exception):
        pass

    class MemoryError(Error):
        pass

    event_flags = SimpleNamespace(DISABLE_TIMING=2)

    def __init__(self) -> None:
        self.live: dict[int, Any] = {}
        self.stack = ["somebody else's"]
        self.calls: list[tuple[Any, ...]] = []
        self.failing = ""
        self.Context = SimpleNamespace(pop=self.stack.pop)

    def _check(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))
        assert name in ("init", "Device") or self.stack[-1] == "primary of 1"
        if name == self.failing:
            raise (self.MemoryError if name == "mem_alloc" else self.Error)("invalid argument")

    def init(self) -> None:
        self._check("init")

    def Device(self, index: int) -> Any:  # noqa: N802
        self._check("Device", index)
        name = f"primary of {index}"
        context = SimpleNamespace(push=lambda: self.stack.append(name), detach=lambda: self.stack.remove(name))
        return SimpleNamespace(retain_primary_context=lambda: context)

    def mem_alloc(self, size: int) -> Any:
        self._check("mem_alloc", size)
        block = ctypes.create_string_buffer(size)
        address = ctypes.addressof(block)
        self.live[address] = block

        class Allocation:
            def __int__(allocation) -> int:  # noqa: N805
                return address

            def free(allocation) -> None:  # noqa: N805
                del self.live[address]

        return Allocation()

    def pagelocked_empty(self, size: int, dtype: Any) -> Any:
        self._check("pagelocked_empty", size)
        live, key = self.live, -1 - len(self.live)
        live[key] = "pinned"

        class PageLocked(np.ndarray):
            @property
            def base(self) -> Any:
                return SimpleNamespace(free=lambda: live.pop(key))

        return np.empty(size, dtype).view(PageLocked)

    def Stream(self, flags: int) -> Any:  # noqa: N802
        assert flags == 1
        record = self.calls.append
        return SimpleNamespace(
            handle=901,
            synchronize=lambda: self._check("synchronize"),
            wait_for_event=lambda event: record(("wait", event.number)),
        )

    def Event(self, flags: int) -> Any:  # noqa: N802
        assert flags == 2
        return SimpleNamespace(number=902, record=lambda stream: self.calls.append(("record", stream.handle)))

    def memcpy_htod_async(self, address: int, host: np.ndarray, stream: Any) -> None:
        self._check("upload", stream.handle)
        ctypes.memmove(address, host.ctypes.data, host.nbytes)

    def memcpy_dtoh_async(self, host: np.ndarray, address: int, stream: Any) -> None:
        self._check("download", stream.handle)
        ctypes.memmove(host.ctypes.data, address, host.nbytes)


def make(kind: str) -> tuple[DeviceMemory, Any]:
    if kind == "pycuda":
        driver = FakePycuda()
        return PycudaMemory(1, cuda=driver), driver
    runtime = FakeCudart()
    return CudaBindingsMemory(1, cudart=runtime), runtime


KINDS = ["pycuda", "cuda-bindings"]


@pytest.mark.parametrize("kind", KINDS)
def test_copies_there_and_back_and_releases_everything(kind: str) -> None:
    memory, package = make(kind)
    with memory.current():
        address, other = memory.allocate(10), memory.allocate(10)
        sent, received = memory.allocate_host(10), memory.allocate_host(10)
        stream, second, event = memory.stream(), memory.stream(), memory.event()
        assert isinstance(stream.handle, int)
        assert isinstance(address, int)
        assert address != other
        sent[:] = range(10)
        memory.upload(address, sent[:7], stream)
        event.record(stream)
        second.wait(event)
        received[:] = 99
        memory.download(received[:5], address, second)
        second.synchronize()
        assert received.tolist() == [0, 1, 2, 3, 4, 99, 99, 99, 99, 99]
        memory.close()
    assert package.live == {}
    if kind == "pycuda":
        assert package.stack == ["somebody else's"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_callers_gpu_is_restored(kind: str) -> None:
    memory, package = make(kind)

    def current() -> Any:
        return package.stack[-1] if kind == "pycuda" else package.device

    before = current()
    with memory.current():
        assert current() != before
    assert current() == before
    with pytest.raises(ZeroDivisionError), memory.current():
        _ = 1 / 0
    assert current() == before


@pytest.mark.parametrize(
    ("kind", "failing", "message"),
    [
        ("pycuda", "mem_alloc", "not enough memory on the GPU for 1,000 more bytes"),
        ("pycuda", "pagelocked_empty", "CUDA failed: invalid argument"),
        ("cuda-bindings", "cudaMalloc", "not enough memory on the GPU for 1,000 more bytes"),
        ("cuda-bindings", "cudaHostAlloc", "CUDA failed in cudaHostAlloc: invalid argument"),
    ],
)
def test_failures_are_errors(kind: str, failing: str, message: str) -> None:
    memory, package = make(kind)
    package.failing = failing
    with pytest.raises(InferenceError, match=message), memory.current():
        memory.allocate(1000)
        memory.allocate_host(1000)


@pytest.mark.parametrize(("kind", "failing"), [("pycuda", "synchronize"), ("cuda-bindings", "cudaStreamSynchronize")])
def test_a_failure_on_the_gpu_shows_when_waiting(kind: str, failing: str) -> None:
    memory, package = make(kind)
    package.failing = failing
    with pytest.raises(InferenceError, match=r"CUDA failed.*invalid argument"), memory.current():
        memory.stream().synchronize()


def test_a_gpu_that_cannot_be_used() -> None:
    driver, runtime = FakePycuda(), FakeCudart()
    driver.failing, runtime.failing = "init", "cudaGetDevice"
    with pytest.raises(DeviceError, match="cuda:3 cannot be used: invalid argument"):
        PycudaMemory(3, cuda=driver)
    with pytest.raises(DeviceError, match="cuda:3 cannot be used: CUDA failed in cudaGetDevice"):
        CudaBindingsMemory(3, cudart=runtime)


def test_the_real_bindings_have_all_that_is_called() -> None:
    cudart = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-bindings")
    memory, package = make("cuda-bindings")
    with memory.current():
        host, stream, event = memory.allocate_host(1), memory.stream(), memory.event()
        address = memory.allocate(1)
        memory.upload(address, host, stream)
        memory.download(host, address, stream)
        event.record(stream)
        stream.wait(event)
        stream.synchronize()
        memory.close()
    for name in {call[0] for call in package.calls} | {"cudaGetErrorString"}:
        assert callable(getattr(cudart, name)), name
    for name in ("cudaHostAllocDefault", "cudaStreamNonBlocking", "cudaEventDisableTiming"):
        assert isinstance(getattr(cudart, name), int)
        assert getattr(cudart, name) == getattr(FakeCudart, name)
    assert {"cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"} <= set(dir(cudart.cudaMemcpyKind))
    assert {"cudaSuccess", "cudaErrorMemoryAllocation"} <= set(dir(cudart.cudaError_t))
    assert cudart.cudaGetErrorString(cudart.cudaError_t.cudaErrorMemoryAllocation)[1] == b"out of memory"
