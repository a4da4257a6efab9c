"""How long opening a network takes and how much memory it needs, seen in a process of its own.

Run as a program, this module is that process.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from ...runtime.device import Device
from ...runtime.gpu.cuda_driver import CudaDriver
from ...runtime.spec import ImageSize
from ..child_process import run_child
from .recipe import Recipe

_CALLS = 3  # the second call of a size is where allocators have found their arrangement
_LIBRARIES = {"pytorch": "torch"}  # backends that are called otherwise than their library


@dataclass(frozen=True)
class Probe:
    """What a process saw.

    Attributes:
        load_s: Time to open the network, its library already imported, in seconds.
        peak_memory_mib: The most physical memory the process held, in MiB, library included.
        device_memory_mib: What it had taken of the GPU's memory in the end, in MiB, without CUDA's own context; None on
            the CPU. Libraries keep what they were once given, so that this is the most they needed.
    """

    load_s: float
    peak_memory_mib: float
    device_memory_mib: float | None = None


def probe(recipe: Recipe, size: ImageSize, batch: int) -> Probe:
    """Open a network in a new process and run it on a few frames.

    Raises:
        InferenceError: If it fails there.
    """
    with tempfile.TemporaryDirectory(prefix="fcnrt-probe-") as folder:
        result = Path(folder) / "load.json"
        arguments = [recipe.to_json(), str(size), str(batch), str(result)]
        # Where the program was started from, so that relative paths hold.
        run = run_child([sys.executable, "-m", __name__, *arguments], folder=Path.cwd())
        load_s, device_memory_mib = json.loads(result.read_text())
        return Probe(load_s, run.peak_rss_mib, device_memory_mib)


def load_and_run(
    recipe: Recipe, size: ImageSize, batch: int, *, memory_taken: Callable[[], int] | None
) -> tuple[float, float | None]:
    """Open a network and run it on a few frames: seconds to open it, and MiB that it took of the GPU's memory.

    Args:
        recipe: What to open.
        size: Size of the frames.
        batch: Frames in a call.
        memory_taken: Bytes of the GPU's memory that are taken now; None on the CPU.
    """
    from .subject import open_subject

    with suppress(ImportError):  # what is really missing is reported when it is needed
        import_module(_LIBRARIES.get(recipe.backend, recipe.backend))
    before = 0 if memory_taken is None else memory_taken()
    start = time.perf_counter()
    with open_subject(recipe) as subject:
        load_s = time.perf_counter() - start
        frames = np.zeros((batch, size.height, size.width, 3), np.uint8)
        for _ in range(_CALLS):
            subject.segmenter(frames)
        taken = None if memory_taken is None else (memory_taken() - before) / 2**20
    return load_s, taken


def _memory_taken(device: str) -> Callable[[], int] | None:
    wanted = Device.parse(device)
    return None if wanted is None or wanted.kind == "cpu" else CudaDriver(wanted.index).memory_taken


if __name__ == "__main__":
    _recipe = Recipe.from_json(sys.argv[1])
    _found = load_and_run(
        _recipe, ImageSize.parse(sys.argv[2]), int(sys.argv[3]), memory_taken=_memory_taken(_recipe.device)
    )
    Path(sys.argv[4]).write_text(json.dumps(_found))
