from __future__ import annotations

import pytest

from fcnrt.benchmarks.published.footprint import closure, installed_mib, measure_footprint


def test_the_packages_are_those_that_running_needs() -> None:
    needed = closure("fcnrt", extra="cpu")
    assert {"fcnrt", "numpy", "opencv-python", "av", "typer", "rich", "onnxruntime"} <= needed
    assert not {"torch", "onnx", "pytest", "lightning"} & needed
    assert not {"onnxruntime", "opencv-python", "av"} & closure("fcnrt")


def test_sizes_are_those_of_the_files() -> None:
    row = measure_footprint()
    (runtime,), (media,), (torch,) = (row.samples[name] for name in ("fcnrt and onnxruntime", "fcnrt[cpu]", "PyTorch"))
    assert media == pytest.approx(installed_mib(closure("fcnrt", extra="cpu")), rel=1e-3)
    assert 100 < runtime < media < torch
    assert media - runtime == pytest.approx(installed_mib({"opencv-python", "av"}), rel=1e-3)
    assert installed_mib({"typer"}) == pytest.approx(1, abs=1)
    assert [outcome.met for outcome in row.outcomes] == [runtime <= 200, None]
