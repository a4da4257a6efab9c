"""The C++ program that embeds Python: the same class maps, and the interpreter's lock is free while it computes."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def programs(build):
    """The embedding programs, for the python that runs the tests."""
    pytest.importorskip("pybind11")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip(f"needs a python with a shared libpython, which {sys.executable} is not")
    return build("cpp_embed", f"Python_EXECUTABLE={sys.executable}")


def test_two_threads_get_the_class_maps_of_the_golden_pack(programs, demo_pack: Path, tmp_path: Path) -> None:
    for frame in sorted((demo_pack / "frames").glob("*.ppm"))[:2]:
        programs.segment("segment_embedded", demo_pack / "fcn8s.onnx", frame, tmp_path / "out.pgm")
        assert (tmp_path / "out.pgm").read_bytes() == frame.with_suffix(".classes.pgm").read_bytes()


def test_what_python_raises_is_said(programs, tmp_path: Path) -> None:
    command = [programs.folder / "segment_embedded", tmp_path / "gone.onnx", "frame.ppm", "out.pgm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    model = tmp_path / "gone.onnx"
    assert done.stderr == f"error: {model} does not exist; export a model with: fcnrt export -o {model}\n"


def test_other_threads_get_the_interpreter_while_the_network_computes(programs, demo_pack: Path) -> None:
    command = [programs.folder / "measure_embedded", demo_pack / "fcn8s.onnx", "512", "512", "2"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(found["call"]) == len(found["computing"]) == 2
    # Were the lock held, there would be the few chances before and after the computation.
    assert found["takes_of_the_lock"] > 100
