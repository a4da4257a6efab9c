"""Frames on a GPU through ONNX Runtime: its CPU provider in the place of CUDA, the host's memory in that of the GPU."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fcnrt.runtime.device import Device
from fcnrt.runtime.errors import FrameError, InferenceError
from fcnrt.runtime.runners._onnxruntime import OnnxRuntimeRunner
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec

FRAME = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
BATCH = np.random.default_rng(1).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)


class SessionOnGpu:
    """A session whose bindings take addresses of a GPU, and which must not be run before the stream was waited for.

    As ONNX Runtime's, they copy what is in CPU memory to the GPU when it is bound, and not when it is run.
    """

    def __init__(self, session: Any, calls: list[Any]) -> None:
        self.session, self.calls = session, calls

    def io_binding(self) -> Any:
        binding, calls = self.session.io_binding(), self.calls

        class Binding:
            real = binding
            copied: np.ndarray

            def bind_input(
                self, name: str, device: str, index: int, dtype: Any, shape: tuple[int, ...], address: int
            ) -> None:
                calls.append(("bind", name, device, index))
                if device == "cpu":
                    content = ctypes.string_at(address, int(np.prod(shape)))
                    self.copied = np.frombuffer(content, np.uint8).copy()
                    address = self.copied.ctypes.data
                binding.bind_input(name, "cpu", 0, dtype, shape, address)

            def clear_binding_outputs(self) -> None:
                binding.clear_binding_outputs()

            def bind_output(self, name: str, device: str, index: int, *rest: Any) -> None:
                calls.append(("bind", name, device, index))
                binding.bind_output(name, "cpu", 0, *rest)

        return Binding()

    def run_with_iobinding(self, binding: Any) -> None:
        self.calls.append(("run",))
        self.session.run_with_iobinding(binding.real)


@pytest.fixture
def segmenter(tiny_model: Path, tiny_spec: ModelSpec, on_gpu: Any) -> Segmenter:
    session: Any = SessionOnGpu(onnxruntime.InferenceSession(str(tiny_model)), on_gpu.library.calls)
    return Segmenter(OnnxRuntimeRunner(session, tiny_spec, Device("cuda", 0), cuda=on_gpu.driver))


def read(array: Any) -> np.ndarray:
    """What lies where an array on the 'GPU' says it is."""
    interface = {name: array.__cuda_array_interface__[name] for name in ("version", "data", "shape", "typestr")}
    return np.asarray(type("Host", (), {"__array_interface__": interface, "owner": array})())


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
@pytest.mark.parametrize("frame", [FRAME, BATCH], ids=["frame", "batch"])
def test_the_class_map_is_made_on_the_gpu(segmenter: Segmenter, on_gpu: Any, protocol: str, frame: np.ndarray) -> None:
    class_map = segmenter(getattr(on_gpu, protocol)(frame))
    np.testing.assert_array_equal(read(class_map), frame.argmax(-1))
    assert class_map.__cuda_array_interface__["stream"] is None
    assert on_gpu.library.calls == [
        ("allocate", frame.size // 3),
        ("bind", "image", "cuda", 0),
        ("bind", "class_map", "cuda", 0),
        ("synchronize", 1),  # the frame is there now
        ("run",),
        ("synchronize", 1),
    ]


@pytest.mark.parametrize("protocol", ["dlpack", "interface"])
@pytest.mark.parametrize("frame", [FRAME, BATCH], ids=["frame", "batch"])
def test_out_on_the_gpu_is_filled_and_returned(
    segmenter: Segmenter, on_gpu: Any, protocol: str, frame: np.ndarray
) -> None:
    out = np.full(frame.shape[:-1], 9, np.uint8)
    place = getattr(on_gpu, protocol)(out)
    assert segmenter(getattr(on_gpu, protocol)(frame), out=place, stream=77) is place
    np.testing.assert_array_equal(out, frame.argmax(-1))
    assert ("synchronize", 77) in on_gpu.library.calls
    assert not any(name == "allocate" for name, *_ in on_gpu.library.calls)


def test_results_live_as_long_as_they_are_held(segmenter: Segmenter, on_gpu: Any) -> None:
    first = segmenter(on_gpu.dlpack(FRAME))
    second = segmenter(on_gpu.dlpack(FRAME[::-1].copy()))
    np.testing.assert_array_equal(read(first), FRAME.argmax(-1))
    np.testing.assert_array_equal(read(second), FRAME[::-1].argmax(-1))
    assert len(on_gpu.library.live) == 2
    del first, second
    gc.collect()
    assert on_gpu.library.live == {}


def test_frames_in_cpu_memory_come_back_in_cpu_memory(segmenter: Segmenter, on_gpu: Any) -> None:
    np.testing.assert_array_equal(segmenter(FRAME), FRAME.argmax(-1))
    assert [call[2] for call in on_gpu.library.calls if call[0] == "bind"] == ["cpu", "cpu"]
    with pytest.raises(FrameError, match="stream is for frames on a GPU; this frame is in CPU memory"):
        segmenter(FRAME, stream=1)
    with pytest.raises(FrameError, match="out must be a numpy array, got a DlpackOnGpu"):
        segmenter(FRAME, out=on_gpu.dlpack(np.zeros((5, 7), np.uint8)))


def test_a_buffer_in_cpu_memory_is_copied_for_every_call(segmenter: Segmenter) -> None:
    buffer, out = FRAME.copy(), np.empty((5, 7), np.uint8)
    for frame in (FRAME, FRAME[::-1], FRAME[:, ::-1]):
        buffer[:] = frame
        np.testing.assert_array_equal(segmenter(buffer, out=out), frame.argmax(-1))


def test_wrong_frames_never_reach_the_session(segmenter: Segmenter, on_gpu: Any) -> None:
    with pytest.raises(FrameError, match="frame is on cuda:1 and this segmenter computes on cuda:0"):
        segmenter(on_gpu.dlpack(FRAME, 1))
    with pytest.raises(FrameError, match=r"out must be uint8 \(5, 7\), got uint8 \(7, 5\)"):
        segmenter(on_gpu.dlpack(FRAME), out=on_gpu.dlpack(np.zeros((7, 5), np.uint8)))
    with pytest.raises(FrameError, match="stream must be a CUDA stream's handle"):
        segmenter(on_gpu.dlpack(FRAME), stream="mine")
    assert on_gpu.library.calls == []


def test_a_failure_on_the_callers_stream_is_an_error(segmenter: Segmenter, on_gpu: Any) -> None:
    on_gpu.library.failing = ("synchronize", 1)
    with pytest.raises(InferenceError, match="CUDA failed in cuStreamSynchronize: invalid argument"):
        segmenter(on_gpu.dlpack(FRAME))


def test_a_session_on_the_cpu_takes_no_frames_from_a_gpu(tiny_model: Path, on_gpu: Any) -> None:
    with Segmenter.open(tiny_model, device="cpu") as on_cpu:
        for frame in (on_gpu.dlpack(FRAME), on_gpu.interface(FRAME)):
            with pytest.raises(
                FrameError,
                match=r"frame is on a GPU and this segmenter takes frames in CPU memory \(onnxruntime on cpu\); "
                r'copy it first, for example with frame.cpu\(\) .*, or open the model with device="cuda"',
            ):
                on_cpu(frame)
            with pytest.raises(FrameError, match=r"frame must be in CPU memory, got a \w+OnGpu on .*; copy it first"):
                on_cpu.predict(frame)


def test_a_closed_segmenter_says_so(segmenter: Segmenter, on_gpu: Any) -> None:
    segmenter.close()
    with pytest.raises(InferenceError, match="the segmenter is closed"):
        segmenter(on_gpu.dlpack(FRAME))


def test_a_cuda_tensor_stays_on_the_gpu(tiny_model: Path, cuda_device: str) -> None:
    import torch

    frame = torch.from_numpy(FRAME).to(cuda_device)
    with Segmenter.open(tiny_model, device=cuda_device) as on_cuda:
        class_map = torch.from_dlpack(on_cuda(frame))
        out = torch.empty(FRAME.shape[:-1], dtype=torch.uint8, device=cuda_device)
        assert on_cuda(frame, out=out) is out
    assert class_map.is_cuda
    np.testing.assert_array_equal(class_map.cpu().numpy(), FRAME.argmax(-1))
    np.testing.assert_array_equal(out.cpu().numpy(), FRAME.argmax(-1))
