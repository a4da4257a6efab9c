from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fcnrt.cli import export as command
from fcnrt.runtime.engines.manifest import read_manifest
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import MissingDependencyError
from fcnrt.runtime.gpu.gpu import Gpu


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the export and the build are asked for; neither is done."""
    from fcnrt.cli import build
    from fcnrt.export import to_onnx

    calls: list[dict[str, Any]] = []

    def export_onnx(checkpoint: object, path: Path, **options: Any) -> SimpleNamespace:
        calls.append({"export": path, **options})
        return SimpleNamespace(path=path)

    def build_with_progress(model: Path, output: Path, options: object, **rest: Any) -> SimpleNamespace:
        calls.append({"build": model, **rest})
        return SimpleNamespace(path=output)

    monkeypatch.setattr(to_onnx, "export_onnx", export_onnx)
    monkeypatch.setattr(build, "build_with_progress", build_with_progress)
    monkeypatch.setattr(command, "_describe", lambda result: [])
    monkeypatch.setattr(
        command,
        "load_demo",
        lambda variant: SimpleNamespace(
            model=SimpleNamespace(config=SimpleNamespace(variant="fcn8s")), source="demo", class_names=("floor", "wall")
        ),
    )
    return calls


LIBRARY = TensorRtLibrary("tensorrt", "11.4.0", None)


@pytest.mark.parametrize(
    ("gpu", "options", "precision", "name"),
    [
        (Gpu("NVIDIA L4", "8.9", 1), (), "fp16", "fcn8s-fp16"),
        (Gpu("NVIDIA L4", "8.9", 1), ("--precision", "fp32"), "fp32", "fcn8s"),
        (None, (), "fp32", "fcn8s"),
        (None, ("--precision", "fp16"), "fp16", "fcn8s-fp16"),
    ],
)
def test_an_engine_is_fp16_where_there_is_a_gpu(
    fcnrt,
    monkeypatch: pytest.MonkeyPatch,
    exported: list[dict[str, Any]],
    gpu: Gpu | None,
    options: tuple[str, ...],
    precision: str,
    name: str,
) -> None:
    monkeypatch.setattr(command, "_choose_machine", lambda: (LIBRARY, gpu))
    assert fcnrt("export", "--engine", *options)[:2] == (0, f"{name}.onnx\n{name}.engine\n")
    assert exported[0]["precision"] == precision
    assert exported[1] == {"build": Path(f"{name}.onnx"), "machine": (LIBRARY, gpu)}


def test_a_missing_tensorrt_is_said_before_the_export(
    fcnrt, monkeypatch: pytest.MonkeyPatch, exported: list[dict[str, Any]]
) -> None:
    def missing() -> None:
        raise MissingDependencyError("TensorRT cannot be imported")

    monkeypatch.setattr(command, "_choose_machine", missing)
    assert fcnrt("export", "--engine") == (1, "", "error: TensorRT cannot be imported\n")
    assert exported == []


def test_an_engine_that_triton_does_not_run_is_said_before_the_export(
    fcnrt, monkeypatch: pytest.MonkeyPatch, exported: list[dict[str, Any]], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "_choose_machine", lambda: (TensorRtLibrary("tensorrt_rtx", "1.7", None), None))
    code, out, err = fcnrt("export", "--engine", "--triton", tmp_path / "models")
    assert (code, out) == (1, "")
    assert err.startswith(
        "error: Triton's TensorRT backend does not run engines of TensorRT-RTX; build one with TensorRT"
    )
    assert exported == []


def test_both_steps(fcnrt, tensorrt_rtx: Any, slim_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint, model = slim_checkpoint, tmp_path / "net.onnx"
    code, out, err = fcnrt("export", "--checkpoint", checkpoint, "--precision", "fp16", "--engine", "-o", model)
    assert (code, out) == (0, f"{model}\n{tmp_path / 'net.engine'}\n"), err
    assert read_manifest(tmp_path / "net.engine").convolutions == {"fp16": 15, "fp32": 1}
    assert "  proof     convolution layers: 15 in fp16, 1 in fp32" in err


@pytest.fixture
def slim_checkpoint(tmp_path: Path) -> Path:
    import torch

    from fcnrt.fcn_models.checkpoint import save_checkpoint
    from fcnrt.fcn_models.fcn import FCN, FCNConfig
    from fcnrt.fcn_models.voc import voc_palette

    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(
        FCN(FCNConfig(variant="fcn32s", num_classes=3, width=1 / 32, fc_channels=8)),
        path,
        preprocessing="imagenet_rgb",
        class_names=("floor", "wall", "door"),
        palette=voc_palette()[:3],
        notes={},
        dtype="float32",
    )
    return path
