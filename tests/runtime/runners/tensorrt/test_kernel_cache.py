"""Kernels that TensorRT-RTX compiles when an engine first runs are kept for the next process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .fake_tensorrt import Setup, frames


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiled(
    make_setup: Callable[..., Setup], *sizes: tuple[int, int], refused: str = "", flavor: str = "tensorrt_rtx"
) -> int:
    """For how many profiles kernels were compiled in a new process that segments frames of these sizes."""
    setup = make_setup(flavor=flavor)
    setup.trt.refused.add(refused)
    runner = setup.open()
    for size in sizes:
        image = frames(1, *size)
        np.testing.assert_array_equal(runner.run(image, ("class_map",))["class_map"], image.argmax(-1))
    runner.close()
    assert setup.memory.closed
    return setup.trt.compiled


SMALL_FRAME, LARGE_FRAME = (8, 8), (30, 50)


def test_what_one_process_compiled_the_next_does_not(make_setup: Callable[..., Setup], cache: Path) -> None:
    assert compiled(make_setup, SMALL_FRAME) == 1
    (file,) = (cache / "kernels").iterdir()
    assert file.name.endswith("-NVIDIA-Fake.cache")
    assert compiled(make_setup, SMALL_FRAME, LARGE_FRAME) == 1  # the other profile
    both = file.stat()
    assert compiled(make_setup, LARGE_FRAME, SMALL_FRAME) == 0
    assert file.stat().st_mtime_ns == both.st_mtime_ns  # nothing new, nothing written
    assert list((cache / "kernels").iterdir()) == [file]


def test_a_cache_that_is_refused_is_replaced(make_setup: Callable[..., Setup], cache: Path) -> None:
    compiled(make_setup, SMALL_FRAME)
    (file,) = (cache / "kernels").iterdir()
    file.write_bytes(b"of another driver")
    assert compiled(make_setup, SMALL_FRAME) == 1
    assert compiled(make_setup, SMALL_FRAME) == 0


@pytest.mark.parametrize("refused", ["config", "cache", "serialize"])
def test_without_the_cache_it_runs_as_well(make_setup: Callable[..., Setup], cache: Path, refused: str) -> None:
    compiled(make_setup, SMALL_FRAME, LARGE_FRAME, refused=refused)
    assert not cache.exists()


def test_a_cache_directory_that_cannot_be_made(make_setup: Callable[..., Setup], cache: Path) -> None:
    cache.write_text("a file")
    assert compiled(make_setup, SMALL_FRAME) == 1
    assert cache.read_text() == "a file"


def test_engines_of_tensorrt_are_complete(make_setup: Callable[..., Setup], cache: Path) -> None:
    assert compiled(make_setup, SMALL_FRAME, flavor="tensorrt") == 0
    assert not cache.exists()
