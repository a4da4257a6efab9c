"""TensorRT's timing cache in a file: what one build has measured, the next need not measure again.

TensorRT-RTX measures nothing when it builds, and touching its cache makes it ask for a GPU; it gets none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...runtime.atomic import make_folder, write_bytes
from ...runtime.engines.store import timing_dir
from ...runtime.engines.tensorrt_library import TensorRtLibrary
from ...runtime.gpu.gpu import Gpu


def default_timing_cache(library: TensorRtLibrary, gpu: Gpu) -> Path:
    """The file for this TensorRT on this GPU: measurements of another are of no use and refused."""
    name = "".join(letter if letter.isalnum() else "-" for letter in gpu.name)
    return timing_dir() / f"{library.flavor}-{library.version}-{name}.cache"


def load_timing_cache(config: Any, path: Path) -> None:
    """Give a build the measurements in a file; if it is missing, foreign or damaged, an empty cache to fill."""
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    for content in (data, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):  # False: refuse those of another GPU
            return


def save_timing_cache(config: Any, path: Path) -> None:
    """Keep what a build has measured.

    Raises:
        OutputError: If the file cannot be written.
    """
    cache = config.get_timing_cache()
    if cache is None:
        return
    data = memoryview(cache.serialize())
    make_folder(path.parent)
    write_bytes(path, data)
