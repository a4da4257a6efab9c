"""`CudaDriver`: the little that arrays on a GPU take, straight from NVIDIA's driver: no package, no CUDA toolkit.

Streams are CUDA's handles as plain integers, which the driver, the CUDA runtime, DLPack and `__cuda_array_interface__`
share; 1 is the default stream and 2 the thread's own default stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import DeviceError, InferenceError
from .gpu import load_driver

DEFAULT_STREAM = 1
"""The stream of work that names none: CU_STREAM_LEGACY of cuda.h."""

_SUCCESS = 0
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY of cuda.h
_EVENT_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING
_ATTRIBUTE_DEVICE_ORDINAL = 9  # of CUpointer_attribute


class CudaDriver:
    """Streams and memory of one GPU, in the context that PyTorch, CuPy, ONNX Runtime and TensorRT use as well.

    Safe to use from several threads at once.

    Attributes:
        index: CUDA index of the GPU.
    """

    def __init__(self, index: int, *, library: Any | None = None) -> None:
        """Take a GPU by its CUDA index.

        Args:
            index: The index.
            library: The driver's library; found if not given.

        Raises:
            DeviceError: If there is no driver or no such GPU.
        """
        self.index = index
        self._library: Any = load_driver() if library is None else library
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        if (
            self._library is None
            or self._library.cuDeviceGet(ctypes.byref(device), index) != _SUCCESS
            or self._library.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), device) != _SUCCESS
        ):
            raise DeviceError(f"cuda:{index} cannot be used: the NVIDIA driver does not offer it (see nvidia-smi)")

    def synchronize(self, stream: int) -> None:
        """Wait until a stream has done everything it was given.

        Raises:
            InferenceError: If something in it has failed.
        """
        with self._current():
            self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def order(self, first: int, then: int) -> None:
        """Let what one stream is given from now on wait for everything that another was given so far.

        Args:
            first: The stream that is waited for.
            then: The stream that waits; the caller does not.
        """
        if first == then:
            return
        event = ctypes.c_void_p()
        with self._current():
            self._call("cuEventCreate", ctypes.byref(event), _EVENT_DISABLE_TIMING)
            try:
                self._call("cuEventRecord", event, ctypes.c_void_p(first))
                self._call("cuStreamWaitEvent", ctypes.c_void_p(then), event, 0)
            finally:
                self._library.cuEventDestroy_v2(event)  # the driver keeps it for as long as a stream waits for it

    def device_of(self, address: int) -> int | None:
        """CUDA index of the GPU that an address belongs to; None if CUDA does not know the address."""
        ordinal = ctypes.c_int()
        with self._current():
            answer = self._library.cuPointerGetAttribute(
                ctypes.byref(ordinal), _ATTRIBUTE_DEVICE_ORDINAL, ctypes.c_uint64(address)
            )
        return ordinal.value if answer == _SUCCESS else None

    def allocate(self, size: int) -> DeviceBlock:
        """New memory on the GPU, `size` bytes.

        Raises:
            InferenceError: If there is not enough.
        """
        address = ctypes.c_uint64()
        with self._current():
            answer = self._library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size))
            if answer == _OUT_OF_MEMORY:
                raise InferenceError(f"not enough memory on the GPU for {size:,} more bytes")
            self._check("cuMemAlloc", answer)
        return DeviceBlock(self, address.value)

    def memory_taken(self) -> int:
        """Bytes of the GPU's memory that are taken, by whomever.

        Raises:
            InferenceError: If CUDA does not say.
        """
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self._current():
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return total.value - free.value

    def free(self, address: int) -> None:
        """Release memory; CUDA waits for the work that uses it.

        Never raises: at the end of a program CUDA may be gone already.
        """
        if self._library.cuCtxPushCurrent_v2(self._context) == _SUCCESS:
            self._library.cuMemFree_v2(ctypes.c_uint64(address))
            self._library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    @contextmanager
    def _current(self) -> Iterator[None]:
        self._check("cuCtxPushCurrent", self._library.cuCtxPushCurrent_v2(self._context))
        try:
            yield
        finally:
            self._library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def _call(self, function: str, *arguments: Any) -> None:
        self._check(function, getattr(self._library, function)(*arguments))

    def _check(self, function: str, answer: int) -> None:
        if answer != _SUCCESS:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(answer, ctypes.byref(text))
            reason = text.value.decode(errors="replace") if text.value else f"error {answer}"
            raise InferenceError(f"CUDA failed in {function}: {reason}")


class DeviceBlock:
    """Memory on a GPU that is released together with this object.

    Attributes:
        address: Where it begins.
    """

    def __init__(self, driver: CudaDriver, address: int) -> None:
        self.address = address
        self._driver = driver

    def __del__(self) -> None:
        self._driver.free(self.address)
