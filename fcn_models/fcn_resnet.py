"""torchvision's FCN on ResNet-50 and ResNet-101, with the layer names of its checkpoints."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate

from .network import Network, NetworkConfig
from .resnet import Bottleneck, ResNet

_DEPTHS = {"fcn_resnet50": (3, 4, 6, 3), "fcn_resnet101": (3, 4, 23, 3)}


class FCNResNet(Network):
    """A dilated ResNet of output stride 8, a small head, and interpolation to the size of the image.

    The auxiliary head of the original only serves the training and is left out.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.channels(original) for original in (64, 128, 256, 512)]
        self.backbone = ResNet(Bottleneck, _DEPTHS[config.variant], channels, dilated=(False, False, True, True))
        features = self.backbone.out_channels
        self.classifier = nn.Sequential(
            nn.Conv2d(features, features // 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(features // 4),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(features // 4, config.score_channels, 1),
        )
        self.score_layers = ("classifier.4",)
        self.upsampling_layers = ()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        scores = self.classifier(self.backbone(image))  # 1/8
        return interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)
