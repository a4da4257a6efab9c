"""Which TensorRT is installed: TensorRT 10 or 11, or TensorRT-RTX. One code serves them; they are told apart here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from ..errors import MissingDependencyError

Flavor = Literal["tensorrt", "tensorrt_rtx"]
Target = Literal["auto", "tensorrt", "rtx"]

_TITLES: dict[Flavor, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
_EXTRAS: dict[Flavor, str] = {"tensorrt": "fcnrt[tensorrt]", "tensorrt_rtx": "fcnrt[rtx]"}
_OLDEST_MAJOR: dict[Flavor, int] = {"tensorrt": 10, "tensorrt_rtx": 1}


@dataclass(frozen=True)
class TensorRtLibrary:
    """An imported TensorRT; as text its title and version.

    Attributes:
        flavor: Which one it is.
        version: Its full version.
        trt: The module.
    """

    flavor: Flavor
    version: str
    trt: Any

    def __str__(self) -> str:
        return f"{title(self.flavor)} {self.version}"


def title(flavor: Flavor) -> str:
    """The name people know it by."""
    return _TITLES[flavor]


def load_flavor(flavor: Flavor, *, load: Callable[[str], Any] = import_module) -> TensorRtLibrary:
    """Import one flavour of TensorRT.

    Args:
        flavor: Which one.
        load: Imports a module by its name.

    Raises:
        MissingDependencyError: If it is not installed, its libraries cannot be loaded, or it is too old.
    """
    try:
        module = load(flavor)
        version = str(module.__version__)
    # Its own initialisation raises OSError and RuntimeError when a shared library is missing.
    except (ImportError, OSError, RuntimeError, AttributeError) as exc:
        raise MissingDependencyError(
            f'{title(flavor)} cannot be imported ({exc}). Run: pip install "{_EXTRAS[flavor]}"'
        ) from exc
    if int(version.split(".")[0]) < _OLDEST_MAJOR[flavor]:
        raise MissingDependencyError(
            f"{title(flavor)} {version} is too old, fcnrt needs {_OLDEST_MAJOR[flavor]}.0 or newer. "
            f'Run: pip install --upgrade "{_EXTRAS[flavor]}"'
        )
    return TensorRtLibrary(flavor, version, module)


def made_or_none(make: Callable[..., Any], *arguments: Any) -> Any | None:
    """One of TensorRT's objects; None if it cannot be made.

    The bindings raise a TypeError then ("factory function returned nullptr"); why is in TensorRT's log.
    """
    try:
        return make(*arguments)
    except TypeError:
        return None


def choose_library(target: Target, *, gpu_present: bool, load: Callable[[str], Any] = import_module) -> TensorRtLibrary:
    """Import the TensorRT to build with.

    Args:
        target: ``tensorrt``, ``rtx``, or ``auto``: TensorRT if it is installed and there is a GPU, else TensorRT-RTX,
            which builds without one.
        gpu_present: Whether there is a GPU.
        load: Imports a module by its name.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    if target != "auto":
        return load_flavor("tensorrt" if target == "tensorrt" else "tensorrt_rtx", load=load)
    order: tuple[Flavor, ...] = ("tensorrt", "tensorrt_rtx") if gpu_present else ("tensorrt_rtx",)
    reasons = []
    for flavor in order:
        try:
            return load_flavor(flavor, load=load)
        except MissingDependencyError as exc:  # noqa: PERF203, at most two
            reasons.append(str(exc))
    raise MissingDependencyError("; ".join(reasons))
