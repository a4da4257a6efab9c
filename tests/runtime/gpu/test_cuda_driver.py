from __future__ import annotations

import gc
from typing import Any

import pytest

from fcnrt.runtime.errors import DeviceError, InferenceError
from fcnrt.runtime.gpu.cuda_driver import CudaDriver


def test_a_gpu_that_is_not_there(on_gpu: Any) -> None:
    with pytest.raises(DeviceError, match="cuda:2 cannot be used: the NVIDIA driver does not offer it"):
        CudaDriver(2, library=on_gpu.library)


def test_no_driver() -> None:
    with pytest.raises(DeviceError, match="cuda:99 cannot be used"):
        CudaDriver(99)


def test_one_stream_waits_for_another(on_gpu: Any) -> None:
    on_gpu.driver.order(1, 77)
    (record, event, first), (wait, same_event, then) = on_gpu.library.calls
    assert (record, first, wait, then) == ("record", 1, "wait", 77)
    assert event == same_event
    assert on_gpu.library.live_events == set()
    assert on_gpu.library.context == 0


def test_a_stream_does_not_wait_for_itself(on_gpu: Any) -> None:
    on_gpu.driver.order(77, 77)
    assert on_gpu.library.calls == []


def test_waiting_for_a_stream(on_gpu: Any) -> None:
    on_gpu.driver.synchronize(1)
    assert on_gpu.library.calls == [("synchronize", 1)]


@pytest.mark.parametrize("function", ["record", "wait"])
def test_what_fails_is_an_error_and_leaves_nothing_behind(on_gpu: Any, function: str) -> None:
    on_gpu.library.failing = (function, 1)
    with pytest.raises(InferenceError, match=r"CUDA failed in cu.*: invalid argument"):
        on_gpu.driver.order(1, 77)
    assert on_gpu.library.live_events == set()
    assert on_gpu.library.context == 0


def test_an_error_without_a_text(on_gpu: Any) -> None:
    on_gpu.library.failing = ("synchronize", 700)
    with pytest.raises(InferenceError, match="CUDA failed in cuStreamSynchronize: error 700"):
        on_gpu.driver.synchronize(1)


def test_memory_that_is_taken(on_gpu: Any) -> None:
    block = on_gpu.driver.allocate(1000)
    assert on_gpu.driver.memory_taken() == 1000
    del block
    gc.collect()
    assert on_gpu.driver.memory_taken() == 0
    on_gpu.library.failing = ("memory", 1)
    with pytest.raises(InferenceError, match="CUDA failed in cuMemGetInfo_v2: invalid argument"):
        on_gpu.driver.memory_taken()


def test_memory_is_released_with_its_block(on_gpu: Any) -> None:
    block = on_gpu.driver.allocate(10)
    assert list(on_gpu.library.live) == [block.address]
    del block
    gc.collect()
    assert on_gpu.library.live == {}


def test_memory_that_does_not_suffice(on_gpu: Any) -> None:
    on_gpu.library.failing = ("allocate", 2)
    with pytest.raises(InferenceError, match="not enough memory on the GPU for 1,000 more bytes"):
        on_gpu.driver.allocate(1000)
    on_gpu.library.failing = ("allocate", 1)
    with pytest.raises(InferenceError, match="CUDA failed in cuMemAlloc: invalid argument"):
        on_gpu.driver.allocate(1000)


def test_the_gpu_of_an_address(on_gpu: Any) -> None:
    on_gpu.library.arrays[4096] = 1
    assert on_gpu.driver.device_of(4096) == 1
    assert on_gpu.driver.device_of(8192) is None


def test_the_functions_are_the_drivers_own() -> None:
    """Every function that is called is one of cuda.h, as far as cuda-bindings knows it."""
    driver = pytest.importorskip("cuda.bindings.driver", reason="needs cuda-bindings")
    for name in ("cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamSynchronize", "cuEventCreate", "cuEventRecord"):
        assert callable(getattr(driver, name))
    assert int(driver.CU_STREAM_LEGACY) == 1
    assert driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL == 9
    assert driver.CUevent_flags.CU_EVENT_DISABLE_TIMING == 2
    assert driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY == 2
