"""`DeviceMemory` through NVIDIA's cuda-bindings, whose wheels need no compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, InferenceError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CudaBindingsMemory:
    """See `DeviceMemory`."""

    def __init__(self, index: int, *, cudart: Any = None) -> None:
        """Take a GPU by its CUDA index.

        Args:
            index: The index.
            cudart: The module to use; `cuda.bindings.runtime` if not given.

        Raises:
            MissingDependencyError: If cuda-bindings cannot be imported.
            DeviceError: If the GPU cannot be used.
        """
        if cudart is None:
            try:
                from cuda.bindings import runtime

                cudart = runtime
            except ImportError as exc:
                raise MissingDependencyError(
                    f"cuda-bindings is installed but cannot be imported ({exc}); run: pip install -U cuda-bindings"
                ) from exc
        self._cudart = cudart
        self._index = index
        self._release: list[Callable[[], object]] = []
        try:
            with self.current():
                pass
        except InferenceError as exc:
            raise DeviceError(f"cuda:{index} cannot be used: {exc}") from exc

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `DeviceMemory.current`."""
        before = self._call("cudaGetDevice")
        self._call("cudaSetDevice", self._index)
        try:
            yield
        finally:
            # Not checked: it must not hide the error that ended the block.
            self._cudart.cudaSetDevice(before)

    def allocate(self, size: int) -> int:
        """See `DeviceMemory.allocate`."""
        address = int(self._call("cudaMalloc", size))
        self._release.append(lambda: self._call("cudaFree", address))
        return address

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """See `DeviceMemory.allocate_host`."""
        address = int(self._call("cudaHostAlloc", size, self._cudart.cudaHostAllocDefault))
        self._release.append(lambda: self._call("cudaFreeHost", address))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def stream(self) -> CudaBindingsStream:
        """See `DeviceMemory.stream`."""
        stream = self._call("cudaStreamCreateWithFlags", self._cudart.cudaStreamNonBlocking)
        self._release.append(lambda: self._call("cudaStreamDestroy", stream))
        return CudaBindingsStream(self._call, stream)

    def event(self) -> CudaBindingsEvent:
        """See `DeviceMemory.event`."""
        event = self._call("cudaEventCreateWithFlags", self._cudart.cudaEventDisableTiming)
        self._release.append(lambda: self._call("cudaEventDestroy", event))
        return CudaBindingsEvent(self._call, event)

    def upload(self, address: int, host: NDArray[np.uint8], stream: Any) -> None:
        """See `DeviceMemory.upload`."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, host.ctypes.data, host.nbytes, kind, stream.handle)

    def download(self, host: NDArray[np.uint8], address: int, stream: Any) -> None:
        """See `DeviceMemory.download`."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host.ctypes.data, address, host.nbytes, kind, stream.handle)

    def close(self) -> None:
        """See `DeviceMemory.close`."""
        while self._release:
            self._release.pop()()

    def _call(self, function: str, *arguments: Any) -> Any:
        """The result of a function of the CUDA runtime, all of which return an error code first."""
        error, *results = getattr(self._cudart, function)(*arguments)
        if error != self._cudart.cudaError_t.cudaSuccess:
            if error == self._cudart.cudaError_t.cudaErrorMemoryAllocation:
                raise InferenceError(f"not enough memory on the GPU for {arguments[0]:,} more bytes")
            _, text = self._cudart.cudaGetErrorString(error)
            raise InferenceError(f"CUDA failed in {function}: {text.decode() if isinstance(text, bytes) else text}")
        return results[0] if results else None


class CudaBindingsStream:
    """See `Stream`."""

    def __init__(self, call: Callable[..., Any], stream: Any) -> None:
        self._call = call
        self.handle = int(stream)

    def wait(self, event: Any) -> None:
        """See `Stream.wait`."""
        self._call("cudaStreamWaitEvent", self.handle, event.cuda_event, 0)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        self._call("cudaStreamSynchronize", self.handle)


class CudaBindingsEvent:
    """See `Event`."""

    def __init__(self, call: Callable[..., Any], event: Any) -> None:
        self._call = call
        self.cuda_event = event

    def record(self, stream: Any) -> None:
        """See `Event.record`."""
        self._call("cudaEventRecord", self.cuda_event, stream.handle)
