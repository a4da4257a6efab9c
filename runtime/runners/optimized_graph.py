"""The graph as ONNX Runtime rearranges it for this processor, kept in the user's cache for large networks.

Before a network runs on a CPU, the weights of its convolutions are laid out for the processor's widest instructions.
For networks of the paper's width that takes seconds and three times the weights' memory, at every start. What comes out
is kept, its weights in a file beside it: the next process maps them, which takes no time, reads them when they are
first used, and shares them with all others that run the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import atomic_folder, remove_folder, remove_leftovers
from ..cache import cache_dir
from ..errors import OutputError
from ..file_lock import file_lock, free_locks
from ..onnx_header import read_metadata
from ..processor_flags import processor_flags
from .weights_in_place import open_in_place

_LARGE = 64 << 20  # bytes of a file from which on it pays
_GRAPH, _WEIGHTS, _MADE_FROM = "graph.onnx", "weights.bin", "made_from.json"
_BESIDE_FROM = "1024"  # bytes of a constant from which on it lies in the file beside the graph


def optimized_dir() -> Path:
    """Where these graphs lie, each in a folder; not made yet.

    Raises:
        OutputError: See `cache_dir`.
    """
    return cache_dir() / "optimized"


@dataclass(frozen=True)
class KeptGraph:
    """A graph in the cache.

    Attributes:
        path: Its folder.
        made_from: What it belongs to, by name; empty if that is missing or damaged.
        size_bytes: Size of the graph and its weights.
        modified: When it was made, in seconds since 1970.
    """

    path: Path
    made_from: Mapping[str, str | int]
    size_bytes: int
    modified: float


def kept_graphs() -> list[KeptGraph]:
    """All graphs in the cache, the newest first."""
    graphs = []
    for folder in optimized_dir().glob("[!.]*"):
        if not folder.is_dir():  # a lock
            continue
        made_from = {}
        with suppress(OSError, ValueError, TypeError):
            made_from = dict(json.loads((folder / _MADE_FROM).read_text(encoding="utf-8")))
        size = sum(file.stat().st_size for file in folder.iterdir())
        graphs.append(KeptGraph(folder, made_from, size, folder.stat().st_mtime))
    return sorted(graphs, key=lambda graph: graph.modified, reverse=True)


def remove_unfinished_graphs() -> None:
    """Delete what processes that were killed have left of graphs; what others are making now stays.

    Raises:
        OutputError: If it cannot be deleted.
    """
    for lock in free_locks(optimized_dir()):
        remove_leftovers(lock.with_suffix(""))


def is_large(path: Path) -> bool:
    """Whether an exported file is one whose graph is kept."""
    return path.stat().st_size >= _LARGE


def kept_graph(path: Path) -> Path | None:
    """The folder in the cache with the graph of an exported file, whether it fits or not; None if there is none."""
    with suppress(OSError, OutputError):  # there is no cache, or none that may be looked at
        folder = _folder(path)
        return folder if folder.is_dir() else None
    return None


def _folder(path: Path) -> Path:
    return optimized_dir() / hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


def optimized_graph(onnxruntime: Any, path: Path, options: Any) -> Path | None:
    """The rearranged graph of an exported file, made and kept if it is not there.

    One is kept for each path: it belongs to the file's size, time and metadata (which name the checkpoint and how it
    was exported), the version of ONNX Runtime, and the processor. Of several processes at once, one makes it.

    Args:
        onnxruntime: The imported module.
        path: The exported file; usable on the CPU.
        options: Session options to make it with; changed.

    Returns:
        An ONNX file to be opened as it is, without optimisations; None if `path` is a small file, or if the graph
        cannot be kept, for example because the disk is full.
    """
    if not is_large(path):
        return None
    made_from = _made_from(onnxruntime, path)
    # It is a cache: nothing that keeps it from being written keeps the network from running.
    with suppress(OSError, OutputError):
        folder = _folder(path)
        if _is_made_from(folder, made_from):
            return folder / _GRAPH
        with file_lock(folder.with_suffix(".lock")):
            if _is_made_from(folder, made_from) or _make(onnxruntime, path, options, folder, made_from):
                return folder / _GRAPH
    return None


def _make(onnxruntime: Any, path: Path, options: Any, folder: Path, made_from: str) -> bool:
    remove_leftovers(folder)
    _remove_graphs_without_model()
    if shutil.disk_usage(folder.parent).free < 2 * path.stat().st_size:
        return False
    with atomic_folder(folder) as draft:
        options.optimized_model_filepath = str(draft / _GRAPH)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", _BESIDE_FROM
        )
        try:
            open_in_place(onnxruntime, path, options)
        except Exception as exc:  # ONNX Runtime's errors have no common base class; opening the file itself tells more
            raise OutputError(f"cannot make {folder}") from exc
        # A device may lose its power at any time: what has a name must be there.
        for made in draft.iterdir():
            with made.open("rb") as file:
                os.fsync(file.fileno())
        (draft / _MADE_FROM).write_text(made_from, encoding="utf-8")
    return True


def _remove_graphs_without_model() -> None:
    """Make room: a model that was deleted or has another name now leaves a graph as large as itself."""
    models = {graph.path: graph.made_from.get("model") for graph in kept_graphs()}
    for lock in free_locks(optimized_dir()):
        model = models.get(lock.with_suffix(""))
        if isinstance(model, str) and not Path(model).exists():
            remove_folder(lock.with_suffix(""))


def _is_made_from(folder: Path, made_from: str) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return (folder / _MADE_FROM).read_text(encoding="utf-8") == made_from
    return False


def _made_from(onnxruntime: Any, path: Path) -> str:
    status = path.stat()
    metadata = json.dumps(read_metadata(path), sort_keys=True)
    values = {
        "model": str(path.resolve()),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "metadata_sha256": hashlib.sha256(metadata.encode()).hexdigest(),
        "onnxruntime": str(onnxruntime.__version__),
        "processor": f"{platform.machine()} {_instruction_sets()}",
    }
    return json.dumps(values, indent=1)


def _instruction_sets() -> str:
    """What the layout of weights depends on: the processor's extensions as Linux lists them, elsewhere its name."""
    flags = processor_flags()
    return hashlib.sha256(flags.encode()).hexdigest()[:16] if flags else platform.processor()
