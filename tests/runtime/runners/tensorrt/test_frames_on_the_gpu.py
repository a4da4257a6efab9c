"""Frames that are on the GPU already: nothing is copied, and everything happens in the order of streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.errors import FrameError, InferenceError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec, OutputName

from .fake_gpu import GARBAGE, FakeMemory, FakeStream
from .fake_tensorrt import SMALL, Setup, frames


class OnFakeGpu:
    """An array in the fake GPU's memory that is written there late, on a stream of the caller's."""

    def __init__(self, memory: FakeMemory, values: np.ndarray, stream: FakeStream) -> None:
        with memory.current():
            address = memory.allocate(values.size)
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": values.shape,
            "typestr": "|u1",
            "strides": None,
            "stream": stream.handle,
        }
        self._place = memory.at(address, values.size)
        stream.add(lambda: np.copyto(self._place, values.reshape(-1)))

    def read(self) -> np.ndarray:
        return self._place.reshape(self.__cuda_array_interface__["shape"])


class GpuSetup(Setup):
    """With two streams of the caller's and CUDA's default one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        with self.memory.current():
            self.mine, self.other = self.memory.stream(), self.memory.stream()
        self.memory.streams[1] = FakeStream(self.memory, 1)
        self.cuda.device_of = lambda address: 0

    def frames(self, batch: int, height: int, width: int, seed: int = 0) -> tuple[OnFakeGpu, np.ndarray]:
        values = frames(batch, height, width, seed)
        return OnFakeGpu(self.memory, values, self.mine if seed % 2 == 0 else self.other), values

    def out(self, *shape: int) -> OnFakeGpu:
        return OnFakeGpu(self.memory, np.full(shape, GARBAGE, np.uint8), self.mine)

    def read(self, array: Any) -> np.ndarray:
        return self.memory.at(array.address, array.nbytes).reshape(array.shape)


@pytest.fixture(params=[False, True], ids=["others first", "others late"])
def gpu_setup(tmp_path: Path, tiny_spec: ModelSpec, request: pytest.FixtureRequest) -> Callable[..., GpuSetup]:
    def make(**options: Any) -> GpuSetup:
        setup = GpuSetup(tmp_path, tiny_spec, **options)
        setup.memory.lazy = request.param
        return setup

    return make


@pytest.mark.parametrize("outputs", [("class_map",), ("class_map", "confidence", "logits", "overlay")])
def test_a_frame_on_the_gpu_stays_there(gpu_setup: Callable[..., GpuSetup], outputs: tuple[OutputName, ...]) -> None:
    setup = gpu_setup(outputs=outputs)
    frame, values = setup.frames(1, 10, 12)
    setup.memory.upload = setup.memory.download = None  # type: ignore[assignment, method-assign]  # never called
    with Segmenter(setup.open()) as segmenter:
        class_map = segmenter(frame)
        np.testing.assert_array_equal(setup.read(class_map), values.argmax(-1))
        assert class_map.__cuda_array_interface__["stream"] is None  # the call has waited


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1], ids=["frame on my stream", "frame on another"])
def test_on_the_callers_stream_nothing_is_waited_for(gpu_setup: Callable[..., GpuSetup], batch: int, seed: int) -> None:
    setup = gpu_setup(profiles=(replace(SMALL, max_batch=2),))
    (given, values), out = setup.frames(batch, 10, 12, seed), setup.out(batch, 10, 12)
    segmenter = Segmenter(setup.open())
    assert segmenter(given, out=out, stream=setup.mine.handle) is out
    assert (out.read() == GARBAGE).all()  # queued, not done
    setup.mine.synchronize()
    np.testing.assert_array_equal(out.read(), values.argmax(-1))


def test_results_of_a_stream_say_so(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    frame, values = setup.frames(1, 10, 12)
    class_map = Segmenter(setup.open())(frame, stream=setup.mine.handle)
    assert class_map.__cuda_array_interface__["stream"] == setup.mine.handle
    setup.mine.synchronize()
    np.testing.assert_array_equal(setup.read(class_map)[0], values[0].argmax(-1))


def test_calls_from_the_gpu_and_from_the_cpu_in_turn(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup(outputs=("class_map", "confidence"))
    segmenter = Segmenter(setup.open())
    queued = []
    for seed in range(6):
        (given, values), out = setup.frames(1, 9, 9, seed), setup.out(1, 9, 9)
        segmenter(given, out=out, stream=setup.mine.handle)
        queued.append((out, values))
        image = frames(1, 9, 9, 100 + seed)
        prediction = segmenter.predict(image)
        np.testing.assert_array_equal(prediction.class_map, image.argmax(-1))
        np.testing.assert_array_equal(prediction.confidence, image.max(-1))
    setup.mine.synchronize()
    for out, values in queued:
        np.testing.assert_array_equal(out.read(), values.argmax(-1))


def test_refusals_on_the_gpu_are_errors_and_pass(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    frame, values = setup.frames(1, 8, 8)
    segmenter = Segmenter(setup.open())
    setup.trt.refused.add("execute")
    for _ in range(5):  # more often than there are lanes
        with pytest.raises(InferenceError, match=r"TensorRT refused to run frames of shape \(1, 8, 8, 3\)"):
            segmenter(frame)
    setup.trt.refused.clear()
    np.testing.assert_array_equal(setup.read(segmenter(frame)), values.argmax(-1))
    with pytest.raises(FrameError, match="frames of 3x8 are outside the sizes this engine was built for"):
        segmenter(setup.frames(1, 3, 8)[0])


def test_closing_waits_for_what_was_queued(gpu_setup: Callable[..., GpuSetup]) -> None:
    setup = gpu_setup()
    (given, values), out = setup.frames(1, 8, 8), setup.out(1, 8, 8)
    segmenter = Segmenter(setup.open())
    segmenter(given, out=out, stream=setup.mine.handle)
    segmenter.close()
    np.testing.assert_array_equal(out.read(), values.argmax(-1))
