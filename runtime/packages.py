"""Which Python packages are installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

EXPORT_PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")
"""What exporting imports; the extra ``fcnrt[export]`` brings it."""


def installed_version(package: str) -> str | None:
    """Version of a package by its name in the package index; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
