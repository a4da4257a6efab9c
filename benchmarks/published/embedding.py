"""What a C++ program pays for calling fcnrt in an embedded Python, instead of a network in C++: time per frame."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from ...runtime.errors import MissingDependencyError
from ...runtime.spec import ImageSize
from ..report import Outcome, Row

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cpp_embed"
_ADDED_AT_MOST_MS = 0.2


def measure_embedding(model: Path, folder: Path, *, size: ImageSize, rounds: int) -> Row:
    """Measure what the way from C++ through Python adds to a frame.

    Args:
        model: Exported model.
        folder: Where to compile the measuring program.
        size: Size of the frame.
        rounds: Measured calls.

    Raises:
        MissingDependencyError: If the program cannot be compiled or run here; it is not part of an installed package.
    """
    program = _build(folder / "cpp_embed")
    found = json.loads(_run([program, model, str(size.height), str(size.width), str(rounds)]))
    call, computing = np.asarray(found["call"]), np.asarray(found["computing"])
    added = call - computing
    return Row(
        name="embedding",
        title=f"Added to a frame by an embedded Python, demo FCN-8s, {size}",
        scope=(
            "examples/cpp_embed/measure_embedded.cpp: from a C++ program's frame buffer to its class map, through "
            "an embedded Python and fcnrt's Segmenter; less the time that the same call spends inside of ONNX Runtime; "
            "one thread calls, CPU"
        ),
        unit="ms",
        samples={"added": tuple(added), "whole call": tuple(call)},
        outcomes=(Outcome(value=float(np.median(added)), meaning="ms, median", at_most=_ADDED_AT_MOST_MS),),
    )


def _build(folder: Path) -> Path:
    """The compiled measuring program."""
    if not _EXAMPLE.is_dir() or shutil.which("cmake") is None:
        raise MissingDependencyError(
            f"measuring an embedded Python needs {_EXAMPLE}, CMake, a C++ compiler and pybind11: run it in a clone of "
            "fcnrt, and install what is missing"
        )
    _run(["cmake", "-S", _EXAMPLE, "-B", folder, f"-DPython_EXECUTABLE={sys.executable}"])
    _run(["cmake", "--build", folder, "--target", "measure_embedded"])
    return folder / "measure_embedded"


def _run(command: list[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        complaint = " ".join((done.stderr.strip() or done.stdout.strip()).split())[-300:]
        raise MissingDependencyError(f"{Path(command[0]).name} failed, measuring an embedded Python: {complaint}")
    return done.stdout
