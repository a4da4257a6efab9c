"""How long a user waits before anything happens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ...runtime.atomic import remove_folder
from ...runtime.runners.optimized_graph import kept_graphs
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

_OPENING = """
import sys
import numpy as np
from fcnrt import Segmenter

with Segmenter.open(sys.argv[1], device="cpu") as segment:
    print(segment(np.zeros((64, 64, 3), np.uint8)).shape, flush=True)
"""

FIRST, AGAIN = "first time", "again"


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


def measure_opening(model: Path, folder: Path, *, network: str, launches: int) -> list[Row]:
    """Measure the time from starting a process to the first class map of a large network, and its peak memory.

    Args:
        model: An exported file.
        folder: Where to run it. The graphs in the cache (see `fcnrt.runtime.runners.optimized_graph`) are deleted.
        network: What the file holds, in words.
        launches: Measured pairs of runs, after one that fills the file caches.

    Returns:
        One row for the time and one for the memory.

    Raises:
        InferenceError: If the model cannot be run.
    """
    command = [sys.executable, "-c", _OPENING, str(model)]
    run_child(command, folder=folder)
    seconds: dict[str, list[float]] = {FIRST: [], AGAIN: []}
    memory_mib: dict[str, list[float]] = {FIRST: [], AGAIN: []}
    for _ in range(launches):
        for graph in kept_graphs():
            remove_folder(graph.path)
        for name in (FIRST, AGAIN):
            run = run_child(command, folder=folder)
            assert run.first_output_s is not None, "the command reports its class map"
            seconds[name].append(run.first_output_s)
            memory_mib[name].append(run.peak_rss_mib)
    scope = (
        f"opens an exported file of {model.stat().st_size / 1e6:.1f} MB on the CPU and segments one 64x64 frame; "
        f"{FIRST}: with an empty cache; {AGAIN}: with the graph that was kept then; file caches warm"
    )
    return [
        Row(
            name="full-width-opening",
            title=f"Start of Python to the first class map, {network}",
            scope=f"from starting python on a script to its message that the class map is there: it {scope}",
            unit="s",
            samples={name: tuple(values) for name, values in seconds.items()},
            outcomes=(Outcome(value=median(seconds[AGAIN]), meaning=f"s, {AGAIN}"),),
        ),
        Row(
            name="full-width-opening-memory",
            title=f"The same, peak memory, {network}",
            scope=f"peak resident memory (maximum RSS that the kernel reports) of a script that {scope}",
            unit="MiB",
            samples={name: tuple(values) for name, values in memory_mib.items()},
            outcomes=(
                Outcome(
                    value=median(memory_mib[AGAIN]) / (model.stat().st_size / 2**20),
                    meaning=f"times the file's size, {AGAIN}",
                ),
            ),
        ),
    ]
