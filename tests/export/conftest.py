from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import FCN, FCNConfig
from fcnrt.fcn_models.voc import voc_palette

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="session")
def make_checkpoint() -> MakeCheckpoint:
    """A function that makes a slim network with random weights, whose activations keep their scale (He)."""

    def make(*, preprocessing: str = "imagenet_rgb", gain: float = 1.0, **config: object) -> Checkpoint:
        torch.manual_seed(3)
        values = {"variant": "fcn8s", "num_classes": 5, "width": 1 / 16, "fc_channels": 16} | config
        model = FCN(FCNConfig(**values)).eval()  # type: ignore[arg-type]
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.normal_(layer.bias, std=0.1)  # type: ignore[arg-type]
        with torch.no_grad():
            model.conv2_1.weight.mul_(gain)
        count = model.config.num_classes
        return Checkpoint(
            model=model,
            preprocessing=preprocessing,  # type: ignore[arg-type]
            class_names=tuple(f"class {i}" for i in range(count)),
            palette=voc_palette()[:count],
            layout="made for a test",
            source="random weights",
            sha256="ab" * 32,
        )

    return make
