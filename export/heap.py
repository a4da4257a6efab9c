"""Giving memory back between the steps of an export."""

from __future__ import annotations

import ctypes
import sys


def return_free_memory() -> None:
    """Return what the C library keeps of freed memory to the system.

    glibc cuts activations of up to 32 MB out of one heap, where a small block that is still in use holds on to all
    that was freed below it.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # others than glibc do not have it
        if trim is not None:
            trim(0)
