"""`DeviceMemory`: the little that a TensorRT runner needs of CUDA, so that several Python packages can provide it.

Addresses and stream handles are plain integers, which is what TensorRT takes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from ..errors import MissingDependencyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Event(Protocol):
    """A point in a stream's work."""

    def record(self, stream: Stream) -> None:
        """Place the event behind everything the stream was given so far."""
        ...


class Stream(Protocol):
    """A queue of work on the GPU, done in order."""

    @property
    def handle(self) -> int:
        """CUDA's handle of the stream."""
        ...

    def wait(self, event: Event) -> None:
        """Let what the stream is given from now on wait for an event of another stream."""
        ...

    def synchronize(self) -> None:
        """Wait until the stream has done everything.

        Raises:
            InferenceError: If something in it has failed.
        """
        ...


class DeviceMemory(Protocol):
    """Memory, streams and events of one GPU; `close` releases all that was handed out.

    Every method must be called inside `current`. Failures of CUDA are raised as `InferenceError`.
    """

    def current(self) -> AbstractContextManager[None]:
        """Make the GPU the calling thread's own while the block runs."""
        ...

    def allocate(self, size: int) -> int:
        """Address of new memory on the GPU, `size` bytes."""
        ...

    def allocate_host(self, size: int) -> NDArray[np.uint8]:
        """New page-locked memory of the host, uint8 (size,): the kind that is copied while other work goes on."""
        ...

    def stream(self) -> Stream:
        """A new stream, independent of the default one."""
        ...

    def event(self) -> Event:
        """A new event."""
        ...

    def upload(self, address: int, host: NDArray[np.uint8], stream: Stream) -> None:
        """Copy page-locked memory to the GPU, in the stream's order."""
        ...

    def download(self, host: NDArray[np.uint8], address: int, stream: Stream) -> None:
        """Copy from the GPU into page-locked memory, in the stream's order."""
        ...

    def close(self) -> None:
        """Release everything that was handed out."""
        ...


def open_device_memory(index: int) -> DeviceMemory:
    """Memory of a GPU through PyCUDA if it is installed, else through cuda-bindings.

    Args:
        index: CUDA index of the GPU.

    Raises:
        MissingDependencyError: If neither package is installed.
        DeviceError: If the GPU cannot be used.
    """
    if find_spec("pycuda") is not None:
        from ._pycuda_memory import PycudaMemory

        return PycudaMemory(index)
    if find_spec("cuda") is not None and find_spec("cuda.bindings") is not None:
        from ._cuda_bindings_memory import CudaBindingsMemory

        return CudaBindingsMemory(index)
    raise MissingDependencyError(
        'running a TensorRT engine needs cuda-bindings or pycuda. Run: pip install "fcnrt[tensorrt]" (ready to use) or '
        '"fcnrt[pycuda]" (compiled on installation)'
    )
