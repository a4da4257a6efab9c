"""ResNet feature extractors (He et al., 2016), with the layer names of torchvision's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added (ResNet-18)."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return self.relu(h + self.downsample(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around which the input is added (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, 4 * channels, ceil(H / stride), ceil(W / stride))."""
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return self.relu(h + self.downsample(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """The convolutional part of a ResNet.

    Args:
        block: Kind of its blocks.
        depths: Blocks in each of the four stages.
        channels: Channels of the stem and of each stage, before the block's expansion.
        dilated: Whether each stage widens its filters instead of halving the resolution.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        channels: Sequence[int],
        dilated: Sequence[bool] = (False, False, False, False),
    ) -> None:
        super().__init__()
        inputs = channels[0]
        self.conv1 = nn.Conv2d(3, inputs, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        dilation = 1
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            # The first block of a dilated stage still reads the undilated grid of the stage before.
            first_dilation, stride = dilation, 1 if stage == 0 else 2
            if dilated[stage]:
                dilation, stride = dilation * stride, 1
            blocks = [block(inputs, width, stride=stride, dilation=first_dilation)]
            inputs = width * block.expansion
            blocks += [block(inputs, width, stride=1, dilation=dilation) for _ in range(depth - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.out_channels = inputs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features of the last stage, (N, out_channels, ...)."""
        h = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        for stage in range(1, 5):
            h = self.get_submodule(f"layer{stage}")(h)
        return h  # type: ignore[no-any-return]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The path around a block: nothing, or a projection where the shape changes."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
