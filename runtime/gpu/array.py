"""`GpuArray`: an array in the memory of an NVIDIA GPU, as other libraries take and give it without a copy."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import dlpack
from .cuda_driver import DEFAULT_STREAM

if TYPE_CHECKING:
    from .cuda_driver import CudaDriver


@dataclass(frozen=True, eq=False)
class GpuArray:
    """A C-contiguous array of uint8 on a GPU: what a segmenter returns for frames that are there already.

    It holds no more than where the values are. Other libraries take it without a copy: ``torch.from_dlpack(array)``,
    ``cupy.asarray(array)``, and whatever else knows DLPack or ``__cuda_array_interface__``.

    Attributes:
        address: Where it begins.
        shape: Its shape.
        cuda: The driver of its GPU.
        owner: Keeps the memory for as long as this object lives.
        stream: The stream in whose order the values come; None if they are there.
        read_only: Whether it must not be written.
    """

    address: int
    shape: tuple[int, ...]
    cuda: CudaDriver
    owner: object
    stream: int | None = None
    read_only: bool = False

    @property
    def device(self) -> str:
        """Where it is, ``cuda:N``."""
        return f"cuda:{self.cuda.index}"

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The array as version 3 of the CUDA array interface."""
        return {
            "version": 3,
            "data": (self.address, self.read_only),
            "shape": self.shape,
            "typestr": "|u1",
            "strides": None,
            "stream": self.stream,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """The array's device in DLPack's terms."""
        return dlpack.CUDA, self.cuda.index

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """The array as a DLPack capsule; see the Python array API standard.

        Raises:
            BufferError: If a copy or another device is asked for.
        """
        if copy:
            raise BufferError("a GpuArray is handed over as it is; copy it with the library that takes it")
        if dl_device is not None and tuple(map(int, dl_device)) != self.__dlpack_device__():
            raise BufferError(f"the array is on {self.device} and is not copied to another device")
        if self.stream is not None and stream != -1:  # -1: whoever asks sees to the order himself
            self.cuda.order(self.stream, DEFAULT_STREAM if stream is None else stream)
        versioned = max_version is not None and max_version[0] >= 1
        return dlpack.make_capsule(self, self.address, self.shape, self.__dlpack_device__(), versioned=versioned)

    def part(self, start: int, stop: int) -> GpuArray:
        """Elements `start` to `stop` of the first dimension, in the same memory."""
        size = self.nbytes // self.shape[0]
        length = len(range(*slice(start, stop).indices(self.shape[0])))
        return dataclasses.replace(self, address=self.address + start * size, shape=(length, *self.shape[1:]))

    def reshape(self, shape: tuple[int, ...]) -> GpuArray:
        """The same values in another shape of as many elements."""
        return dataclasses.replace(self, shape=shape)


def empty_on_gpu(cuda: CudaDriver, shape: tuple[int, ...]) -> GpuArray:
    """New memory for an array, uint8.

    It comes from the driver and goes back to it: no work that still uses it can find it in other hands.

    Args:
        cuda: The driver of the GPU.
        shape: Shape of the array.

    Raises:
        InferenceError: If there is not enough.
    """
    block = cuda.allocate(math.prod(shape))
    return GpuArray(block.address, shape, cuda, owner=block)
