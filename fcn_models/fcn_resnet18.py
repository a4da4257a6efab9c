"""FCN-32s on ResNet-18, as the book Dive into Deep Learning builds it."""

from __future__ import annotations

import torch
from torch import nn

from .network import Network, NetworkConfig, crop
from .resnet import BasicBlock, ResNet
from .upsampling import fill_bilinear


class FCN32sResNet18(Network):
    """A ResNet-18 of output stride 32, scores, and one transposed convolution that begins bilinear.

    ResNet's grid and that of the upsampling differ by 15.5 pixels. The original has it so, and trained weights have
    learned it; it must stay.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        classes = config.score_channels
        channels = [config.channels(original) for original in (64, 128, 256, 512)]
        self.backbone = ResNet(BasicBlock, (2, 2, 2, 2), channels)
        self.final_conv = nn.Conv2d(self.backbone.out_channels, classes, 1)
        self.transpose_conv = nn.ConvTranspose2d(classes, classes, 64, 32, 16)
        fill_bilinear(self.transpose_conv.weight)
        self.score_layers = ("final_conv",)
        self.upsampling_layers = ("transpose_conv",)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        scores = self.final_conv(self.backbone(image))  # 1/32, rounded up
        return crop(self.transpose_conv(scores), 0, image.shape[2], image.shape[3])
