from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fcnrt.cli.app import main
from fcnrt.fcn_models.fcn import FCN, FCNConfig
from fcnrt.runtime.spec import METADATA_KEY, ModelSpec


def _fcnrt(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the program in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["fcnrt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_plain_lines_in_a_pipe(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _fcnrt(monkeypatch, "info", str(tiny_model)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"tiny.onnx · fcn8s · {tiny_model.stat().st_size / 1000:.1f} kB",
        "  input       image uint8 [batch, height, width, 3] RGB",
        "  output      class_map uint8 [batch, height, width]",
        "  precision   fp32",
        "  preprocess  inside the graph (none): pass raw bytes, any size from 1x1",
        "  alignment   same",
        "  opset       17",
        "  source      made by hand for tests",
        f"  checkpoint  sha256 {'0' * 64}",
        "  written by  fcnrt 0.1.0",
        "  classes     3",
        "      0  #ff0000  red",
        "      1  #00ff00  green",
        "      2  #0000ff  blue",
    ]
    assert err == ""


def test_colours_on_a_terminal(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm", "COLUMNS": "60"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert _fcnrt(monkeypatch, "info", str(tiny_model)) == 0
    out = capsys.readouterr().out
    assert "\x1b[38;2;255;0;0m██\x1b[0m red" in out
    assert "\x1b[38;2;0;0;255m██\x1b[0m blue" in out
    assert f"sha256 {'0' * 64}\n" in out  # not wrapped: it is there to be copied


def test_json_for_programs(
    tiny_model: Path, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _fcnrt(monkeypatch, "info", str(tiny_model), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(tiny_model),
        "file_bytes": tiny_model.stat().st_size,
        "inputs": [{"name": "image", "dtype": "uint8", "dims": ["batch", "height", "width", 3]}],
        "outputs": [{"name": "class_map", "dtype": "uint8", "dims": ["batch", "height", "width"]}],
        "spec": json.loads(json.dumps(asdict(tiny_spec))),
    }


def test_scaled_activations_are_mentioned(
    tmp_path: Path,
    tiny_spec: ModelSpec,
    write_tiny_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = json.loads(tiny_spec.to_json()) | {"precision": "fp16", "activation_scale_log2": -3}
    path = write_tiny_model(tmp_path / "half.onnx", metadata={METADATA_KEY: json.dumps(spec)})
    assert _fcnrt(monkeypatch, "info", str(path)) == 0
    assert "  precision   fp16, activations scaled by 2^-3 (results are not affected)\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["net", "net.PTH", "net.pkl", "net.weights", "net.SAFETENSORS"])
def test_a_checkpoint_by_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = FCN(FCNConfig(variant="fcn32s", num_classes=3, width=1 / 32, fc_channels=4)).state_dict()
    for write in (save_file,) if name.lower().endswith("safetensors") else (save_file, torch.save):
        write(state, tmp_path / name)
        assert _fcnrt(monkeypatch, "info", str(tmp_path / name)) == 0
        assert capsys.readouterr().out.startswith(f"{name} · fcn32s checkpoint · ")


def test_wrong_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    assert _fcnrt(monkeypatch, "info", str(tmp_path / "photo.jpg")) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {tmp_path / 'photo.jpg'} is not an ONNX file; make one with: fcnrt export\n"


def test_without_a_file_it_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _fcnrt(monkeypatch, "info") == 2
    assert "MODEL|CHECKPOINT" in capsys.readouterr().err
