"""`open_runner`: the only place that picks a backend for a model file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from ..engine_file import is_engine
from ..errors import ModelFileError
from .device import Device
from .runner import Runner

Backend = Literal["onnxruntime", "tensorrt"]
Provider = Literal["auto", "tensorrt"]


def open_runner(
    path: str | os.PathLike[str],
    *,
    backend: Backend | Literal["auto"] = "auto",
    device: str = "auto",
    threads: int | None = None,
    provider: Provider = "auto",
    trust: bool = False,
) -> Runner:
    """Load a model file for the backend that runs it.

    Args:
        path: An ``.onnx`` file that `fcnrt export` wrote, or an ``.engine`` file that `fcnrt build` wrote.
        backend: Library that computes; ``auto`` chooses by the kind of file. With ``tensorrt``, an ``.onnx`` file
            stands for the engine that was built from it into the user's cache; none is built here.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if one can be used, else the CPU. A device
            that was asked for by name is had or refused, never replaced.
        threads: CPU threads for one frame, at least 1; by default one for each physical core this process may use.
            TensorRT uses none.
        provider: What ONNX Runtime computes with: ``auto`` is CUDA or the CPU, as the device says; with ``tensorrt`` it
            builds an engine of its own on first use, for frames up to full HD, and keeps it in the user's cache.
        trust: Whether an engine without a manifest is taken for the ONNX file beside it, ``NAME.onnx``, and gets one;
            engines hold programs, so only if it is known where it comes from. Otherwise it is refused.

    Raises:
        ModelFileError: If the file is missing, damaged or not written by fcnrt, or is an engine that was built for
            another machine (`EngineMismatchError`), or there is no engine for it.
        DeviceError: If the device does not exist or cannot be used.
        MissingDependencyError: If the backend is not installed.
        OutputError: If an engine cannot be kept in the user's cache.
        ValueError: If `backend`, `threads` or `provider` has a value that is not allowed.
    """
    if backend not in ("auto", *get_args(Backend)):
        raise ValueError(f"backend must be auto, {' or '.join(get_args(Backend))}, got {backend!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if provider not in get_args(Provider):
        raise ValueError(f"provider must be {' or '.join(get_args(Provider))}, got {provider!r}")
    wanted = Device.parse(device)
    path = Path(path)
    if provider != "auto" and (backend == "tensorrt" or is_engine(path)):
        raise ValueError(f"provider is for ONNX Runtime, which runs .onnx files; got {path} and backend {backend!r}")

    if is_engine(path):
        if backend == "onnxruntime":
            raise ModelFileError(f"{path} is a TensorRT engine; ONNX Runtime runs the .onnx file it was built from")
        from ._tensorrt import TensorRtRunner

        if trust:
            from .trusted_engine import trust_engine

            trust_engine(path, device=device)
        return TensorRtRunner.open(path, device=wanted)
    if backend == "tensorrt":
        from ._tensorrt import TensorRtRunner
        from .stored_engine import find_stored_engine

        return TensorRtRunner.open(find_stored_engine(path, wanted), device=wanted)

    if provider == "tensorrt":
        from ._onnxruntime_tensorrt import TensorRtProviderRunner

        return TensorRtProviderRunner.open_with_tensorrt(path, device=wanted, threads=threads)
    from ._onnxruntime import OnnxRuntimeRunner

    return OnnxRuntimeRunner.open(path, device=wanted, threads=threads)
