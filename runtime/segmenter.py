"""`Segmenter`: the object users hold. Frames in, class maps out."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from typing_extensions import Self

from .errors import FrameError, InferenceError
from .frame_check import FrameLike, as_frames, check_out
from .gpu.array import GpuArray, empty_on_gpu
from .gpu.cuda_driver import DEFAULT_STREAM
from .gpu.frames import as_gpu_frames, check_gpu_out, is_on_gpu, stream_handle
from .runners import Backend, Provider, Runner, open_runner
from .runners.runner import GpuRunner
from .spec import ModelSpec, OutputName

if TYPE_CHECKING:
    from numpy.typing import NDArray

Out = TypeVar("Out")


@dataclass(frozen=True, eq=False)
class Prediction:
    """Everything a network says about a frame (H, W, 3), or about a batch (then with N in front).

    Attributes:
        class_map: uint8 (H, W), the index of each pixel's class in `ModelSpec.class_names`.
        confidence: uint8 (H, W), 0..255 for 0..1; None if the model was exported without it.
        logits: float32 (`ModelSpec.logit_channels`, H, W); None if the model was exported without them.
        overlay: uint8 (H, W, 3), the frame with the class colours over it, in the frame's order of channels; None if
            the model was exported without it.
    """

    class_map: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None = None
    logits: NDArray[np.float32] | None = None
    overlay: NDArray[np.uint8] | None = None


class Segmenter:
    """A loaded network that turns frames into class maps; safe to call from several threads at once.

    A context manager: leaving the block releases the network's memory.

    Attributes:
        spec: What the model file says about the network: class names, palette, channel order and more.
        backend: Name of the library that computes, for example ``onnxruntime``.
        device: Where it computes, ``cpu`` or ``cuda:N``; says what ``device="auto"`` chose.

    Example:
        >>> with Segmenter.open("fcn8s.onnx") as segmenter:
        ...     class_map = segmenter(frame)  # uint8 (H, W, 3) -> uint8 (H, W)
        ...     name = segmenter.spec.class_names[class_map[240, 320]]
    """

    def __init__(self, runner: Runner) -> None:
        """Wrap a runner, which the segmenter closes in the end; `Segmenter.open` is the usual way."""
        self.spec: ModelSpec = runner.spec
        self.backend: str = runner.backend
        self.device: str = runner.device
        self._runner: Runner | None = runner

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: Backend | Literal["auto"] = "auto",
        device: str = "auto",
        threads: int | None = None,
        provider: Provider = "auto",
        trust: bool = False,
    ) -> Self:
        """Load a model file.

        Of a file of 64 MiB and more that runs on the CPU, the graph with its weights as ONNX Runtime rearranges them
        for the processor is kept in the user's cache (``FCNRT_CACHE_DIR``), another file of the same size: from the
        second time on it opens at once, and its weights are shared with other processes.

        Args:
            path: An ``.onnx`` file that `fcnrt export` wrote, or an ``.engine`` file that `fcnrt build` wrote.
            backend: Library that computes; ``auto`` chooses by the kind of file. With ``tensorrt``, an ``.onnx`` file
                stands for the engine that was built from it into the user's cache; none is built here.
            device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if one can be used, else the CPU. A
                device that was asked for by name is had or refused, never replaced.
            threads: CPU threads for one frame, 1 to 1024; by default one for each physical core this process may
                use. TensorRT uses none.
            provider: What ONNX Runtime computes with: ``auto`` is CUDA or the CPU, as the device says; with
                ``tensorrt`` it builds an engine of its own on first use, for frames up to full HD, and keeps it in the
                user's cache.
            trust: Whether an engine without a manifest is taken for the ONNX file beside it, ``NAME.onnx``, and gets
                one; engines hold programs, so only if it is known where it comes from. Otherwise it is refused.

        Raises:
            ModelFileError: If the file is missing, damaged or not written by fcnrt, or is an engine that was built
                for another machine (`EngineMismatchError`), or there is no engine for it.
            DeviceError: If the device does not exist or cannot be used.
            MissingDependencyError: If the backend is not installed.
            InferenceError: If TensorRT cannot load the engine.
            OutputError: If an engine cannot be kept in the user's cache.
            ValueError: If `backend`, `threads` or `provider` has a value that is not allowed.
        """
        return cls(open_runner(path, backend=backend, device=device, threads=threads, provider=provider, trust=trust))

    @overload
    def __call__(self, frame: NDArray[Any], *, out: None = None) -> NDArray[np.uint8]: ...

    @overload
    def __call__(self, frame: FrameLike, *, out: None = None, stream: object = None) -> Any: ...

    @overload
    def __call__(self, frame: FrameLike, *, out: Out, stream: object = None) -> Out: ...

    def __call__(self, frame: FrameLike, *, out: Any = None, stream: object = None) -> Any:
        """The class of every pixel: uint8 (H, W) for a frame, (N, H, W) for a batch.

        Frames that are on the GPU which computes stay there: nothing is copied to the CPU or back.

        Args:
            frame: uint8 (H, W, 3) or a batch (N, H, W, 3) of any size from 1x1, with channels in the order
                `spec.channel_order`. A numpy array, or anything that offers numpy's array protocol, DLPack or
                ``__cuda_array_interface__`` (PyTorch, CuPy and other tensors). In CPU memory, what is not contiguous
                (slices, ``frame[..., ::-1]``) is copied first.
            out: Where to write the class map, so that a loop needs no new memory: uint8, of the result's shape,
                C-contiguous, writable; a numpy array, or where the frame is on the GPU an array there.
            stream: For frames on the GPU: the CUDA stream in whose order it happens, as CUDA's handle or as an object
                with ``__cuda_stream__``. The call may return before the class map is there; frame and `out` must stay
                until the stream has come past it. By default the call returns when the class map is there.

        Returns:
            `out` if given, otherwise memory that belongs to the caller: a numpy array, or for frames on the GPU a
            `GpuArray`, which ``torch.from_dlpack`` and ``cupy.asarray`` take as it is.

        Raises:
            FrameError: If the frame or `out` has the wrong type, dtype, shape, layout or device, or a size that the
                engine was not built for.
            InferenceError: If the backend fails, or the segmenter was closed.
        """
        if is_on_gpu(frame):
            on_gpu = self._run_on_gpu(frame, out, stream)
            return on_gpu if out is None else out
        if stream is not None:
            raise FrameError("stream is for frames on a GPU; this frame is in CPU memory: leave stream out")
        frames = as_frames(frame, self.spec.channel_order)
        if out is not None:
            check_out(out, frames.shape[:-1])
        class_map = self._run(frames, ("class_map",), out)["class_map"]
        return class_map if out is None else out

    def predict(self, frame: FrameLike) -> Prediction:
        """The class map of a frame or batch, with confidences, logits and overlay if the model was exported with them.

        Args:
            frame: As for calling the segmenter, in CPU memory.

        Raises:
            FrameError: If the frame has the wrong type, dtype, shape or layout, or a size that the engine was not
                built for.
            InferenceError: If the backend fails, or the segmenter was closed.
        """
        return Prediction(**self._run(as_frames(frame, self.spec.channel_order), self.spec.outputs, None))

    def close(self) -> None:
        """Release the network and its memory; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self, frames: NDArray[np.uint8], outputs: tuple[OutputName, ...], out: NDArray[np.uint8] | None
    ) -> dict[OutputName, NDArray[Any]]:
        """Run a frame (H, W, 3) as a batch of one, or a batch (N, H, W, 3) as it is."""
        runner = self._open_runner()
        if frames.ndim == 4:
            return runner.run(frames, outputs, class_map=out)
        results = runner.run(frames[np.newaxis], outputs, class_map=None if out is None else out[np.newaxis])
        return {name: array[0] for name, array in results.items()}

    def _run_on_gpu(self, frame: object, out: object, stream: object) -> GpuArray:
        """Run a frame or batch that is on a GPU; wait for the result unless the caller named a stream."""
        runner = self._open_runner()
        if self.device == "cpu" or not isinstance(runner, GpuRunner):
            raise FrameError(
                f"frame is on a GPU and this segmenter takes frames in CPU memory ({self.backend} on {self.device}); "
                "copy it first, for example with frame.cpu() (PyTorch) or frame.get() (CuPy), or open the model with "
                'device="cuda"'
            )
        cuda = runner.cuda_driver()
        handle = DEFAULT_STREAM if stream is None else stream_handle(stream)
        frames = as_gpu_frames(frame, cuda, handle)
        shape = frames.shape[:-1]
        class_map = empty_on_gpu(cuda, shape) if out is None else check_gpu_out(out, shape, cuda, handle)
        if len(shape) == 3:
            runner.run_on_gpu(frames, class_map, stream=handle)
        else:
            runner.run_on_gpu(frames.reshape((1, *frames.shape)), class_map.reshape((1, *shape)), stream=handle)
        if stream is None:
            cuda.synchronize(handle)
            return class_map
        return dataclasses.replace(class_map, stream=handle)

    def _open_runner(self) -> Runner:
        runner = self._runner
        if runner is None:
            raise InferenceError("the segmenter is closed; open it again with Segmenter.open")
        return runner


def open_the_file_itself(path: Path, *, device: str = "cpu") -> Segmenter:
    """A segmenter of what is in a file, whatever the user's cache holds of it; nothing is kept there either.

    For tests of the file, and for drafts. Arguments and errors are those of `Segmenter.open`.
    """
    return Segmenter(open_runner(path, device=device, cached=False))
