"""The networks that the published figures are measured with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .latency import Network


def demo_network(folder: Path) -> Network:
    """The demo FCN-8s, exported into the user's cache if it is not there."""
    from ...export.demo import demo_checkpoint, demo_model
    from ..usual_route import export_usual_route
    from .latency import Network

    checkpoint = demo_checkpoint()
    return Network(checkpoint, demo_model(), export_usual_route(checkpoint.model, folder / "usual.onnx"))


def demo_int8_network(folder: Path) -> Network:
    """The demo FCN-8s, also in INT8."""
    from ...datasets.calibration import drawn_calibration
    from ...export.to_onnx import export_onnx

    network = demo_network(folder)
    result = export_onnx(network.checkpoint, folder / "int8.onnx", precision="int8", calibration=drawn_calibration())
    assert result.quantization is not None
    loss = round(result.quantization.loss, 3)
    return dataclasses.replace(network, int8_path=result.path, int8_loss=loss)


def full_width_network(folder: Path) -> Network:
    """An FCN-8s of the paper's width with random weights, exported into `folder` (1.2 GB), also in INT8."""
    from ...export.to_onnx import export_onnx
    from ...fcn_models.fcn import FCNConfig
    from ..random_network import quantize_all, random_checkpoint
    from ..usual_route import export_usual_route
    from .latency import Network

    checkpoint = random_checkpoint(FCNConfig(variant="fcn8s"))
    usual_path = export_usual_route(checkpoint.model, folder / "usual.onnx")
    path = export_onnx(checkpoint, folder / "fcnrt.onnx").path
    return Network(checkpoint, path, usual_path, quantize_all(path, checkpoint, folder / "int8.onnx"))


def full_width_file(folder: Path) -> Path:
    """A checkpoint of an FCN-8s of the paper's width (0.5 GB)."""
    from .export_memory import full_width_checkpoint

    return full_width_checkpoint(folder)


def engine_models() -> list[Path]:
    """The three demo networks, exported into the user's cache if they are not there."""
    from ...export.demo import demo_model

    return [demo_model(variant) for variant in ("fcn8s", "fcn16s", "fcn32s")]
