"""Recipes: what is optimised, how fast, and on which cut-outs of the pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..runtime.spec import ImageSize

Schedule = Literal["constant", "poly", "one_cycle"]

_POLY_POWER = 0.9
_WARM_UP = 0.15  # share of a cycle
_LOWEST = 1 / 25  # share of the peak that a cycle begins and ends with
_BIAS_LR = 2.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        name: What it is called.
        optimizer: SGD with momentum, or AdamW.
        lr: Learning rate, unless another is asked for.
        lr_per_trained_score: Multiplies it for each earlier stage (FCN-32s, FCN-16s) whose scores are trained already.
            Its own scores do not count: a stage that goes on learns as fast as it did.
        momentum: Momentum of SGD; the first beta of AdamW.
        weight_decay: Decay of the convolutions' weights; biases have none.
        schedule: The learning rate over the whole training.
        loss: Cross entropy summed over the pixels of a batch, or their mean. Void counts in neither. Several devices
            take the mean of their losses: of their means, or their sums divided by the number of devices.
        batch_size: Pictures per step, unless another number is asked for.
        crop: Size of the cut-outs, unless another is asked for; None: whole pictures, one at a time.
        scales: Smallest and largest factor that a picture is resized by before it is cut, both sides alike.
        mirrored: Whether one half of the pictures is mirrored.
        batch_norm: Whether batch normalisation helps during training; it is folded into what is written.
        dropout: Share of fc6's and fc7's channels' values that is dropped.
    """

    name: str
    optimizer: Literal["sgd", "adamw"]
    lr: float
    lr_per_trained_score: float = 1.0
    momentum: float = 0.9
    weight_decay: float
    schedule: Schedule
    loss: Literal["sum", "mean"] = "mean"
    batch_size: int
    crop: ImageSize | None
    scales: tuple[float, float] = (1.0, 1.0)
    mirrored: bool = False
    batch_norm: bool = False
    dropout: float = 0.5


_ALL = (
    # The solvers of the authors' Caffe nets: one whole picture per step, the loss a sum over its pixels, FCN-32s at
    # 1e-10, FCN-16s from it at 1e-12, FCN-8s from that at 1e-14, 100,000 steps each. For a mean over 500x375 pixels
    # 1e-10 would be 1.9e-5, and the decay 2.7e-9.
    Recipe(
        name="paper",
        optimizer="sgd",
        lr=1e-10,
        lr_per_trained_score=0.01,
        momentum=0.99,
        weight_decay=5e-4,
        schedule="constant",
        loss="sum",
        batch_size=1,
        crop=None,
    ),
    # The usual fine-tuning since DeepLab: mean loss, larger batches of cut-outs, a learning rate that falls to zero.
    Recipe(
        name="poly",
        optimizer="sgd",
        lr=1e-3,
        weight_decay=5e-4,
        schedule="poly",
        batch_size=8,
        crop=ImageSize(320, 320),
        scales=(0.5, 2.0),
        mirrored=True,
    ),
    # Without weights to start from. VGG learns next to nothing then, unless its activations are normalised.
    Recipe(
        name="scratch",
        optimizer="adamw",
        lr=2e-3,
        weight_decay=1e-3,
        schedule="one_cycle",
        batch_size=12,
        crop=ImageSize(256, 256),
        scales=(0.75, 1.25),
        mirrored=True,
        batch_norm=True,
        # Slim layers have little to spare: half of 128 channels missing slows training more than it regularises.
        dropout=0.1,
    ),
)

RECIPES = {recipe.name: recipe for recipe in _ALL}
"""Recipes by name."""


def lr_factor(schedule: Schedule, progress: float) -> float:
    """What the learning rate is multiplied by.

    Args:
        schedule: The schedule.
        progress: Share of the training that is done, 0..1.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "poly":
        return float((1 - progress) ** _POLY_POWER)
    if progress < _WARM_UP:
        rise = (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    else:
        rise = (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2
    return _LOWEST + (1 - _LOWEST) * rise


def make_optimizer(recipe: Recipe, network: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The optimiser of all parameters that are not frozen.

    As in the paper, biases learn twice as fast as weights. They do not decay, and neither does the scale of a batch
    normalisation.
    """
    weights: list[nn.Parameter] = []
    scales: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for layer in network.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.requires_grad:
                group = biases if name == "bias" else weights if isinstance(layer, nn.Conv2d) else scales
                group.append(parameter)
    groups = [
        {"params": weights, "lr": lr, "weight_decay": recipe.weight_decay},
        {"params": scales, "lr": lr, "weight_decay": 0.0},
        {"params": biases, "lr": _BIAS_LR * lr, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, betas=(recipe.momentum, 0.999))
