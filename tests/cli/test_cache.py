from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from fcnrt.export.engine.cache import cached_engine
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.file_lock import file_lock
from fcnrt.runtime.gpu.gpu import find_gpu


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))
    return path


@pytest.fixture
def engine(tensorrt_rtx: Any, tiny_model: Path) -> Path:
    return cached_engine(tiny_model, (TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx), None))


def test_empty(fcnrt, cache: Path) -> None:
    assert fcnrt("cache", "list") == (0, "", f"0 engines, 0 graphs, 0.0 MB in {cache}\n")
    assert fcnrt("cache", "list", "--json") == (0, "[]\n", "")
    assert fcnrt("cache", "clear") == (0, "", "deleted 0 engines, 0 graphs, 0.0 MB, and 0 caches of TensorRT's\n")


def test_lists(fcnrt, engine: Path, tiny_model: Path) -> None:
    code, out, err = fcnrt("cache", "list")
    assert code == 0
    assert out.startswith(engine.name)
    assert "fcn8s fp32 · TensorRT-RTX 1" in out
    assert f"any RTX GPU · 32x32,512x512,1080x1920 · {tiny_model}" in out
    assert err.startswith("1 engine, ")
    code, out, _ = fcnrt("cache", "list", "--json")
    (record,) = json.loads(out)
    assert record["file"] == str(engine)
    assert record["manifest"]["key"]["flavor"] == "tensorrt_rtx"


def test_lists_what_is_damaged(fcnrt, cache: Path) -> None:
    (cache / "engines").mkdir(parents=True)
    (cache / "engines" / "x.engine").write_bytes(b"x")
    code, out, _ = fcnrt("cache", "list")
    assert code == 0
    assert "its manifest is missing or damaged" in out


def test_clears(fcnrt, engine: Path, cache: Path) -> None:
    for folder in ("timing", "kernels"):
        (cache / folder).mkdir()
        (cache / folder / "x.cache").write_bytes(b"x")
    code, out, err = fcnrt("cache", "clear")
    assert (code, out) == (0, "")
    assert err.startswith("deleted 1 engine, ")
    assert err.endswith("and 2 caches of TensorRT's\n")
    assert list(cache.glob("*/*.engine*")) == list(cache.glob("*/*.cache")) == []


def test_graphs_of_large_networks(
    fcnrt, cache: Path, picture: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fcnrt.runtime.runners.optimized_graph._LARGE", 0)
    assert fcnrt("run", picture, "--model", tiny_model, "--device", "cpu", "-o", tmp_path / "x.png")[0] == 0
    (cache / "optimized" / "half").mkdir()
    code, out, err = fcnrt("cache", "list")
    assert code == 0
    assert f"graph for the CPU · ONNX Runtime {onnxruntime.__version__} · {tiny_model}" in out
    assert "incomplete or damaged" in out
    assert err.startswith("0 engines, 2 graphs, ")
    records = json.loads(fcnrt("cache", "list", "--json")[1])
    assert [record["made_from"].get("model") for record in records] == [None, str(tiny_model)]
    assert fcnrt("cache", "clear")[2].startswith("deleted 0 engines, 2 graphs, ")
    assert json.loads(fcnrt("cache", "list", "--json")[1]) == []


def test_what_killed_processes_left_is_cleared(fcnrt, cache: Path) -> None:
    for folder, left in (("engines", ".x-0123abcd.engine"), ("optimized", ".x-0123abcd"), ("engines", "x.unfinished")):
        (cache / folder / left).mkdir(parents=True)
        (cache / folder / "x.lock").touch()
    assert fcnrt("cache", "list")[2].startswith("0 engines, 0 graphs, ")
    with file_lock(cache / "engines" / "x.lock"):  # somebody is building
        assert fcnrt("cache", "clear")[0] == 0
    assert sorted(path.name for path in cache.glob("*/*")) == [".x-0123abcd.engine", "x.lock", "x.lock", "x.unfinished"]
    assert fcnrt("cache", "clear")[0] == 0
    assert {path.name for path in cache.glob("*/*")} == {"x.lock"}


@pytest.mark.skipif(find_gpu() is not None, reason="written for a machine without a GPU")
def test_explains(fcnrt, engine: Path, tiny_model: Path, write_tiny_model, tmp_path: Path) -> None:
    code, out, _ = fcnrt("cache", "explain", tiny_model)
    assert code == 0
    assert out.splitlines()[1] == f"  {engine.name} fits"
    other = write_tiny_model(tmp_path / "other.onnx", outputs=("class_map", "confidence"))
    code, out, _ = fcnrt("cache", "explain", other)
    assert out.splitlines()[1:] == [
        "  no engine fits; where there is an NVIDIA GPU, a run with --backend tensorrt builds one"
    ]


@pytest.mark.skipif(find_gpu() is not None, reason="written for a machine without a GPU")
@pytest.mark.parametrize("device", ["auto", "cpu", "cuda:0"])
def test_running_with_tensorrt_needs_a_gpu_before_it_builds(
    fcnrt, cache: Path, picture: Path, tiny_model: Path, tmp_path: Path, device: str
) -> None:
    options = ("--model", tiny_model, "--backend", "tensorrt", "--device", device, "-o", tmp_path / "x.png")
    code, out, err = fcnrt("run", picture, *options)
    reason = (
        "TensorRT runs on NVIDIA GPUs only"
        if device == "cpu"
        else "TensorRT needs an NVIDIA GPU, and there is no cuda:0 here (nvidia-smi must list it)"
    )
    assert (code, out) == (1, "")
    assert err == f"error: {reason}; on the CPU, ONNX Runtime runs .onnx files\n"
    assert not cache.exists()


def test_running_an_engine_that_does_not_exist_is_one_line(fcnrt, picture: Path, tmp_path: Path) -> None:
    code, out, err = fcnrt("run", picture, "--model", tmp_path / "no.engine", "-o", tmp_path / "x.png")
    assert (code, out) == (1, "")
    assert err == (
        f"error: {tmp_path}/no.engine does not exist; build it with: fcnrt build MODEL.onnx -o {tmp_path}/no.engine\n"
    )
