from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from fcnrt.runtime.errors import DeviceError, InferenceError, MissingDependencyError, ModelFileError
from fcnrt.runtime.gpu.cuda import PROVIDER
from fcnrt.runtime.runners import open_runner
from fcnrt.runtime.spec import ModelSpec

needs_cpu_build = pytest.mark.skipif(
    PROVIDER in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)


def _frames(batch: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def test_runner_tells_what_it_is(tiny_model: Path, tiny_spec: ModelSpec) -> None:
    runner = open_runner(str(tiny_model), device="cpu")
    assert (runner.spec, runner.backend, runner.device) == (tiny_spec, "onnxruntime", "cpu")
    runner.close()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 17, 31), (3, 8, 5)])
@pytest.mark.parametrize("threads", [None, 1])
def test_class_map(tiny_model: Path, shape: tuple[int, int, int], threads: int | None) -> None:
    frames = _frames(*shape)
    results = open_runner(tiny_model, device="cpu", threads=threads).run(frames, ("class_map",))
    assert list(results) == ["class_map"]
    assert results["class_map"].dtype == np.uint8
    np.testing.assert_array_equal(results["class_map"], frames.argmax(axis=-1))


def test_all_outputs(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    path = write_tiny_model(tmp_path / "all.onnx", outputs=("class_map", "confidence", "logits", "overlay"))
    frames = _frames(2, 6, 7)
    results = open_runner(path, device="cpu").run(frames, ("logits", "overlay", "confidence", "class_map"))
    np.testing.assert_array_equal(results["class_map"], frames.argmax(axis=-1))
    np.testing.assert_array_equal(results["confidence"], frames.max(axis=-1))
    np.testing.assert_array_equal(results["logits"], frames.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(results["overlay"], 255 - frames)


def test_class_map_is_written_into_the_given_buffer(tiny_model: Path) -> None:
    frames = _frames(2, 6, 7)
    buffer = np.full((2, 6, 7), 9, np.uint8)
    results = open_runner(tiny_model, device="cpu").run(frames, ("class_map",), class_map=buffer)
    assert results["class_map"] is buffer
    np.testing.assert_array_equal(buffer, frames.argmax(axis=-1))


def test_buffers_are_bound_once_and_read_every_time(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[str] = []
    bind = onnxruntime.IOBinding.bind_input
    monkeypatch.setattr(
        onnxruntime.IOBinding, "bind_input", lambda self, name, *rest: (bound.append(name), bind(self, name, *rest))
    )
    runner = open_runner(tiny_model, device="cpu")
    buffer, out = np.empty((2, 6, 7, 3), np.uint8), np.empty((2, 6, 7), np.uint8)
    for seed in range(3):
        buffer[:] = np.random.default_rng(seed).integers(0, 256, buffer.shape)
        np.testing.assert_array_equal(
            runner.run(buffer, ("class_map",), class_map=out)["class_map"], buffer.argmax(axis=-1)
        )
    assert bound == ["image"]


def test_other_buffers_sizes_and_outputs_are_bound_anew(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    runner = open_runner(write_tiny_model(tmp_path / "all.onnx", outputs=("class_map", "confidence")), device="cpu")
    memory, out = _frames(2, 6, 7), np.empty((2, 6, 7), np.uint8)
    turned = memory.reshape(2, 7, 6, 3)  # the same address, another shape
    one = memory[:1]
    for frames, place, outputs in (
        (memory, out, ("class_map",)),
        (turned, out.reshape(2, 7, 6), ("class_map",)),
        (one, out[1:], ("class_map",)),
        (memory, out, ("class_map", "confidence")),
        (memory, out, ("confidence", "class_map")),
        (memory, out, ("class_map",)),
        (memory, None, ("class_map",)),
    ):
        out.fill(9)
        results = runner.run(frames, outputs, class_map=place)  # type: ignore[arg-type]
        assert tuple(results) == outputs
        np.testing.assert_array_equal(results["class_map"], frames.argmax(axis=-1))
        if "confidence" in results:
            np.testing.assert_array_equal(results["confidence"], frames.max(axis=-1))


def test_a_call_that_failed_leaves_nothing_bound(tiny_model: Path) -> None:
    runner = open_runner(tiny_model, device="cpu")
    frames, out = _frames(1, 4, 5), np.empty((1, 4, 5), np.uint8)
    for _ in range(2):
        with pytest.raises(InferenceError, match="ONNX Runtime failed on 1 frame of 4x5"):
            runner.run(frames, ("class_map",), class_map=np.empty((1, 4, 4), np.uint8))
        np.testing.assert_array_equal(
            runner.run(frames, ("class_map",), class_map=out)["class_map"], frames.argmax(axis=-1)
        )


def test_threads_that_share_a_runner_do_not_share_what_is_bound(tiny_model: Path) -> None:
    runner = open_runner(tiny_model, device="cpu", threads=1)
    wrong: list[int] = []

    def work(seed: int) -> None:
        frames, out = _frames(1, 40 + seed, 50), np.empty((1, 40 + seed, 50), np.uint8)
        for _ in range(200):
            runner.run(frames, ("class_map",), class_map=out)
            if not np.array_equal(out, frames.argmax(axis=-1)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_are_not_overwritten_by_the_next_run(tiny_model: Path) -> None:
    runner = open_runner(tiny_model, device="cpu")
    first = runner.run(np.zeros((1, 4, 4, 3), np.uint8), ("class_map",))["class_map"]
    runner.run(np.full((1, 4, 4, 3), (0, 0, 9), np.uint8), ("class_map",))
    assert not first.any()


def test_closed_runner_refuses_to_run(tiny_model: Path) -> None:
    runner = open_runner(tiny_model, device="cpu")
    runner.close()
    runner.close()
    with pytest.raises(InferenceError, match="the runner is closed; open the model again"):
        runner.run(_frames(1, 2, 2), ("class_map",))


def test_wrong_file_is_named_before_the_backend_sees_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_text("hello")
    with pytest.raises(ModelFileError, match="is not an ONNX file"):
        open_runner(tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")


def test_graph_that_onnxruntime_refuses(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(tiny_model)
    model.graph.node[3].op_type = "ArgMost"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelFileError, match=r"ONNX Runtime cannot load \S+net.onnx: .*ArgMost") as caught:
        open_runner(tmp_path / "net.onnx", device="cpu")
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_graph_that_fails_while_running(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(tiny_model)  # a network that forgets the last column
    model.graph.node[0].input[0] = "narrow"
    for name, value in (("start", 0), ("stop", -1), ("axis", 2)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    model.graph.node.insert(0, helper.make_node("Slice", ["image", "start", "stop", "axis"], ["narrow"]))
    onnx.save(model, tmp_path / "net.onnx")
    runner = open_runner(tmp_path / "net.onnx", device="cpu")
    with pytest.raises(InferenceError, match=r"ONNX Runtime failed on 2 frames of 4x5: .*\{2,4,4\}") as caught:
        runner.run(_frames(2, 4, 5), ("class_map",))
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_onnxruntime_names_the_package(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python itself does for a module that must not load
    with pytest.raises(MissingDependencyError, match=r"needs onnxruntime, .* pip install onnxruntime \(or"):
        open_runner(tiny_model)


@needs_cpu_build
def test_auto_takes_the_cpu_without_cuda(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert open_runner(tiny_model).device == "cpu"
    assert capfd.readouterr() == ("", "")


@needs_cpu_build
def test_cuda_is_never_replaced_by_the_cpu(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        DeviceError, match=r'cuda:0 cannot be used: .* no CUDA support; .* pip install "onnxruntime-gpu\[cuda,cudnn\]"'
    ):
        open_runner(tiny_model, device="cuda")
    assert capfd.readouterr() == ("", "")


def test_unknown_device(tiny_model: Path) -> None:
    with pytest.raises(DeviceError, match="'gpu' is not a device"):
        open_runner(tiny_model, device="gpu")


def test_unknown_backend(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="backend must be auto, onnxruntime or tensorrt, got 'torch'"):
        open_runner(tiny_model, backend="torch")  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, 10**5, 2.5, "2"])
def test_impossible_numbers_of_threads(tiny_model: Path, threads: int) -> None:
    """ONNX Runtime would start 100,000 of them, and the machine would stand still."""
    with pytest.raises(ValueError, match=f"threads must be a whole number from 1 to 1024, got {threads!r}"):
        open_runner(tiny_model, threads=threads)


def test_a_number_of_threads_may_be_numpy_s(tiny_model: Path) -> None:
    assert open_runner(tiny_model, device="cpu", threads=np.int64(1)).device == "cpu"  # type: ignore[arg-type]


def test_cuda_gives_the_same_class_map(tiny_model: Path, cuda_device: str) -> None:
    runner = open_runner(tiny_model)
    assert runner.device == cuda_device
    for size in ((17, 31), (64, 64)):
        frames = _frames(2, *size)
        buffer = np.empty((2, *size), np.uint8)
        runner.run(frames, ("class_map",), class_map=buffer)
        np.testing.assert_array_equal(buffer, frames.argmax(axis=-1))
