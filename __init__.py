"""fcnrt: deploy FCN semantic segmentation with ONNX Runtime and TensorRT.

The public names are loaded on first use, so that `import fcnrt` itself costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runtime.errors import FcnrtError as FcnrtError
    from .runtime.segmenter import Segmenter as Segmenter
    from .runtime.spec import ImageSize as ImageSize
    from .runtime.spec import ModelSpec as ModelSpec

    __version__: str

# The published packages of ONNX Runtime report to Microsoft how they are used, and keep an identifier in the user's
# home. What runs in a camera or a robot does so only if its maker wants it: ORT_DISABLE_TELEMETRY=0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["FcnrtError", "ImageSize", "ModelSpec", "Segmenter", "__version__"]

_HOMES = {
    "FcnrtError": ".runtime.errors",
    "ImageSize": ".runtime.spec",
    "ModelSpec": ".runtime.spec",
    "Segmenter": ".runtime.segmenter",
}


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        from importlib.metadata import version

        value = version("fcnrt")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
