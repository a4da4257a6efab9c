"""Batch normalisation for the time of training only.

VGG without it trains badly from scratch. Added after each convolution and folded into the weights afterwards, it leaves
a network of plain convolutions that computes the same.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..fcn_models.fcn import FCN


def add_batch_norm(model: FCN, images: torch.Tensor | None = None) -> None:
    """Put a batch normalisation behind each convolution of trunk and head; the score layers stay as they are.

    Args:
        model: The network.
        images: For a trained network, pre-processed images, float (N, 3, H, W). The normalisations get the mean and
            the deviation of each channel on these, and give back the same: the network computes what it computed.
    """
    added: list[nn.BatchNorm2d] = []
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Conv2d) and not name.startswith("score"):
            added.append(nn.BatchNorm2d(layer.out_channels))
            setattr(model, name, nn.Sequential(layer, added[-1]))
    if images is not None:
        _make_identical(model, added, images)


def fold_batch_norm(model: FCN) -> None:
    """Undo `add_batch_norm`, moving the learned statistics into the convolutions. The model must be in eval mode."""
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Sequential):
            conv, norm = layer
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            setattr(model, name, fuse_conv_bn_eval(conv, norm))


@torch.no_grad()
def _make_identical(model: FCN, norms: list[nn.BatchNorm2d], images: torch.Tensor) -> None:
    def measure(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
        return inputs[0]

    hooks = [norm.register_forward_hook(lambda norm, inputs, _: measure(norm, inputs)) for norm in norms]
    training = model.training
    model.eval()(images)
    model.train(training)
    for hook in hooks:
        hook.remove()
