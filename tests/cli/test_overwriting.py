"""No command writes a result in the place of what it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fcnrt.fcn_models.weights import bundled


@pytest.mark.parametrize(
    "command",
    [
        ("export", "--checkpoint", "net.safetensors", "-o", "net.safetensors"),
        ("convert", "net.safetensors", "-o", "./net.safetensors"),
        ("evaluate", "net.onnx", "--data", ".", "--json", "net.onnx"),
        ("evaluate", "net.onnx", "--data", ".", "--json", "x.png", "--plot", "x.png"),
        ("bench", "net.onnx", "--json", "net.onnx"),
        ("bench", "net.onnx", "--reference", "net.safetensors", "--html", "net.safetensors"),
        ("bench", "net.onnx", "--json", "x", "--html", "x"),
    ],
    ids=" ".join,
)
def test_it_is_refused(
    fcnrt, tiny_model: Path, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy2(bundled("fcn8s"), "net.safetensors")
    shutil.copy2(tiny_model, "net.onnx")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code, out, err = fcnrt(*command)
    assert (code, out) == (1, "")
    assert err.startswith("error: cannot write ")
    assert "it is one of the inputs" in err or "another result has this name" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_engine_is_called_one(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy2(tiny_model, tmp_path / "net.onnx"))
    code, _, err = fcnrt("build", model, "-o", model)
    assert code == 2
    assert "net.onnx must end in .engine" in err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
