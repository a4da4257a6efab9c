"""What the C library does with memory that is free: kept for what comes next, or returned to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt in glibc's malloc.h, and what glibc begins with.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 << 10, _MMAP_MAX: 65_536}
_KEEP = {_TRIM_THRESHOLD: (1 << 31) - 1, _MMAP_MAX: 0}


def return_free_memory() -> None:
    """Return what the C library keeps of freed memory to the system.

    glibc cuts activations of up to 32 MB out of one heap, where a small block that is still in use holds on to all
    that was freed below it.
    """
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


@contextmanager
def keeping_free_memory() -> Iterator[None]:
    """Let the C library keep freed memory, for work that asks for the same sizes over and over.

    glibc gets blocks above 32 MB from the system and returns them at once, and the system clears each page anew. A
    step of a training on the CPU takes most of its memory in such blocks: a third of its time went into that.
    """
    mallopt = _function("mallopt")
    if mallopt is None:
        yield
        return
    for parameter, value in _KEEP.items():
        mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in _DEFAULTS.items():
            mallopt(parameter, value)
        return_free_memory()


def _function(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of the C library; None with others than glibc, which do not have it."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
