from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fcnrt.runtime.errors import FrameError, InferenceError, ModelFileError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec, OutputName

FRAME = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
BATCH = np.random.default_rng(1).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)


class FakeRunner:
    """A runner that computes as the tiny model does and remembers what it was given."""

    backend = "fake"
    device = "cpu"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.frames = np.empty(0, np.uint8)
        self.outputs: Sequence[OutputName] = ()
        self.closed = 0

    def run(
        self, frames: np.ndarray, outputs: Sequence[OutputName], *, class_map: np.ndarray | None = None
    ) -> dict[OutputName, np.ndarray]:
        assert self.closed == 0
        assert frames.flags.c_contiguous
        self.frames, self.outputs = frames, outputs
        result = np.empty(frames.shape[:-1], np.uint8) if class_map is None else class_map
        result[...] = frames.argmax(axis=-1)
        return {"class_map": result}

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def runner(tiny_spec: ModelSpec) -> FakeRunner:
    return FakeRunner(tiny_spec)


def test_segmenter_tells_what_it_runs(runner: FakeRunner, tiny_spec: ModelSpec) -> None:
    segmenter = Segmenter(runner)
    assert (segmenter.spec, segmenter.backend, segmenter.device) == (tiny_spec, "fake", "cpu")


@pytest.mark.parametrize("frame", [FRAME, BATCH], ids=["frame", "batch"])
def test_class_map_has_the_frames_shape(runner: FakeRunner, frame: np.ndarray) -> None:
    class_map = Segmenter(runner)(frame)
    assert class_map.dtype == np.uint8
    np.testing.assert_array_equal(class_map, frame.argmax(axis=-1))


def test_contiguous_frame_reaches_the_runner_without_a_copy(runner: FakeRunner) -> None:
    Segmenter(runner)(FRAME)
    assert np.shares_memory(runner.frames, FRAME)


def test_reversed_channels(runner: FakeRunner) -> None:
    np.testing.assert_array_equal(Segmenter(runner)(FRAME[..., ::-1]), FRAME[..., ::-1].argmax(axis=-1))


def test_calling_asks_for_the_class_map_only(tiny_spec: ModelSpec, runner: FakeRunner) -> None:
    Segmenter(runner)(FRAME)
    assert tuple(runner.outputs) == ("class_map",)


@pytest.mark.parametrize("frame", [FRAME, BATCH], ids=["frame", "batch"])
def test_out_is_filled_and_returned(runner: FakeRunner, frame: np.ndarray) -> None:
    out = np.full(frame.shape[:-1], 9, np.uint8)
    assert Segmenter(runner)(frame, out=out) is out
    np.testing.assert_array_equal(out, frame.argmax(axis=-1))


def test_wrong_frame_never_reaches_the_runner(runner: FakeRunner) -> None:
    segmenter = Segmenter(runner)
    with pytest.raises(FrameError, match="frame must be uint8"):
        segmenter(FRAME.astype(np.float32))
    with pytest.raises(FrameError, match="frame must be uint8"):
        segmenter.predict(FRAME[..., 0])
    with pytest.raises(FrameError, match=r"out must be uint8 \(5, 7\), got uint8 \(7, 5\)"):
        segmenter(FRAME, out=np.empty((7, 5), np.uint8))
    assert runner.frames.size == 0


def test_block_closes_the_runner_once(runner: FakeRunner) -> None:
    with Segmenter(runner) as segmenter:
        segmenter(FRAME)
    segmenter.close()
    assert runner.closed == 1


def test_closed_segmenter_says_so(runner: FakeRunner) -> None:
    segmenter = Segmenter(runner)
    segmenter.close()
    for use in (segmenter, segmenter.predict):
        with pytest.raises(InferenceError, match=r"the segmenter is closed; open it again with Segmenter.open"):
            use(FRAME)
    assert segmenter.spec.num_classes == 3  # what is known stays known


def test_open_runs_a_file(tiny_model: Path, tiny_spec: ModelSpec) -> None:
    with Segmenter.open(tiny_model, device="cpu") as segmenter:
        assert (segmenter.spec, segmenter.backend, segmenter.device) == (tiny_spec, "onnxruntime", "cpu")
        np.testing.assert_array_equal(segmenter(FRAME), FRAME.argmax(axis=-1))
        np.testing.assert_array_equal(segmenter(BATCH), BATCH.argmax(axis=-1))
        np.testing.assert_array_equal(segmenter(FRAME[:1, :1]), FRAME[:1, :1].argmax(axis=-1))


def test_open_refuses_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        Segmenter.open(tmp_path / "net.onnx")


def test_out_with_a_real_backend(tiny_model: Path) -> None:
    rows = np.full((4, 5, 7), 9, np.uint8)
    with Segmenter.open(tiny_model, device="cpu") as segmenter:
        assert segmenter(FRAME, out=rows[1]).base is rows
    np.testing.assert_array_equal(rows[1], FRAME.argmax(axis=-1))
    assert (rows[[0, 2, 3]] == 9).all()


def test_tensor_in(tiny_model: Path) -> None:
    with Segmenter.open(tiny_model, device="cpu") as segmenter:
        class_map = segmenter(torch.from_dlpack(FRAME))
    np.testing.assert_array_equal(class_map, FRAME.argmax(axis=-1))


def test_predict_returns_what_the_file_has(
    tmp_path: Path, tiny_model: Path, write_tiny_model: Callable[..., Path]
) -> None:
    with Segmenter.open(tiny_model, device="cpu") as segmenter:
        prediction = segmenter.predict(FRAME)
    np.testing.assert_array_equal(prediction.class_map, FRAME.argmax(axis=-1))
    assert prediction.confidence is None
    assert prediction.logits is None
    assert prediction.overlay is None

    everything = write_tiny_model(tmp_path / "all.onnx", outputs=("class_map", "confidence", "logits", "overlay"))
    with Segmenter.open(everything, device="cpu") as segmenter:
        prediction = segmenter.predict(FRAME)
        batch = segmenter.predict(BATCH)
    np.testing.assert_array_equal(prediction.class_map, FRAME.argmax(axis=-1))
    np.testing.assert_array_equal(_present(prediction.confidence), FRAME.max(axis=-1))
    np.testing.assert_array_equal(_present(prediction.logits), FRAME.transpose(2, 0, 1).astype(np.float32))
    np.testing.assert_array_equal(_present(prediction.overlay), 255 - FRAME)
    np.testing.assert_array_equal(_present(batch.overlay), 255 - BATCH)
    np.testing.assert_array_equal(_present(batch.logits), BATCH.transpose(0, 3, 1, 2).astype(np.float32))


def test_many_threads_share_one_segmenter(tiny_model: Path) -> None:
    rng = np.random.default_rng(2)
    sizes = [(int(height), int(width)) for height, width in rng.integers(1, 60, (200, 2))]
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    with Segmenter.open(tiny_model, device="cpu") as segmenter, ThreadPoolExecutor(8) as threads:
        class_maps = list(threads.map(segmenter, frames))
    for frame, class_map in zip(frames, class_maps, strict=True):
        np.testing.assert_array_equal(class_map, frame.argmax(axis=-1))


def _present(array: Any) -> np.ndarray:
    assert array is not None
    return array
