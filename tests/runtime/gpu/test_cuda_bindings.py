"""The real cuda-bindings, on a machine without a GPU: every call is one that it takes, and is answered with an error.

A name that it lacks would be an AttributeError, a wrong number or type of arguments a TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.errors import DeviceError, InferenceError
from fcnrt.runtime.gpu._cuda_bindings_memory import CudaBindingsEvent, CudaBindingsMemory, CudaBindingsStream
from fcnrt.runtime.gpu.gpu import find_gpu

pytestmark = pytest.mark.skipif(find_gpu() is not None, reason="written for a machine without a GPU")
cudart = pytest.importorskip("cuda.bindings.runtime")

HOST = np.zeros(4, np.uint8)


@pytest.fixture
def memory() -> CudaBindingsMemory:
    """As if the GPU had been there a moment ago."""
    there = CudaBindingsMemory.__new__(CudaBindingsMemory)
    there._cudart, there._index, there._release = cudart, 0, []
    return there


def stream(memory: CudaBindingsMemory) -> CudaBindingsStream:
    return CudaBindingsStream(memory._call, cudart.cudaStream_t(0))


def event(memory: CudaBindingsMemory) -> CudaBindingsEvent:
    return CudaBindingsEvent(memory._call, cudart.cudaEvent_t(0))


def test_there_is_no_gpu() -> None:
    with pytest.raises(DeviceError, match="cuda:0 cannot be used: CUDA failed in cudaGetDevice: "):
        CudaBindingsMemory(0)


@pytest.mark.parametrize(
    ("function", "use"),
    [
        ("cudaSetDevice", lambda memory: memory._call("cudaSetDevice", 0)),
        ("cudaMalloc", lambda memory: memory.allocate(16)),
        ("cudaHostAlloc", lambda memory: memory.allocate_host(16)),
        ("cudaStreamCreateWithFlags", lambda memory: memory.stream()),
        ("cudaEventCreateWithFlags", lambda memory: memory.event()),
        ("cudaMemcpyAsync", lambda memory: memory.upload(4096, HOST, stream(memory))),
        ("cudaMemcpyAsync", lambda memory: memory.download(HOST, 4096, stream(memory))),
        ("cudaStreamWaitEvent", lambda memory: stream(memory).wait(event(memory))),
        ("cudaStreamSynchronize", lambda memory: stream(memory).synchronize()),
        ("cudaEventRecord", lambda memory: event(memory).record(stream(memory))),
        ("cudaFree", lambda memory: memory._call("cudaFree", 4096)),
        ("cudaFreeHost", lambda memory: memory._call("cudaFreeHost", 4096)),
        ("cudaStreamDestroy", lambda memory: memory._call("cudaStreamDestroy", cudart.cudaStream_t(0))),
        ("cudaEventDestroy", lambda memory: memory._call("cudaEventDestroy", cudart.cudaEvent_t(0))),
    ],
)
def test_calls_are_taken(memory: CudaBindingsMemory, function: str, use: Callable[[CudaBindingsMemory], Any]) -> None:
    with pytest.raises(InferenceError, match=rf"CUDA failed in {function}: \w+"):
        use(memory)
