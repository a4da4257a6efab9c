from __future__ import annotations

import pytest

LONG = "x" * 300


@pytest.mark.parametrize(
    "command",
    [
        ("run", LONG),
        ("run", "picture.png", "--model", f"{LONG}.onnx"),
        ("info", f"{LONG}.onnx"),
        ("info", f"{LONG}.engine"),
        ("info", f"{LONG}.pth"),
        ("verify", f"{LONG}.onnx"),
        ("verify", f"{LONG}.engine"),
        ("build", f"{LONG}.onnx"),
        ("pack", f"{LONG}.onnx"),
        ("bench", f"{LONG}.onnx"),
        ("export", "--checkpoint", f"{LONG}.pth"),
        ("export", "-o", f"{LONG}.onnx"),
        ("convert", f"{LONG}.pth", "-o", "x.safetensors"),
        ("evaluate", f"{LONG}.pth", "--data", "."),
        ("evaluate", f"{LONG}.onnx", "--data", LONG),
        ("train", "--data", LONG, "--output", "run"),
        ("train", "--data", ".", "--output", LONG),
        ("data", "synth", LONG),
        ("run", "picture.png", "-o", LONG),
    ],
    ids=lambda command: " ".join(command).replace(LONG, "LONG"),
)
def test_one_line_and_exit_code_1(fcnrt, command: tuple[str, ...], tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").touch()
    code, out, err = fcnrt(*command)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
