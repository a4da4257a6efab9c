"""An FCN-8 on a small trunk of its own, which concatenates its skips instead of adding scores."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from .network import Network, NetworkConfig, crop


class FCN8Concat(Network):
    """Five stages, each convolution followed by ReLU and then batch normalisation; three of them are concatenated.

    The original takes multiples of 32 only. Here pools round up and deeper streams are cropped, so that every size
    works and multiples of 32 give the same.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        classes = config.score_channels
        c1, c2, c3, c4 = (config.channels(original) for original in (96, 256, 384, 512))
        self.stage1 = _stage(3, c1)
        self.stage2 = _stage(c1, c2)
        self.stage3 = _stage(c2, c3, c3, c2)
        self.stage4 = _stage(c2, c4, c4)
        self.stage5 = _stage(c4, classes)
        joined = c2 + c4 + classes
        self.upsample_2 = nn.ConvTranspose2d(c4, c4, 4, 2, 1)
        self.upsample_4 = nn.ConvTranspose2d(classes, classes, 4, 4)
        self.upsample_81 = nn.ConvTranspose2d(joined, joined, 4, 4)
        self.upsample_82 = nn.ConvTranspose2d(joined, joined, 4, 2, 1)
        self.final = nn.Sequential(nn.Conv2d(joined, classes, 7, padding=3))
        # The scores come last and at full resolution, where they are a good part of the work: nothing stays float32.
        self.score_layers = ()
        self.upsampling_layers = ()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        pool3 = self.stage3(self.stage2(self.stage1(image)))  # 1/8
        pool4 = self.stage4(pool3)  # 1/16
        pool5 = self.stage5(pool4)  # 1/32
        height, width = pool3.shape[2:]
        upsampled4 = crop(self.upsample_2(pool4), 0, height, width)
        upsampled5 = crop(self.upsample_4(pool5), 0, height, width)
        h = torch.cat([pool3, upsampled4, upsampled5], 1)
        h = self.upsample_82(self.upsample_81(h))
        # The last convolution looks 3 pixels around: beyond the image it must see what it would have seen.
        return crop(self.final(h), 0, image.shape[2], image.shape[3])


def _stage(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))
