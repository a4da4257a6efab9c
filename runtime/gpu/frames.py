"""From whatever array on a GPU a caller hands over to checked frames; every refusal says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import FrameError, InferenceError
from . import dlpack
from .array import GpuArray
from .cuda_driver import DEFAULT_STREAM, CudaDriver


def is_on_gpu(array: object) -> bool:
    """Whether an array says that it is in the memory of an NVIDIA GPU."""
    if isinstance(array, np.ndarray):
        return False
    if not hasattr(array, "__dlpack_device__"):
        return hasattr(array, "__cuda_array_interface__")
    try:
        return int(array.__dlpack_device__()[0]) == dlpack.CUDA
    except (BufferError, RuntimeError, TypeError, ValueError):  # it says nothing; reading it will say why
        return False


def stream_handle(stream: object) -> int:
    """CUDA's handle of a stream.

    Args:
        stream: The handle, or an object with `__cuda_stream__` (CuPy's, PyTorch's and cuda.core's streams).

    Raises:
        FrameError: If it is neither.
    """
    handle: Any = stream
    if hasattr(stream, "__cuda_stream__"):
        handle = stream.__cuda_stream__()[1]
    if isinstance(handle, bool) or not isinstance(handle, int) or handle < 0:
        raise FrameError(
            f"stream must be a CUDA stream's handle or offer __cuda_stream__, got {stream!r}; of a PyTorch stream pass "
            "stream.cuda_stream, of a CuPy stream stream.ptr"
        )
    return handle or DEFAULT_STREAM  # 0 is how CUDA's own functions write the default stream


def as_gpu_frames(frame: object, cuda: CudaDriver, stream: int) -> GpuArray:
    """The frame or batch of frames as it lies on the GPU, uint8 (H, W, 3) or (N, H, W, 3).

    Args:
        frame: A frame that `is_on_gpu`.
        cuda: The GPU that will compute.
        stream: The stream it will compute in the order of; work on the frame that is still under way comes before it.

    Raises:
        FrameError: If it is on another GPU, or of another dtype, shape or layout.
    """
    array = _checked("frame", frame, cuda, stream)
    if len(array.shape) not in (3, 4) or array.shape[-1] != 3 or array.nbytes == 0:
        raise FrameError(
            "frame must be uint8 (height, width, 3) or (batch, height, width, 3), each at least 1, got uint8 "
            f"{array.shape} on {array.device}"
        )
    return array


def check_gpu_out(out: object, shape: tuple[int, ...], cuda: CudaDriver, stream: int) -> GpuArray:
    """Accept a caller's buffer on the GPU for class maps of the given shape.

    Raises:
        FrameError: If it is not a writable, C-contiguous uint8 array of that shape on that GPU.
    """
    if not is_on_gpu(out):
        raise FrameError(
            f"out must be on cuda:{cuda.index}, where the frame is, got a {type(out).__name__} in CPU memory; make it "
            f"with the library that the frame comes from: uint8 {shape}"
        )
    array = _checked("out", out, cuda, stream)
    if array.shape != shape:
        raise FrameError(f"out must be uint8 {shape}, got uint8 {array.shape}")
    if array.read_only:
        raise FrameError(f"out is read-only; give a writable array, uint8 {shape} on {array.device}")
    return array


def _checked(what: str, array: Any, cuda: CudaDriver, stream: int) -> GpuArray:
    """An array on the GPU, whatever it is for: on the right one, uint8, C-contiguous."""
    try:
        index = _gpu_of(array, cuda)
        # Not asked for its memory if it is on another GPU: the stream is of this one.
        content, owner = (None, None) if index != cuda.index else _read(array, cuda, stream)
    except InferenceError:  # a RuntimeError, but not of the array
        raise
    except (AttributeError, BufferError, KeyError, RuntimeError, TypeError, ValueError) as exc:
        raise FrameError(
            f"{what} must be a uint8 array on cuda:{cuda.index}, got a {type(array).__name__} that cannot be read: "
            f"{exc}"
        ) from exc
    if content is None:
        raise FrameError(
            f"{what} is on cuda:{index} and this segmenter computes on cuda:{cuda.index}; move it there, or open the "
            f'model with device="cuda:{index}"'
        )
    if content.dtype != "uint8":
        raise FrameError(
            f"{what} must be uint8, got {content.dtype} {content.shape} on cuda:{cuda.index}; convert it there"
        )
    if content.strides is not None and not _is_contiguous(content.shape, content.strides):
        raise FrameError(
            f"{what} on the GPU must be C-contiguous, got uint8 {content.shape} with strides {content.strides}; make "
            f"it so with {what}.contiguous() (PyTorch) or cupy.ascontiguousarray({what})"
        )
    return GpuArray(content.address, content.shape, cuda, owner=owner, read_only=content.read_only)


def _gpu_of(array: Any, cuda: CudaDriver) -> int:
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[1])
    index = cuda.device_of(array.__cuda_array_interface__["data"][0])
    if index is None:
        raise BufferError("CUDA does not know its memory; was it released?")
    return index


def _read(array: Any, cuda: CudaDriver, stream: int) -> tuple[dlpack.CapsuleContent, object]:
    """What an array says about itself, and what keeps its memory. Work on it under way comes before the stream's."""
    if hasattr(array, "__dlpack_device__"):
        try:
            capsule = array.__dlpack__(stream=stream, max_version=(1, 0))
        except TypeError:  # before the array API standard of 2023
            capsule = array.__dlpack__(stream=stream)
        return dlpack.read_capsule(capsule), (array, capsule)
    interface = array.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise BufferError("it is masked")
    address, read_only = interface["data"]
    dtype, strides = np.dtype(interface["typestr"]), interface.get("strides")
    producer = interface.get("stream")
    if producer is not None:
        cuda.order(producer, stream)
    content = dlpack.CapsuleContent(
        address=address,
        device=(dlpack.CUDA, cuda.index),
        dtype=str(dtype),
        shape=tuple(interface["shape"]),
        strides=None if strides is None else tuple(step // dtype.itemsize for step in strides),
        read_only=bool(read_only),
    )
    return content, array


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    if 0 in shape:
        return True
    expected = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != expected:  # the stride of a single element means nothing
            return False
        expected *= length
    return True
