"""`DeviceMemory` through PyCUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, InferenceError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: does not wait for the default stream


class PycudaMemory:
    """See `DeviceMemory`."""

    def __init__(self, index: int, *, cuda: Any = None) -> None:
        """Take a GPU by its CUDA index.

        Args:
            index: The index.
            cuda: The module to use; `pycuda.driver` if not given.

        Raises:
            MissingDependencyError: If PyCUDA cannot be imported.
            DeviceError: If the GPU cannot be used.
        """
        if cuda is None:
            try:
                from pycuda import driver

                cuda = driver
            except ImportError as exc:
                raise MissingDependencyError(
                    f"PyCUDA is installed but cannot be imported ({exc}); install it again: "
                    "pip install --force-reinstall --no-binary pycuda pycuda"
                ) from exc
        self._cuda = cuda
        try:
            cuda.init()
            # The primary context is the one that TensorRT, PyTorch and ONNX Runtime use as well.
            self._context: Any = cuda.Device(index).retain_primary_context()
        except cuda.Error as exc:
            raise DeviceError(f"cuda:{index} cannot be used: {exc}") from exc
        self._device_buffers: list[Any] = []
        self._host_buffers: list[Any] = []
        self._closed = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `DeviceMemory.current`."""
        self._context.push()
        try:
            yield
        except self._cuda.Error as exc:
            raise InferenceError(f"CUDA failed: {exc}") from exc
        finally:
            if not self._closed:
                self._cuda.Context.pop()

    def allocate(self, size: int) -> int:
        """See `DeviceMemory.allocate`."""
        try:
            buffer = self._cuda.mem_alloc(size)
        except self._cuda.MemoryError as exc:
            raise InferenceError(f"not enough memory on the GPU for {size:,} more bytes") from exc
        self._device_buffers.append(buffer)
        return int(buffer)

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """See `DeviceMemory.allocate_host`."""
        array: NDArray[np.uint8] = self._cuda.pagelocked_empty(size, np.uint8)
        self._host_buffers.append(array)
        return array

    def stream(self) -> PycudaStream:
        """See `DeviceMemory.stream`."""
        return PycudaStream(self._cuda.Stream(_NON_BLOCKING))

    def event(self) -> PycudaEvent:
        """See `DeviceMemory.event`."""
        return PycudaEvent(self._cuda.Event(self._cuda.event_flags.DISABLE_TIMING))

    def upload(self, address: int, host: NDArray[np.uint8], stream: Any) -> None:
        """See `DeviceMemory.upload`."""
        self._cuda.memcpy_htod_async(address, host, stream.pycuda_stream)

    def download(self, host: NDArray[np.uint8], address: int, stream: Any) -> None:
        """See `DeviceMemory.download`."""
        self._cuda.memcpy_dtoh_async(host, address, stream.pycuda_stream)

    def close(self) -> None:
        """See `DeviceMemory.close`."""
        for buffer in self._device_buffers:
            buffer.free()
        for array in self._host_buffers:
            array.base.free()
        self._device_buffers.clear()
        self._host_buffers.clear()
        # Left to PyCUDA's destructor, it would be ended as a context of its own and not as the shared one that it is
        # (~context and primary_context in https://github.com/inducer/pycuda, src/cpp/cuda.hpp).
        self._context.detach()
        self._closed = True


class PycudaStream:
    """See `Stream`."""

    def __init__(self, stream: Any) -> None:
        self.pycuda_stream = stream
        self.handle = int(stream.handle)

    def wait(self, event: Any) -> None:
        """See `Stream.wait`."""
        self.pycuda_stream.wait_for_event(event.pycuda_event)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        self.pycuda_stream.synchronize()


class PycudaEvent:
    """See `Event`."""

    def __init__(self, event: Any) -> None:
        self.pycuda_event = event

    def record(self, stream: Any) -> None:
        """See `Event.record`."""
        self.pycuda_event.record(stream.pycuda_stream)
