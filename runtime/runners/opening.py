"""`open_runner`: the only place that picks a backend for a model file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, SupportsIndex, get_args

from ..device import Device
from ..engines.engine_file import is_engine
from ..errors import ModelFileError
from .runner import Runner

Backend = Literal["onnxruntime", "tensorrt"]
Provider = Literal["auto", "tensorrt"]

_MOST_THREADS = 1024  # more than processors have; ONNX Runtime starts any number, until the machine has no more


def open_runner(
    path: str | os.PathLike[str],
    *,
    backend: Backend | Literal["auto"] = "auto",
    device: str = "auto",
    threads: int | None = None,
    provider: Provider = "auto",
    trust: bool = False,
    cached: bool = True,
) -> Runner:
    """Load a model file for the backend that runs it; arguments and errors are those of `Segmenter.open`.

    Not `cached`: whatever the user's cache holds, it is the file itself that is run (`OnnxRuntimeRunner.open`).
    """
    if backend not in ("auto", *get_args(Backend)):
        raise ValueError(f"backend must be auto, {' or '.join(get_args(Backend))}, got {backend!r}")
    if threads is not None:
        if not (isinstance(threads, SupportsIndex) and 1 <= threads.__index__() <= _MOST_THREADS):
            raise ValueError(f"threads must be a whole number from 1 to {_MOST_THREADS}, got {threads!r}")
        threads = threads.__index__()  # also one of numpy's
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

    return OnnxRuntimeRunner.open(path, device=wanted, threads=threads, cached=cached)
