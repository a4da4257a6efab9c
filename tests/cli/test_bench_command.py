from __future__ import annotations

from pathlib import Path

import pytest

from fcnrt.benchmarks.bench import DEFAULT_SCENES, DEFAULT_SIZE
from fcnrt.benchmarks.bench_report import BenchReport
from fcnrt.cli import bench as command

SMALL = ("--size", "24x32", "--scenes", "1", "--rounds", "2", "--device", "cpu")


def test_a_model_is_measured(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    done = fcnrt("bench", tiny_model, *SMALL, "--batch", 2, "--json", tmp_path / "bench.json")
    assert done.exit_code == 0, done.err
    assert "Speed at 24x32, batch 2: ms per call" in done.out
    assert "fcnrt onnxruntime cpu" in done.out
    assert "✔ nothing was compared with PyTorch: speed alone was measured" in done.out
    assert "note: no PyTorch reference: tiny.onnx was not exported from the bundled weights" in done.err
    report = BenchReport.read(tmp_path / "bench.json")
    assert report.members[0].peak_memory_mib is not None
    assert report.accuracy[0].counts is None  # its classes are not those of the scenes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "512"), "'512' is not a size; write HEIGHTxWIDTH"),
        (("--backend", "abacus"), "'abacus' is not a backend; there are onnxruntime"),
        (("--device", "tpu"), "'tpu' is not a device"),
    ],
)
def test_wrong_usage_has_exit_code_2(fcnrt, tiny_model: Path, arguments: tuple[str, ...], message: str) -> None:
    done = fcnrt("bench", tiny_model, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.err.replace("│", " ").split())


def test_bad_input_is_one_line(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((tmp_path / "missing.onnx",), "missing.onnx"),
        ((tiny_model, "--json", tmp_path / "nowhere" / "bench.json"), "there is no folder"),
        ((tiny_model, "--json", tmp_path), "it is a folder"),
        ((tiny_model, "--peers"), "peers run the network as it was before export"),
    ):
        done = fcnrt("bench", *arguments, *SMALL)
        assert done.exit_code == 1
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert message in done.err


def test_defaults_in_the_help_are_those_of_the_measuring() -> None:
    assert str(DEFAULT_SIZE) == command._DEFAULT_SIZE
    assert command._DEFAULT_SCENES == DEFAULT_SCENES
