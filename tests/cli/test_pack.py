from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.images.files import write_image


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_says_what_was_packed(fcnrt, tiny_model: Path) -> None:
    import onnxruntime

    code, out, err = fcnrt("pack", tiny_model)
    assert (code, out) == (0, "tiny.fcnrt\n")
    assert err.splitlines() == [
        "tiny.onnx · 3 classes",
        f"  expected  from onnxruntime {onnxruntime.__version__} on cpu",
        "  frame     1-257x385: 3 classes",
        "  frame     2-360x640: 3 classes",
        "  frame     3-512x512: 3 classes",
    ]
    assert Path("tiny.fcnrt/SHA256SUMS").is_file()


def test_frames_that_prove_little_are_mentioned(fcnrt, tiny_model: Path) -> None:
    write_image(Path("red.png"), np.full((8, 8, 3), (255, 0, 0), np.uint8))
    code, out, err = fcnrt("pack", tiny_model, "-o", "red", "--frame", "red.png", "--frame", "red.png")
    assert (code, out) == (0, "red\n")
    assert [line.split()[1] for line in err.splitlines() if line.startswith("  frame ")] == ["1-8x8:", "2-8x8:"]
    assert err.splitlines()[-1].startswith("  warning   the network finds one class only in each frame")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.onnx"], "gone.onnx does not exist"),
        (["{model}", "gone.engine"], "gone.engine does not exist"),
        (["{model}", "--frame", "gone.png"], "gone.png: no such file"),
        (["{model}", "-o", "no/where"], "cannot write no/where: No such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(fcnrt, tiny_model: Path, arguments: list[str], message: str) -> None:
    code, out, err = fcnrt("pack", *(text.format(model=tiny_model) for text in arguments))
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []
