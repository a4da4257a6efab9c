"""TensorRT-RTX's runtime cache in a file: kernels that one process has compiled, the next takes as they are.

TensorRT-RTX leaves the last step to the GPU that runs an engine. Whether a cache is of this GPU, driver and version it
checks itself, and refuses others.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ..atomic import make_folder, write_bytes
from ..errors import OutputError


class KernelCache:
    """The kernels of one engine; it must outlive the engine's contexts. What cannot be read or kept is compiled again.

    Args:
        path: File that keeps them; written by `save`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runtime_cache: Any = None
        self._loaded = b""

    def create_context(self, engine: Any, strategy: Any) -> Any | None:
        """An execution context that takes its kernels from here and adds others; None if TensorRT refuses.

        Args:
            engine: The engine; the GPU must be current.
            strategy: How the context allocates memory.
        """
        runtime_config = engine.create_runtime_config()
        if runtime_config is None:
            return engine.create_execution_context(strategy)
        runtime_config.set_execution_context_allocation_strategy(strategy)
        if self._runtime_cache is None:
            self._runtime_cache = self._load(runtime_config)
        if self._runtime_cache is not None and not runtime_config.set_runtime_cache(self._runtime_cache):
            self._runtime_cache = None
        return engine.create_execution_context(runtime_config)

    def save(self) -> None:
        """Write the file, if there are other kernels than it holds."""
        blob = None if self._runtime_cache is None else self._runtime_cache.serialize()
        if blob is None or (data := bytes(memoryview(blob))) == self._loaded:
            return
        with suppress(OSError, OutputError):
            make_folder(self._path.parent)
            write_bytes(self._path, data)

    def _load(self, runtime_config: Any) -> Any | None:
        runtime_cache = runtime_config.create_runtime_cache()
        with suppress(OSError):
            data = self._path.read_bytes()
            if runtime_cache is not None and runtime_cache.deserialize(data):
                self._loaded = data
        return runtime_cache
