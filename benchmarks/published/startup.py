"""How long a user waits before anything happens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ...runtime.spec import ImageSize
from ..child_process import FCNRT_PROGRAM, run_child
from ..report import Outcome, Row

_HELP_AT_MOST_S = 0.2
_FIRST_CLASS_MAP_AT_MOST_S = 0.6

_FIRST_CLASS_MAP = """
import numpy as np
from fcnrt import Segmenter
from fcnrt.export.demo import demo_model

with Segmenter.open(demo_model(), device="cpu") as segment:
    class_map = segment(np.zeros(({height}, {width}, 3), np.uint8))
    print(class_map.shape, flush=True)
"""


def measure_help(folder: Path, *, launches: int, program: Sequence[str] = FCNRT_PROGRAM) -> Row:
    """Measure the wall time of `fcnrt --help`.

    Args:
        folder: Where to run it.
        launches: Measured runs, after one that fills the file caches.
        program: The command that is `fcnrt`.

    Raises:
        InferenceError: If the program fails.
    """
    command = [*program, "--help"]
    run_child(command, folder=folder)
    seconds = tuple(run_child(command, folder=folder).wall_s for _ in range(launches))
    return Row(
        name="help",
        title="`fcnrt --help`",
        scope="wall time of the process of fcnrt --help, from its start to its end; file caches warm",
        unit="s",
        samples={"fcnrt --help": seconds},
        outcomes=(Outcome(value=median(seconds), meaning="s, median", at_most=_HELP_AT_MOST_S),),
    )


def first_class_map_command(size: ImageSize) -> list[str]:
    """A command that segments one frame with the demo model and then writes to stdout."""
    return [sys.executable, "-c", _FIRST_CLASS_MAP.format(height=size.height, width=size.width)]


def measure_first_class_map(folder: Path, *, launches: int, size: ImageSize, command: Sequence[str]) -> Row:
    """Measure the time from starting a process to its first class map.

    Args:
        folder: Where to run it.
        launches: Measured runs, after one that exports the demo model if need be and fills the file caches.
        size: Size of the frame.
        command: What writes to stdout when it has the class map.

    Raises:
        InferenceError: If the command fails.
    """
    run_child(command, folder=folder)
    seconds = []
    for _ in range(launches):
        first_output_s = run_child(command, folder=folder).first_output_s
        assert first_output_s is not None, "the command reports its class map"
        seconds.append(first_output_s)
    return Row(
        name="first-class-map",
        title=f"Start of Python to the first class map, demo FCN-8s, {size}",
        scope=(
            f"from starting python on a script that opens the demo model from the cache and segments one {size} frame "
            "on the CPU, to its message that the class map is there; file caches warm"
        ),
        unit="s",
        samples={"first class map": tuple(seconds)},
        outcomes=(Outcome(value=median(seconds), meaning="s, median", at_most=_FIRST_CLASS_MAP_AT_MOST_S),),
    )
