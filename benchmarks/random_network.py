"""Networks without training, for what depends on the architecture alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ..fcn_models.fcn import FCN, FCNConfig
from ..fcn_models.voc import VOC_CLASSES, voc_palette

if TYPE_CHECKING:
    from ..fcn_models.checkpoint import Checkpoint


def random_network(config: FCNConfig, *, seed: int = 0) -> FCN:
    """A network with random weights that behaves like a trained one as far as arithmetic goes.

    He initialisation keeps activations at the same scale through all layers. The score layers look at differences
    between features only: features are positive, so otherwise one class would win everywhere.

    Args:
        config: Architecture.
        seed: Chooses the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FCN(config).eval()
        for name, layer in model.named_children():
            if not isinstance(layer, nn.Conv2d):
                continue  # upsampling layers are bilinear from the start
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if name.startswith("score"):
                with torch.no_grad():
                    layer.weight -= layer.weight.mean(1, keepdim=True)
    return model


def random_checkpoint(config: FCNConfig, *, seed: int = 0) -> Checkpoint:
    """A `random_network` with what belongs to a checkpoint besides."""
    from ..fcn_models.checkpoint import Checkpoint  # reads files, with a package that a network alone does not need

    count = config.num_classes
    return Checkpoint(
        model=random_network(config, seed=seed),
        preprocessing="imagenet_rgb",
        class_names=VOC_CLASSES if count == len(VOC_CLASSES) else tuple(f"class {index}" for index in range(count)),
        palette=voc_palette()[:count],
        layout="random",
        source=f"random weights (He initialisation, seed {seed})",
        sha256="0" * 64,  # there is no file
    )
