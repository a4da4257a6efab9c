from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fcnrt.runtime.errors import FrameError, InferenceError
from fcnrt.runtime.gpu.frames import as_gpu_frames, check_gpu_out, is_on_gpu, stream_handle

FRAME = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
READ_ONLY = np.zeros((4, 5), np.uint8)
READ_ONLY.setflags(write=False)


def test_tells_arrays_on_a_gpu_from_others(on_gpu: Any) -> None:
    assert is_on_gpu(on_gpu.dlpack(FRAME))
    assert is_on_gpu(on_gpu.interface(FRAME))
    for array in (FRAME, torch.from_numpy(FRAME), torch.empty(4, 5, 3, device="meta"), None, "frame.png"):
        assert not is_on_gpu(array)


@pytest.mark.parametrize("frame", [FRAME, FRAME[None]], ids=["frame", "batch"])
@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack_is_taken_where_it_lies(on_gpu: Any, frame: np.ndarray, versioned: bool) -> None:
    given = on_gpu.dlpack(frame, versioned=versioned)
    frames = as_gpu_frames(given, on_gpu.driver, 77)
    assert (frames.address, frames.shape, frames.device) == (frame.ctypes.data, frame.shape, "cuda:0")
    assert given.streams == [77]  # the producer lets this stream wait for its own


@pytest.mark.parametrize("frame", [FRAME, FRAME[None]], ids=["frame", "batch"])
def test_the_cuda_array_interface_is_taken_where_it_lies(on_gpu: Any, frame: np.ndarray) -> None:
    frames = as_gpu_frames(on_gpu.interface(frame), on_gpu.driver, 77)
    assert (frames.address, frames.shape) == (frame.ctypes.data, frame.shape)
    assert on_gpu.library.calls == []


def test_work_on_the_frame_comes_first(on_gpu: Any) -> None:
    as_gpu_frames(on_gpu.interface(FRAME, stream=2), on_gpu.driver, 77)
    assert [(name, stream) for name, _, stream in on_gpu.library.calls] == [("record", 2), ("wait", 77)]


def test_versions_before_3_have_neither_stream_nor_strides(on_gpu: Any) -> None:
    given = on_gpu.interface(FRAME, version=2)
    del given.__cuda_array_interface__["stream"], given.__cuda_array_interface__["strides"]
    assert as_gpu_frames(given, on_gpu.driver, 77).shape == (4, 5, 3)


def test_the_stride_of_a_single_element_means_nothing(on_gpu: Any) -> None:
    given = on_gpu.interface(FRAME[None], strides=(999, 15, 3, 1))
    assert as_gpu_frames(given, on_gpu.driver, 1).shape == (1, 4, 5, 3)


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.astype(np.float32), r"frame must be uint8, got float32 \(4, 5, 3\) on cuda:0; convert it there"),
        (
            FRAME[:, ::2],
            r"C-contiguous, got uint8 \(4, 3, 3\) with strides \(15, 6, 1\); .* frame.contiguous\(\)",
        ),
        (FRAME[..., 0].copy(), r"frame must be uint8 \(height, width, 3\) or .*, got uint8 \(4, 5\) on cuda:0"),
        (FRAME[..., :2].copy(), r"got uint8 \(4, 5, 2\) on cuda:0"),
        (np.zeros((0, 5, 3), np.uint8), r"each at least 1, got uint8 \(0, 5, 3\) on cuda:0"),
    ],
)
def test_frames_that_do_not_fit(on_gpu: Any, protocol: str, frame: np.ndarray, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        as_gpu_frames(getattr(on_gpu, protocol)(frame), on_gpu.driver, 1)


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
def test_another_gpu(on_gpu: Any, protocol: str) -> None:
    frame = getattr(on_gpu, protocol)(FRAME, 1)
    message = r'frame is on cuda:1 and this segmenter computes on cuda:0; .* open the model with device="cuda:1"'
    with pytest.raises(FrameError, match=message):
        as_gpu_frames(frame, on_gpu.driver, 1)
    assert getattr(frame, "streams", []) == []


def test_memory_that_cuda_does_not_know(on_gpu: Any) -> None:
    given = on_gpu.interface(FRAME)
    on_gpu.library.arrays.clear()
    with pytest.raises(FrameError, match="got a InterfaceOnGpu that cannot be read: CUDA does not know its memory"):
        as_gpu_frames(given, on_gpu.driver, 1)


def test_masked_arrays(on_gpu: Any) -> None:
    with pytest.raises(FrameError, match="cannot be read: it is masked"):
        as_gpu_frames(on_gpu.interface(FRAME, mask=FRAME), on_gpu.driver, 1)


def test_a_gpu_that_fails_is_no_wrong_frame(on_gpu: Any) -> None:
    on_gpu.library.failing = ("wait", 1)
    with pytest.raises(InferenceError, match="CUDA failed in cuStreamWaitEvent: invalid argument"):
        as_gpu_frames(on_gpu.interface(FRAME, stream=2), on_gpu.driver, 77)


def test_a_producer_that_refuses(on_gpu: Any) -> None:
    def refuse(**options: Any) -> Any:
        raise BufferError("per-thread default stream is not supported")

    given = on_gpu.dlpack(FRAME)
    given = SimpleNamespace(__dlpack__=refuse, __dlpack_device__=given.__dlpack_device__)
    with pytest.raises(FrameError, match=r"uint8 array on cuda:0, .* cannot be read: per-thread default stream is not"):
        as_gpu_frames(given, on_gpu.driver, 2)


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
def test_out(on_gpu: Any, protocol: str) -> None:
    out = np.zeros((4, 5), np.uint8)
    found = check_gpu_out(getattr(on_gpu, protocol)(out), (4, 5), on_gpu.driver, 1)
    assert (found.address, found.shape) == (out.ctypes.data, (4, 5))


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((5, 4), np.uint8), r"out must be uint8 \(4, 5\), got uint8 \(5, 4\)"),
        (np.zeros((4, 5), np.int64), r"out must be uint8, got int64 \(4, 5\)"),
        (np.zeros((4, 10), np.uint8)[:, ::2], r"out on the GPU must be C-contiguous"),
        (READ_ONLY, r"out is read-only; give a writable array, uint8 \(4, 5\) on cuda:0"),
    ],
)
def test_out_that_does_not_fit(on_gpu: Any, protocol: str, out: np.ndarray, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        check_gpu_out(getattr(on_gpu, protocol)(out), (4, 5), on_gpu.driver, 1)


def test_out_in_cpu_memory(on_gpu: Any) -> None:
    with pytest.raises(FrameError, match=r"out must be on cuda:0, where the frame is, got a ndarray in CPU memory"):
        check_gpu_out(np.zeros((4, 5), np.uint8), (4, 5), on_gpu.driver, 1)


class WithCudaStream:
    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


@pytest.mark.parametrize(
    ("stream", "handle"), [(77, 77), (1, 1), (2, 2), (0, 1), (WithCudaStream(78), 78), (WithCudaStream(0), 1)]
)
def test_streams(stream: object, handle: int) -> None:
    assert stream_handle(stream) == handle


@pytest.mark.parametrize("stream", [-1, True, 1.5, "default", object()])
def test_what_is_no_stream(stream: object) -> None:
    with pytest.raises(FrameError, match=r"stream must be a CUDA stream's handle or offer __cuda_stream__, got "):
        stream_handle(stream)
