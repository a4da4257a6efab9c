"""In a process of its own: what a C library does with free memory depends on all that was asked of it before."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import mmap, resource, sys
import numpy as np
from fcnrt.export.heap import keeping_free_memory

def cleared_pages(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(64 << 20, np.uint8)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / (times * (64 << 20) / mmap.PAGESIZE)

def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * mmap.PAGESIZE / 1e6

without = cleared_pages(10)
with keeping_free_memory():
    cleared_pages(1)
    kept, inside = cleared_pages(10), resident_mb()
print(without, kept, inside - resident_mb(), cleared_pages(10))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told to keep memory")
def test_memory_is_kept_inside_and_returned_behind() -> None:
    # Pages that the system joins into large ones are not counted one by one.
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True, env=environment)
    without, kept, returned_mb, behind = map(float, done.stdout.split())
    assert without > 0.9
    assert kept < 0.1
    assert returned_mb > 50
    assert behind > 0.9
