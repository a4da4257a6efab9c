from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fcnrt.runtime.engines.tensorrt_library import choose_library, load_flavor
from fcnrt.runtime.errors import MissingDependencyError


def installed(**versions: str) -> Any:
    """A function that imports only the modules named here."""

    def load(name: str) -> Any:
        if name not in versions:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return SimpleNamespace(__version__=versions[name])

    return load


BOTH = installed(tensorrt="11.4.0", tensorrt_rtx="1.7.1")


@pytest.mark.parametrize(
    ("target", "gpu_present", "chosen"),
    [
        ("auto", True, "TensorRT 11.4.0"),
        ("auto", False, "TensorRT-RTX 1.7.1"),
        ("tensorrt", False, "TensorRT 11.4.0"),
        ("rtx", True, "TensorRT-RTX 1.7.1"),
    ],
)
def test_choice(target: Any, gpu_present: bool, chosen: str) -> None:
    assert str(choose_library(target, gpu_present=gpu_present, load=BOTH)) == chosen


def test_takes_rtx_where_tensorrt_is_missing() -> None:
    assert choose_library("auto", gpu_present=True, load=installed(tensorrt_rtx="1.7")).flavor == "tensorrt_rtx"


def test_nothing_installed() -> None:
    with pytest.raises(MissingDependencyError, match=r"TensorRT cannot be .*fcnrt\[tensorrt\].*TensorRT-RTX .*\[rtx\]"):
        choose_library("auto", gpu_present=True, load=installed())


def test_too_old() -> None:
    with pytest.raises(MissingDependencyError, match=r"TensorRT 8\.6\.1 is too old, fcnrt needs 10\.0 or newer"):
        load_flavor("tensorrt", load=installed(tensorrt="8.6.1"))


def test_a_library_that_cannot_be_loaded() -> None:
    def load(name: str) -> Any:
        raise OSError("libnvinfer.so.10: cannot open shared object file")

    with pytest.raises(MissingDependencyError, match="libnvinfer"):
        load_flavor("tensorrt", load=load)
