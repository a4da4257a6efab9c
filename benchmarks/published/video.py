"""`fcnrt run` on a film: how much of the bare runner's frame rate is left, and whether memory grows with the length."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ...datasets.clip import write_clip
from ...runtime.errors import InferenceError
from ...runtime.segmenter import Segmenter
from ...runtime.spec import ImageSize
from ..child_process import FCNRT_PROGRAM, run_child
from ..ratio import paired_ratio
from ..report import Outcome, Row

LENGTH_RATIO = 4
"""How many times as many frames the longer film has."""

_SEED, _FPS = 77, 30
_RATE_AT_LEAST = 0.95
_MEMORY_AT_MOST = 1.05  # allocators do not repeat to the byte; keeping the frames would give 2 and more


def measure_video(
    model: Path,
    folder: Path,
    *,
    frames: int,
    size: ImageSize,
    pairs: int,
    program: Sequence[str] = FCNRT_PROGRAM,
) -> list[Row]:
    """Measure the frame rate of `fcnrt run` against the bare runner's, and its peak memory; two rows.

    The program runs on a short and on a long film. What it does once (starting, loading the model, closing the file)
    takes the same time in both, so that the difference is the time of the further frames alone.

    Args:
        model: Exported model.
        folder: Where to write films and results.
        frames: Length of the short film; more than an encoder looks ahead (about 45).
        size: Size of the films, even height and width.
        pairs: How often to measure both sides, alternately.
        program: The command that is `fcnrt`.

    Raises:
        InferenceError: If the program fails, or takes no longer for more frames.
    """
    lengths = {"short": frames, "long": LENGTH_RATIO * frames}
    films = {name: folder / f"{name}.mp4" for name in lengths}
    for name, film in films.items():
        write_clip(film, seed=_SEED, frames=lengths[name], fps=_FPS, size=size)
    further = _decode(films["long"])[frames:]
    label = {name: f"{count} frames" for name, count in lengths.items()}
    rates: dict[str, list[float]] = {"fcnrt run": [], "bare runner": []}
    memory: dict[str, list[float]] = {label["short"]: [], label["long"]: []}

    def run_program() -> float:
        seconds = {}
        for name, film in films.items():
            options = ("--model", str(model), "--device", "cpu", "--output", str(folder / f"{name}-overlay.mp4"))
            run = run_child([*program, "run", str(film), *options], folder=folder)
            memory[label[name]].append(run.peak_rss_mib)
            seconds[name] = run.wall_s
        if seconds["long"] <= seconds["short"]:
            raise InferenceError(
                f"fcnrt run took {seconds['long']:.2f} s for {label['long']} and {seconds['short']:.2f} s for "
                f"{label['short']}; take a longer film, or a machine that is less busy"
            )
        return len(further) / (seconds["long"] - seconds["short"])

    with Segmenter.open(model, device="cpu") as segment:

        def run_bare() -> float:
            start = time.perf_counter()
            for frame in further:
                segment(frame)
            return len(further) / (time.perf_counter() - start)

        run_bare()  # warm-up; the program's is in the short film
        for pair in range(pairs):
            # Whichever side runs first in a pair does so in every other pair.
            if pair % 2 == 0:
                rates["fcnrt run"].append(run_program())
            rates["bare runner"].append(run_bare())
            if pair % 2 == 1:
                rates["fcnrt run"].append(run_program())
    return [_rate_row(rates, label, size), _memory_row(memory, size)]


def _decode(film: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(film)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in container.decode(video=0)]


def _rate_row(rates: dict[str, list[float]], label: dict[str, str], size: ImageSize) -> Row:
    ratio = paired_ratio(rates["fcnrt run"], rates["bare runner"])
    return Row(
        name="video-rate",
        title=f"`fcnrt run` on a {size} video, demo FCN-8s, overlay",
        scope=(
            f"frames per second on a film of {size}, CPU; fcnrt run = the program in a process of its own (decode, "
            f"infer, overlay, encode H.264), further frames divided by further time of {label['long']} over "
            f"{label['short']}, so that starting and loading are excluded; bare runner = the Segmenter alone in a loop "
            "over the same further frames, decoded beforehand; measured alternately"
        ),
        unit="frames/s",
        samples={name: tuple(values) for name, values in rates.items()},
        outcomes=(
            Outcome(
                value=ratio.value,
                meaning="of the bare runner's frame rate",
                interval=(ratio.low, ratio.high),
                at_least=_RATE_AT_LEAST,
            ),
        ),
    )


def _memory_row(memory: dict[str, list[float]], size: ImageSize) -> Row:
    short, long = memory.values()
    return Row(
        name="video-memory",
        title=f"`fcnrt run` on a {size} video, peak memory",
        scope=(
            f"peak resident memory of the process of fcnrt run (maximum RSS that the kernel reports) on a film of "
            f"{size} and on one {LENGTH_RATIO} times as long, CPU, overlay; the same runs as for video-rate"
        ),
        unit="MiB",
        samples={name: tuple(values) for name, values in memory.items()},
        outcomes=(
            Outcome(
                value=median(long) / median(short),
                meaning=f"times the memory for {LENGTH_RATIO} times the frames",
                at_most=_MEMORY_AT_MOST,
            ),
        ),
    )
