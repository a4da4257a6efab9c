"""A network so small that measuring it takes no time."""

from __future__ import annotations

import pytest

from fcnrt.benchmarks.latency import Network
from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.usual_route import export_usual_route
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.fcn import FCNConfig


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """An FCN-8s with a few channels, exported both ways; do not modify it."""
    folder = tmp_path_factory.mktemp("tiny_network")
    checkpoint = random_checkpoint(FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=16))
    path = export_onnx(checkpoint, folder / "fcnrt.onnx").path
    return Network(checkpoint, path, export_usual_route(checkpoint.model, folder / "usual.onnx"))
