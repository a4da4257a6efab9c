"""How long opening a network takes and how much memory it needs, seen in a process of its own.

Run as a program, this module is that process.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from ..runtime.spec import ImageSize
from .child_process import run_child
from .recipe import Recipe

_CALLS = 3  # the second call of a size is where allocators have found their arrangement
_LIBRARIES = {"pytorch": "torch"}  # backends that are called otherwise than their library


@dataclass(frozen=True)
class Probe:
    """What a process saw.

    Attributes:
        load_s: Time to open the network, its library already imported, in seconds.
        peak_memory_mib: The most physical memory the process held, in MiB, library included.
    """

    load_s: float
    peak_memory_mib: float


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
        return Probe(load_s=json.loads(result.read_text()), peak_memory_mib=run.peak_rss_mib)


def _run(recipe: Recipe, size: ImageSize, batch: int, result: Path) -> None:
    from .subject import open_subject

    with suppress(ImportError):  # what is really missing is reported when it is needed
        import_module(_LIBRARIES.get(recipe.backend, recipe.backend))
    start = time.perf_counter()
    with open_subject(recipe) as subject:
        load_s = time.perf_counter() - start
        frames = np.zeros((batch, size.height, size.width, 3), np.uint8)
        for _ in range(_CALLS):
            subject.segmenter(frames)
    result.write_text(json.dumps(load_s))


if __name__ == "__main__":
    _run(Recipe.from_json(sys.argv[1]), ImageSize.parse(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
