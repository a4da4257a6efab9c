"""A segmenter without a backend, whose every call a test can watch; and a GPU whose memory is the host's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.gpu.cuda_driver import CudaDriver
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec, OutputName


class ArgmaxRunner:
    """Gives each pixel the class of its strongest channel, as `tiny_model` does.

    Args:
        spec: What it claims to be.
        on_run: Called with the number of the run (from 0) and the batch before each run.
    """

    backend = "fake"
    device = "cpu"

    def __init__(self, spec: ModelSpec, on_run: Callable[[int, NDArray[np.uint8]], None]) -> None:
        self.spec = spec
        self._on_run = on_run
        self._runs = 0

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        self._on_run(self._runs, frames)
        self._runs += 1
        return {"class_map": frames.argmax(-1).astype(np.uint8)}

    def close(self) -> None:
        pass


MakeSegmenter = Callable[..., Segmenter]


@pytest.fixture
def make_segmenter(tiny_spec: ModelSpec) -> MakeSegmenter:
    """A function that makes a segmenter: `make_segmenter(on_run=...)`."""

    def make(on_run: Callable[[int, NDArray[np.uint8]], None] = lambda number, frames: None) -> Segmenter:
        return Segmenter(ArgmaxRunner(tiny_spec, on_run))

    return make


class FakeCudaLibrary:
    """libcuda as `CudaDriver` calls it: results go to memory of the caller, and 0 means success.

    Attributes:
        calls: What was asked of streams and events.
        arrays: Arrays of the host that stand for memory of a GPU: index of the GPU by address.
        live: Blocks that were allocated and not released.
        failing: Function that fails, and its error.
    """

    DEVICES = 2

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.arrays: dict[int, int] = {}
        self.live: dict[int, Any] = {}
        self.failing: tuple[str, int] = ("", 0)
        self.context = 0
        self.events = 0
        self.live_events: set[int] = set()

    def _answer(self, function: str, *seen: Any) -> int:
        assert self.context == 1, "no context is current, or too many are"
        self.calls.append((function, *seen))
        return self.failing[1] if self.failing[0] == function else 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0 if index < self.DEVICES else 101

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:  # noqa: N802
        context._obj.value = 500 + device.value
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        assert context.value >= 500
        self.context += 1
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.context -= 1
        return 0

    def cuStreamSynchronize(self, stream: Any) -> int:  # noqa: N802
        return self._answer("synchronize", stream.value)

    def cuEventCreate(self, event: Any, flags: int) -> int:  # noqa: N802
        assert flags == 2  # an event that measures time makes streams wait for each other
        self.events += 1
        event._obj.value = 900 + self.events
        self.live_events.add(event._obj.value)
        return 0

    def cuEventRecord(self, event: Any, stream: Any) -> int:  # noqa: N802
        assert event.value in self.live_events
        return self._answer("record", event.value, stream.value)

    def cuStreamWaitEvent(self, stream: Any, event: Any, flags: int) -> int:  # noqa: N802
        assert event.value in self.live_events
        assert flags == 0
        return self._answer("wait", event.value, stream.value)

    def cuEventDestroy_v2(self, event: Any) -> int:  # noqa: N802
        self.live_events.remove(event.value)
        return 0

    def cuPointerGetAttribute(self, data: Any, attribute: int, address: Any) -> int:  # noqa: N802
        assert attribute == 9
        if address.value not in self.arrays:
            return 1
        data._obj.value = self.arrays[address.value]
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:  # noqa: N802
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self.live[address._obj.value] = block
        return self._answer("allocate", size.value)

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        total._obj.value = 1 << 30
        free._obj.value = (1 << 30) - sum(len(block) for block in self.live.values())
        return self._answer("memory")

    def cuMemFree_v2(self, address: Any) -> int:  # noqa: N802
        del self.live[address.value]
        return 0

    def cuGetErrorString(self, error: int, text: Any) -> int:  # noqa: N802
        text._obj.value = b"invalid argument" if error == 1 else None
        return 0


class DlpackOnGpu:
    """An array of the host that says it is on a GPU, as PyTorch's and CuPy's do: through DLPack.

    Args:
        array: The array.
        index: The GPU.
        versioned: Whether it knows `max_version`.
    """

    def __init__(self, array: np.ndarray, index: int = 0, *, versioned: bool = True) -> None:
        self.array, self.index, self.versioned = array, index, versioned
        self.streams: list[int] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.index

    def __dlpack__(self, *, stream: int | None, **options: Any) -> Any:
        if not self.versioned and options:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        assert stream is not None
        self.streams.append(stream)
        return self.array.__dlpack__(**options)


class InterfaceOnGpu:
    """The same, as Numba's and PyCUDA's do: through the CUDA array interface, version 3."""

    def __init__(self, array: np.ndarray, **changes: Any) -> None:
        self.array = array
        host = array.__array_interface__
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": host["data"],
            "shape": host["shape"],
            "typestr": host["typestr"],
            "strides": host["strides"],
            "stream": None,
            **changes,
        }


class OnGpu:
    """Makes arrays that say they are on a GPU.

    Attributes:
        library: The GPU's driver library.
        driver: The driver of its first GPU.
    """

    def __init__(self) -> None:
        self.library = FakeCudaLibrary()
        self.driver = CudaDriver(0, library=self.library)

    def dlpack(self, array: np.ndarray, index: int = 0, *, versioned: bool = True) -> DlpackOnGpu:
        return DlpackOnGpu(array, index, versioned=versioned)

    def interface(self, array: np.ndarray, index: int = 0, **changes: Any) -> InterfaceOnGpu:
        self.library.arrays[array.ctypes.data] = index
        return InterfaceOnGpu(array, **changes)


@pytest.fixture
def on_gpu() -> OnGpu:
    """Arrays that say they are on a GPU, whose memory is the host's."""
    return OnGpu()
