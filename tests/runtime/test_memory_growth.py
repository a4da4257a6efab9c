"""Memory does not grow with the number of calls; and the measurement is shown to see a leak.

Each way is measured in a new process, which is this file: where many tests have run before, freed memory hides a leak.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.gpu import dlpack
from fcnrt.runtime.segmenter import Segmenter

_CALLS = 10_000
_WARM_UP = 1_000  # allocators find their arrangement
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = 4096

# What is allowed in all: less than any leak of one object in each call.
_PYTHON_BYTES = 8 * _CALLS
_PROCESS_BYTES = 64 * _CALLS

FRAME = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def growth(call: Callable[[], object]) -> tuple[int, int]:
    """Bytes that Python's allocator and the process hold more after many calls: of Python's, every one is counted."""
    for _ in range(_WARM_UP):
        call()
    gc.collect()
    before = _resident()
    for _ in range(_CALLS):
        call()
    gc.collect()
    process = _resident() - before
    with _traced():
        call()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        for _ in range(_CALLS):
            call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - held, process


@contextmanager
def _traced() -> Iterator[None]:
    tracemalloc.start(1)
    try:
        yield
    finally:
        tracemalloc.stop()


OUT = np.empty((3, 4), np.uint8)
KEPT: list[object] = []


def _tensor(segmenter: Segmenter) -> object:
    import torch

    return segmenter(torch.from_numpy(FRAME))


WAYS: dict[str, Callable[[Segmenter], object]] = {
    "new memory": lambda segmenter: segmenter(FRAME),
    "out": lambda segmenter: segmenter(FRAME, out=OUT),
    "tensor": _tensor,
    "a copy": lambda segmenter: segmenter(FRAME[..., ::-1]),
    "predict": lambda segmenter: segmenter.predict(FRAME),
    "capsules": lambda _: dlpack.read_capsule(
        dlpack.make_capsule(object(), OUT.ctypes.data, OUT.shape, (dlpack.CPU, 0), versioned=False)
    ),
}
LEAK = "a leak"


def _measured(model: Path, way: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, __file__, model, way], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    python, process = json.loads(done.stdout)
    return python, process


needs_linux = pytest.mark.skipif(not _STATM.exists(), reason="reads the memory of the process as Linux tells it")


@needs_linux
@pytest.mark.parametrize("way", WAYS)
def test_ten_thousand_calls(tiny_model: Path, way: str) -> None:
    python, process = _measured(tiny_model, way)
    assert python < _PYTHON_BYTES
    assert process < _PROCESS_BYTES


@needs_linux
def test_a_leak_is_seen(tiny_model: Path) -> None:
    python, process = _measured(tiny_model, LEAK)
    assert python > _PYTHON_BYTES
    assert process > _PROCESS_BYTES


if __name__ == "__main__":
    with Segmenter.open(sys.argv[1], device="cpu", threads=1) as opened:
        chosen = {**WAYS, LEAK: lambda segmenter: KEPT.append(segmenter(FRAME))}[sys.argv[2]]
        sys.stdout.write(json.dumps(growth(lambda: chosen(opened))))
