"""The C++ program that embeds Python: the same class maps, and the interpreter's lock is free while it computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.onnx", "8", "8", "1"], "gone.onnx does not exist; "),
        (["gone.onnx", "0", "0", "1"], "HEIGHT, WIDTH and ROUNDS must be at least 1"),
        (["gone.onnx", "-1", "5", "1"], "HEIGHT, WIDTH and ROUNDS must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_said(programs, tmp_path: Path, arguments: list[str], message: str) -> None:
    command = [programs.folder / "measure_embedded", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


_MISUSE = """
#include <iostream>
#include "segmenter.hpp"
int main(int, char** arguments) try {
    const fcnrt::Python python(arguments[1]);
    const fcnrt::Segmenter segment(arguments[2]);
    std::uint8_t pixels[3] = {};
    for (const bool frame : {false, true}) try {
        segment(frame ? pixels : nullptr, frame ? nullptr : pixels, 1, 1);
    } catch (const std::invalid_argument& error) { std::cout << error.what() << '\\n'; }
} catch (const std::exception& error) { std::cout << error.what() << '\\n'; }
"""


def test_misuse_of_the_header_is_said(programs, cpp_compiler: str, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "misuse.cpp").write_text(_MISUSE)
    import pybind11

    include, library = sysconfig.get_path("include"), sysconfig.get_config_var("LIBDIR")
    command = [cpp_compiler, "-std=c++17", "-O0", "-fvisibility=hidden", "-I", include, "-I", pybind11.get_include()]
    command += [
        "-I",
        Path(__file__).parents[2] / "examples" / "cpp_embed",
        tmp_path / "misuse.cpp",
        "-o",
        tmp_path / "misuse",
        "-L",
        library,
    ]
    command += [f"-lpython{sysconfig.get_config_var('LDVERSION')}", f"-Wl,-rpath,{library}"]
    subprocess.run(command, check=True)

    def run(python: str | Path, environment: dict[str, str]) -> str:
        command = [tmp_path / "misuse", python, tiny_model]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run(sys.executable, dict(os.environ)) == "the frame and the class map must not be null\n" * 2
    gone = tmp_path / "gone" / "python"
    assert run(gone, dict(os.environ)) == f"there is no Python at {gone}\n"
    venv.create(tmp_path / "bare", symlinks=True)
    bare = tmp_path / "bare" / "bin" / "python"
    message = f"fcnrt is not installed for {bare}; give the python of its environment\n"
    assert run(bare, {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}) == message


def test_other_threads_get_the_interpreter_while_the_network_computes(programs, demo_pack: Path) -> None:
    command = [programs.folder / "measure_embedded", demo_pack / "fcn8s.onnx", "512", "512", "2"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(found["call"]) == len(found["computing"]) == 2
    # Were the lock held, there would be the few chances before and after the computation.
    assert found["takes_of_the_lock"] > 100
