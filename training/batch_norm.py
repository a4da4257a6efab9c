"""Batch normalisation for the time of training only.

VGG without it trains badly from scratch. Added after each convolution and folded into the weights afterwards, it leaves
a network of plain convolutions that computes the same.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..fcn_models.fcn import FCN


def add_batch_norm(model: FCN) -> None:
    """Put a batch normalisation behind each convolution of trunk and head; the score layers stay as they are."""
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Conv2d) and not name.startswith("score"):
            setattr(model, name, nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels)))


def fold_batch_norm(model: FCN) -> None:
    """Undo `add_batch_norm`, moving the learned statistics into the convolutions. The model must be in eval mode."""
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Sequential):
            conv, norm = layer
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            setattr(model, name, fuse_conv_bn_eval(conv, norm))
