"""An FCN-8s on VGG16 with batch normalisation in its head and behind its learned upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from .network import Network, NetworkConfig, crop


@dataclass(frozen=True, kw_only=True)
class BNHeadConfig(NetworkConfig):
    """Architecture of an `FCNBNHead`.

    Attributes:
        fc_channels: Channels of fc6 and fc7.
    """

    fc_channels: int = 4096

    def __post_init__(self) -> None:
        if self.fc_channels < 1:
            raise ValueError(f"fc_channels must be at least 1, got {self.fc_channels}")
        super().__post_init__()


class FCNBNHead(Network):
    """As an FCN-8s, with ReLU behind every upsampling, the last one included: no class scores less than zero.

    The original takes multiples of 32 only. Here pools round up and the deeper stream is cropped to the skip, so that
    every size works and multiples of 32 give the same.
    """

    def __init__(self, config: BNHeadConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4 = (config.channels(original) for original in (64, 128, 256, 512))
        fc, classes = config.fc_channels, config.score_channels
        self.backbone = nn.Module()
        for name, channels in {
            "layer1": (3, c1, c1),
            "layer2": (c1, c2, c2),
            "layer3": (c2, c3, c3, c3),
            "layer4": (c3, c4, c4, c4),
            "layer5": (c4, c4, c4, c4),
        }.items():
            self.backbone.add_module(name, _block(channels))
        self.head = nn.ModuleDict(
            {"fc6": _normalised(nn.Conv2d(c4, fc, 7, padding=3)), "fc7": _normalised(nn.Conv2d(fc, fc, 1))}
        )
        self.layer3_conv = nn.Conv2d(c3, classes, 1)
        self.layer4_conv = nn.Conv2d(c4, classes, 1)
        self.layer5_conv = nn.Conv2d(fc, classes, 1)
        self.transpose_conv1 = _normalised(nn.ConvTranspose2d(classes, classes, 4, 2, 1))
        self.transpose_conv2 = _normalised(nn.ConvTranspose2d(classes, classes, 4, 2, 1))
        self.transpose_conv3 = _normalised(nn.ConvTranspose2d(classes, classes, 16, 8, 4))
        self.score_layers = ("layer3_conv", "layer4_conv", "layer5_conv")
        self.upsampling_layers = tuple(f"transpose_conv{i}.{part}" for i in (1, 2, 3) for part in (0, 1, 2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        pool3 = self._layers(image, 1, 2, 3)
        pool4 = self._layers(pool3, 4)
        h = self.head["fc7"](self.head["fc6"](self._layers(pool4, 5)))
        h = self.transpose_conv1(self.layer5_conv(h))
        h = crop(h, 0, pool4.shape[2], pool4.shape[3]) + self.layer4_conv(pool4)
        h = self.transpose_conv2(h)
        h = crop(h, 0, pool3.shape[2], pool3.shape[3]) + self.layer3_conv(pool3)
        return crop(self.transpose_conv3(h), 0, image.shape[2], image.shape[3])

    def _layers(self, h: torch.Tensor, *numbers: int) -> torch.Tensor:
        for number in numbers:
            h = self.backbone.get_submodule(f"layer{number}")(h)
        return h


def _block(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))


def _normalised(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    # The dropout of the original only matters in training.
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))
