"""Which files are TensorRT engines."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = {".engine", ".plan", ".trt"}


def is_engine(path: Path) -> bool:
    """Whether a file is a TensorRT engine by its suffix; every other model file is taken for an ONNX file."""
    return path.suffix in _SUFFIXES
