"""Which Python packages are installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_MEDIA = {"cv2": "OpenCV", "av": "PyAV"}
_INSTALL = {
    "cv2": "pip install opencv-python (or opencv-python-headless, on a machine without a desktop)",
    "av": "pip install av",
}
_REPAIR = {
    # What fails on servers and in small containers is what opencv-python wants of a desktop, libGL.so.1 first.
    "cv2": "pip uninstall opencv-python; pip install opencv-python-headless",
    "av": "pip install --force-reinstall av",
}

EXPORT_PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")
"""What exporting imports; the extra ``fcnrt[export]`` brings it."""


def installed_version(package: str) -> str | None:
    """Version of a package by its name in the package index; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def explain_missing_media(error: ImportError) -> tuple[str, str] | None:
    """Why OpenCV or PyAV cannot be imported, and the command that helps; None if the error is about something else."""
    module = (error.name or "").partition(".")[0]
    if module not in _MEDIA:
        return None
    if isinstance(error, ModuleNotFoundError):
        return f"{_MEDIA[module]} is not installed", _INSTALL[module]
    return f"{_MEDIA[module]} cannot be imported ({error})", _REPAIR[module]
