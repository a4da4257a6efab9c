"""`Runner`: the one seam between what users hold and what computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..gpu.array import GpuArray
    from ..gpu.cuda_driver import CudaDriver
    from ..spec import ModelSpec, OutputName


class Runner(Protocol):
    """A loaded network that can be run on frames; safe to use from several threads at once.

    A runner trusts its caller: `Segmenter` has checked the frames before they arrive here.

    Attributes:
        spec: What the model file says about the network.
        backend: Name of the library that computes, for example ``onnxruntime``.
        device: Where it computes, ``cpu`` or ``cuda:N``.
    """

    @property
    def spec(self) -> ModelSpec: ...  # noqa: D102

    @property
    def backend(self) -> str: ...  # noqa: D102

    @property
    def device(self) -> str: ...  # noqa: D102

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        """The network's outputs for a batch of frames, in arrays that belong to the caller.

        Args:
            frames: uint8 (N, H, W, 3), C-contiguous, each dimension at least 1.
            outputs: Which of `spec.outputs` to return.
            class_map: Where to write the class map, uint8 (N, H, W), C-contiguous; a new array if not given.

        Returns:
            An array for each of `outputs`, as `output_layouts` says.

        Raises:
            InferenceError: If the backend fails, or the runner was closed.
            FrameError: If the model file is an engine that was built for other sizes.
        """
        ...

    def close(self) -> None:
        """Release the network and its memory; a second call does nothing."""
        ...


@runtime_checkable
class GpuRunner(Protocol):
    """What a `Runner` on a GPU offers besides, for frames that are there already."""

    def cuda_driver(self) -> CudaDriver:
        """The driver of the GPU it computes on."""
        ...

    def run_on_gpu(self, frames: GpuArray, class_map: GpuArray, *, stream: int) -> None:
        """Write the class map of a batch of frames, without a copy to or from the CPU.

        Args:
            frames: uint8 (N, H, W, 3) on this GPU, each dimension at least 1.
            class_map: Where to write, uint8 (N, H, W) on this GPU.
            stream: The stream in whose order it happens: behind all it was given so far, before what comes next. The
                call may return before it is done.

        Raises:
            InferenceError: If the backend fails, or the runner was closed.
            FrameError: If the model file is an engine that was built for other sizes.
        """
        ...
