"""Which files are checkpoints: known before PyTorch is loaded, or where it is not installed."""

from __future__ import annotations

from pathlib import Path

from .engines.engine_file import is_engine

_SUFFIXES = {".safetensors", ".pth", ".pt", ".tar", ".ckpt", ".bin", ".npz", ".caffemodel"}
_MAX_SAFETENSORS_HEADER = 100_000_000  # bytes; limit of the format

ZIP_MARK = b"PK\x03\x04"
"""First bytes of what ``torch.save`` and Chainer write."""

PICKLE_MARK = b"\x80"
"""First byte of what ``torch.save`` wrote before version 1.6."""


def is_checkpoint(path: Path) -> bool:
    """Whether a file is meant to hold weights: by its suffix or, unless that is a deployed model's, its first bytes."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    if path.suffix == ".onnx" or is_engine(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return False
    return head.startswith((ZIP_MARK, PICKLE_MARK)) or looks_like_safetensors(head)


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file begins as safetensors do: with the length of a JSON header, and the header."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER
