"""The network that faults are looked for in."""

from __future__ import annotations

import torch
from torch import nn

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import Align, FCNConfig


def make_checkpoint(seed: int = 0, align: Align = "same") -> Checkpoint:
    """A slim network with random weights and biases large enough that the scale of its input matters."""
    config = FCNConfig(variant="fcn8s", align=align, num_classes=6, width=1 / 16, fc_channels=16)
    checkpoint = random_checkpoint(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in checkpoint.model.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                layer.bias += 0.5 * torch.randn(layer.bias.shape, generator=generator)
    return checkpoint
