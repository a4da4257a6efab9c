"""From a checkpoint to a verified ONNX file.

Importing this package is cheap; its functions import torch when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compare import ParityReport as ParityReport
    from .demo import demo_model as demo_model
    from .to_onnx import ExportResult as ExportResult
    from .to_onnx import export_onnx as export_onnx

__all__ = ["ExportResult", "ParityReport", "demo_model", "export_onnx"]


def __getattr__(name: str) -> Any:
    if name == "demo_model":
        from .demo import demo_model

        return demo_model
    if name in __all__:
        from . import compare, to_onnx

        return getattr(compare if name == "ParityReport" else to_onnx, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
