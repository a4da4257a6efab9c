from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fcnrt.datasets.calibration import CalibrationData
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.demo import demo_checkpoint
from fcnrt.export.to_onnx import export_onnx
from fcnrt.runtime.errors import ModelFileError
from fcnrt.runtime.onnx_header import OnnxHeader
from fcnrt.runtime.runners import _onnxruntime, open_runner, optimized_graph
from fcnrt.runtime.runners._onnxruntime import session_options
from fcnrt.runtime.spec import ImageSize


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def every_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimized_graph, "_LARGE", 0)


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def demo_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "fcn8s.onnx"
    scenes = tuple(render_scene(5, index, ImageSize(96, 96)) for index in range(6))
    frames, labels = tuple(scene.image for scene in scenes), tuple(scene.label for scene in scenes)
    data = CalibrationData(frames[:3], frames[3:], labels[3:], "scenes")
    export_onnx(demo_checkpoint(), path, precision=request.param, calibration=data)
    return path


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(tiny_model, tmp_path / "net.onnx"))


def kept(model: Path) -> Path | None:
    return optimized_graph.optimized_graph(onnxruntime, model, session_options(onnxruntime, None))


def run(model: Path, frame: np.ndarray | None = None) -> np.ndarray:
    frame = np.eye(6, dtype=np.uint8)[None, :, :3, None].repeat(3, -1) if frame is None else frame
    runner = open_runner(model, device="cpu")
    result: np.ndarray = runner.run(frame, ("class_map",))["class_map"]
    runner.close()
    return result


def test_a_graph_that_was_kept_computes_the_same(demo_model: Path, cache: Path, monkeypatch) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 97, 131, 3), np.uint8)
    first, again = run(demo_model, frame), run(demo_model, frame)
    (weights,) = cache.glob("optimized/*/weights.bin")
    assert weights.stat().st_size > demo_model.stat().st_size / 4
    monkeypatch.setattr(optimized_graph, "_LARGE", 1 << 60)
    without = run(demo_model, frame)
    assert len(np.unique(without)) > 1
    np.testing.assert_array_equal(first, without)
    np.testing.assert_array_equal(again, without)


def test_it_is_made_once(model: Path) -> None:
    graph = kept(model)
    assert graph is not None
    made = graph.stat()
    assert kept(model) == graph
    assert graph.stat().st_ino == made.st_ino


def test_what_is_kept_is_what_is_opened(model: Path, tmp_path: Path, write_tiny_model) -> None:
    graph = kept(model)
    assert graph is not None
    # A graph with other outputs in its place shows which of the two is opened.
    other = kept(write_tiny_model(tmp_path / "other.onnx", outputs=("class_map", "confidence")))
    assert other is not None
    shutil.copyfile(other, graph)
    session = open_runner(model, device="cpu")._session  # type: ignore[attr-defined]
    assert [output.name for output in session.get_outputs()] == ["class_map", "confidence"]


@pytest.mark.parametrize("what", ["content", "time", "onnxruntime", "processor"])
def test_it_is_made_anew_when_what_it_was_made_from_changes(
    model: Path, tiny_model: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = kept(model)
    assert graph is not None
    made, times = graph.stat().st_ino, (model.stat().st_atime_ns, model.stat().st_mtime_ns)
    if what == "content":  # of the same size and time, as some build systems set them
        content = model.read_bytes()
        model.write_bytes(content.replace(b"made by hand for tests", b"made by foot for tests"))
        os.utime(model, ns=times)
        assert model.stat().st_size == len(content)
    elif what == "time":
        os.utime(model, ns=(times[0], times[1] + 1))
    elif what == "onnxruntime":
        monkeypatch.setattr(onnxruntime, "__version__", "0.1")
    else:
        monkeypatch.setattr(optimized_graph, "_instruction_sets", lambda: "sse2")
    assert kept(model) == graph
    assert graph.stat().st_ino != made
    assert len(list(graph.parent.parent.glob("*/"))) == 1  # the old one has made way


@pytest.mark.parametrize("name", ["graph.onnx", "weights.bin"])
def test_damage_is_noticed_and_mended(demo_model: Path, cache: Path, name: str) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), np.uint8)
    expected = run(demo_model, frame)
    (damaged,) = cache.glob(f"optimized/*/{name}")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(run(demo_model, frame), expected)
    np.testing.assert_array_equal(run(demo_model, frame), expected)
    (mended,) = cache.glob(f"optimized/*/{name}")
    assert mended.stat().st_size == len(content)


def test_a_cache_that_cannot_be_written_keeps_nothing_from_running(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "file"))
    assert kept(model) is None
    np.testing.assert_array_equal(run(model), np.zeros((1, 6, 3)))


def test_a_full_disk_keeps_nothing_from_running(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(run(model), np.zeros((1, 6, 3)))
    assert [path.suffix for path in (cache / "optimized").iterdir()] == [".lock"]


def test_small_networks_leave_nothing_behind(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimized_graph, "_LARGE", model.stat().st_size + 1)
    run(model)
    assert not cache.exists()


def test_a_wrong_file_is_still_named(model: Path, cache: Path) -> None:
    content = model.read_bytes()
    model.write_bytes(content.replace(b"ArgMax", b"ArgMix"))
    with pytest.raises(Exception, match=r"ONNX Runtime cannot load .*ArgMix"):
        run(model)
    assert not list(cache.glob("optimized/*/"))


def test_what_a_killed_process_left_is_removed(model: Path, cache: Path) -> None:
    graph = kept(model)
    assert graph is not None
    shutil.rmtree(graph.parent)
    leftover = graph.parent.with_name(f".{graph.parent.name}-abc12345")
    (leftover / "new").mkdir(parents=True)
    assert kept(model) == graph
    assert not leftover.exists()


def test_of_several_at_once_one_makes_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = optimized_graph._make

    def counting(*arguments: object) -> bool:
        made.append(arguments)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(optimized_graph, "_make", counting)
    found: list[Path | None] = []
    threads = [threading.Thread(target=lambda: found.append(kept(model))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(set(found)) == 1
    assert found[0] is not None


def test_graphs_of_models_that_are_gone_make_room(model: Path, tmp_path: Path, write_tiny_model, cache: Path) -> None:
    assert kept(model) is not None
    moved = model.rename(tmp_path / "moved.onnx")
    assert kept(write_tiny_model(tmp_path / "other.onnx")) is not None
    assert kept(moved) is not None
    assert len(list(cache.glob("optimized/*/graph.onnx"))) == 2


def test_a_model_whose_name_is_not_utf_8(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Path(os.fsdecode(os.fsencode(model.parent) + b"/caf\xe9.onnx"))
    shutil.copy2(model, other)
    run(other)  # no weight of this one lies in the file, which would have to be named
    monkeypatch.setattr(optimized_graph, "_LARGE", 1 << 60)
    with pytest.raises(ModelFileError, match="ONNX Runtime opens only names that are UTF-8; rename it"):
        run(other)


def test_a_model_that_is_replaced_while_it_is_opened_is_one_of_the_two(
    model: Path, tmp_path: Path, write_tiny_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_tiny_model(tmp_path / "other.onnx", outputs=("class_map", "confidence"))
    read, seen = _onnxruntime.read_onnx_header, []

    def read_and_replace(path: Path) -> OnnxHeader:
        header = read(path)
        seen.append(header.spec.outputs)
        if len(seen) == 1:
            shutil.copy2(other, tmp_path / "draft.onnx")
            (tmp_path / "draft.onnx").replace(path)
        return header

    monkeypatch.setattr(_onnxruntime, "read_onnx_header", read_and_replace)
    runner = open_runner(model, device="cpu")
    assert seen == [("class_map",), ("class_map", "confidence")]
    assert runner.spec.outputs == ("class_map", "confidence")
    assert [output.name for output in runner._session.get_outputs()] == ["class_map", "confidence"]  # type: ignore[attr-defined]
