"""What a deployed machine has: numpy and, on demand, one backend. Never torch, never onnx.

The public names are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runners import Runner as Runner
    from .runners import open_runner as open_runner
    from .segmenter import Prediction as Prediction
    from .segmenter import Segmenter as Segmenter
    from .spec import ImageSize as ImageSize
    from .spec import ModelSpec as ModelSpec

__all__ = ["ImageSize", "ModelSpec", "Prediction", "Runner", "Segmenter", "open_runner"]

_HOMES = {
    "ImageSize": ".spec",
    "ModelSpec": ".spec",
    "Prediction": ".segmenter",
    "Runner": ".runners",
    "Segmenter": ".segmenter",
    "open_runner": ".runners",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
