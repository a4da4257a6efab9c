"""`open_runner`: the only place that picks a backend for a model file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from .device import Device
from .runner import Runner

Backend = Literal["onnxruntime"]


def open_runner(
    path: str | os.PathLike[str],
    *,
    backend: Backend | Literal["auto"] = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Runner:
    """Load a model file for the backend that runs it.

    Args:
        path: An ``.onnx`` file that `fcnrt export` wrote.
        backend: Library that computes; ``auto`` chooses by the kind of file.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if one can be used, else the CPU. A device
            that was asked for by name is had or refused, never replaced.
        threads: CPU threads for one frame, at least 1; by default one for each physical core this process may use.

    Raises:
        ModelFileError: If the file is missing, damaged or not written by fcnrt.
        DeviceError: If the device does not exist or cannot be used.
        MissingDependencyError: If the backend is not installed.
        ValueError: If `backend` or `threads` has a value that is not allowed.
    """
    if backend not in ("auto", *get_args(Backend)):
        raise ValueError(f"backend must be auto or {', '.join(get_args(Backend))}, got {backend!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    wanted = Device.parse(device)

    from ._onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner.open(Path(path), device=wanted, threads=threads)
