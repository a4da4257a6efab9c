"""One frame's way through the GPU: up, through the network, down; each on its stream, tied together by events."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.optimization_profile import OptimizationProfile
from ..errors import InferenceError
from ..gpu.device_memory import DeviceMemory, Stream
from ..output_layout import OutputLayout
from ..spec import OutputName
from .tensorrt_messages import MessageLog

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ProfileContext:
    """What all lanes of a profile share: TensorRT's execution context, the stream it computes on, and the turn.

    A context may be given one piece of work at a time, and always on the same stream.

    Attributes:
        profile: Sizes it takes.
        stream: The stream it computes on.
    """

    def __init__(self, context: Any, profile: OptimizationProfile, stream: Stream, log: MessageLog) -> None:
        self.profile = profile
        self.stream = stream
        self._execution = context
        self._log = log
        self._turn = threading.Lock()

    def enqueue(self, lane: Lane, shape: tuple[int, ...], addresses: Mapping[str, int]) -> None:
        """Queue the network on a lane's frames: after they are up, and before `lane.computed`.

        Raises:
            InferenceError: If TensorRT refuses.
        """
        with self._turn:
            self.stream.wait(lane.uploaded)
            self._execute(shape, addresses)
            lane.computed.record(self.stream)

    def enqueue_within(
        self, outer: int, order: Callable[[int, int], None], shape: tuple[int, ...], addresses: Mapping[str, int]
    ) -> None:
        """Queue the network on memory of the caller's as if on a stream of his.

        Args:
            outer: Handle of that stream; the network comes behind all it was given, and before what it will be given.
            order: `CudaDriver.order`.
            shape: Shape of the frames.
            addresses: Where each tensor lies.

        Raises:
            InferenceError: If CUDA or TensorRT refuses.
        """
        with self._turn:
            order(outer, self.stream.handle)
            self._execute(shape, addresses)
            order(self.stream.handle, outer)

    def _execute(self, shape: tuple[int, ...], addresses: Mapping[str, int]) -> None:
        if not self._execution.set_input_shape("image", shape):
            raise self._refused(f"frames of shape {shape}")
        for name, address in addresses.items():
            if not self._execution.set_tensor_address(name, address):
                raise self._refused(f"the address of {name}")
        if not self._execution.execute_async_v3(self.stream.handle):
            raise self._refused(f"to run frames of shape {shape}")

    def _refused(self, what: str) -> InferenceError:
        return InferenceError(f"TensorRT refused {what}: {self._log.take_errors() or 'it gave no reason'}")


class Lane:
    """Buffers for one batch on its way, as large as its profile allows, and used again for every batch.

    With two lanes the copies of one batch run while the network works on the other.
    """

    def __init__(
        self, context: ProfileContext, memory: DeviceMemory, outputs: Mapping[OutputName, OutputLayout]
    ) -> None:
        self._context = context
        self._memory = memory
        self._outputs = outputs
        largest, batch = context.profile.max, context.profile.max_batch
        self._largest = (batch, largest.height, largest.width)
        frame_bytes = batch * largest.height * largest.width * 3
        self._addresses: dict[str, int] = {"image": memory.allocate(frame_bytes)}
        for name, layout in outputs.items():
            self._addresses[name] = memory.allocate(_size(layout, *self._largest))
        self._host_frames = memory.allocate_host(frame_bytes)
        self._host_outputs: dict[OutputName, NDArray[np.uint8]] = {}
        self._stream = memory.stream()
        self.uploaded = memory.event()
        self.computed = memory.event()
        self._wanted: dict[OutputName, NDArray[Any]] = {}

    def submit(self, frames: NDArray[np.uint8], results: Mapping[OutputName, NDArray[Any]]) -> None:
        """Queue everything for a batch; `collect` waits for it.

        Args:
            frames: uint8 (N, H, W, 3), within the profile. Free to change when this returns.
            results: Where `collect` will write the outputs that are wanted.

        Raises:
            InferenceError: If CUDA or TensorRT refuses; the lane can be used again.
        """
        memory, stream = self._memory, self._stream
        staged = self._host_frames[: frames.size]
        np.copyto(staged, frames.reshape(-1))
        try:
            memory.upload(self._addresses["image"], staged, stream)
            self.uploaded.record(stream)
            self._context.enqueue(self, frames.shape, self._addresses)
            stream.wait(self.computed)
            for name, result in results.items():
                memory.download(self._staging(name)[: result.nbytes], self._addresses[name], stream)
        except BaseException:
            with suppress(Exception):  # the first failure is the one to report
                stream.synchronize()  # what was queued still uses the buffers
            raise
        self._wanted = dict(results)

    def submit_on_gpu(
        self,
        shape: tuple[int, ...],
        addresses: Mapping[str, int],
        stream: int,
        order: Callable[[int, int], None],
    ) -> None:
        """Queue the network on memory of the caller's; there is nothing to collect.

        The lane can be used again at once: it lends its buffers to the outputs that are not wanted, and whoever reads
        them next computes them first, on the same stream.

        Args:
            shape: Shape of the frames, within the profile.
            addresses: Where ``image`` lies, and where outputs are wanted.
            stream: Handle of the stream in whose order it happens.
            order: `CudaDriver.order`.

        Raises:
            InferenceError: If CUDA or TensorRT refuses.
        """
        self._context.enqueue_within(stream, order, shape, {**self._addresses, **addresses})

    def collect(self) -> None:
        """Wait for the batch and write its outputs to where they were wanted.

        Raises:
            InferenceError: If something failed on the GPU.
        """
        wanted, self._wanted = self._wanted, {}
        self._stream.synchronize()
        for name, result in wanted.items():
            staged = self._host_outputs[name][: result.nbytes]
            np.copyto(result, staged.view(result.dtype).reshape(result.shape))

    def _staging(self, name: OutputName) -> NDArray[np.uint8]:
        """Page-locked memory for an output; made when it is first wanted, for logits take 84 times a class map's."""
        if name not in self._host_outputs:
            self._host_outputs[name] = self._memory.allocate_host(_size(self._outputs[name], *self._largest))
        return self._host_outputs[name]


def _size(layout: OutputLayout, batch: int, height: int, width: int) -> int:
    """Number of bytes of an output for frames of a size."""
    return math.prod(layout.dims(batch, height, width)) * np.dtype(layout.dtype).itemsize
