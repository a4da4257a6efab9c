"""A U-Net (Ronneberger, Fischer, Brox, 2015) with padded convolutions, as used for portraits."""

from __future__ import annotations

import torch
from torch import nn

from .network import Network, NetworkConfig, crop


class UNet(Network):
    """Four halvings down, four doublings up, the features of each level concatenated.

    The original takes multiples of 16 only. Here pools round up and the deeper stream is cropped, so that every size
    works and multiples of 16 give the same.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4, c5 = (config.channels(original) for original in (64, 128, 256, 512, 1024))
        self.down1 = _Convolutions(3, c1)
        self.down2 = _Convolutions(c1, c2)
        self.down3 = _Convolutions(c2, c3)
        self.down4 = _Convolutions(c3, c4)
        self.down5 = _Convolutions(c4, c5)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.up = _doubling(c5, c4)
        self.up1 = _Up(c5, c4, c3)
        self.up2 = _Up(c4, c3, c2)
        self.up3 = _Up(c3, c2, c1)
        self.conv_2 = _Convolutions(c2, c1)
        self.last = nn.Conv2d(c1, config.score_channels, 1)
        self.score_layers = ("last",)
        self.upsampling_layers = ()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        h1 = self.down1(image)
        h2 = self.down2(self.pool(h1))
        h3 = self.down3(self.pool(h2))
        h4 = self.down4(self.pool(h3))
        h = self.up(self.down5(self.pool(h4)))
        h = self.up1(_join(h4, h))
        h = self.up2(_join(h3, h))
        h = self.up3(_join(h2, h))
        return self.last(self.conv_2(_join(h1, h)))  # type: ignore[no-any-return]


class _Convolutions(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_relu = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.conv_relu(h)  # type: ignore[no-any-return]


class _Up(_Convolutions):
    def __init__(self, inputs: int, channels: int, outputs: int) -> None:
        super().__init__(inputs, channels)
        self.upconv = _doubling(channels, outputs)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.upconv(super().forward(h))  # type: ignore[no-any-return]


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    # The published code lacks padding=1: it makes 2n+2 of n, which fits no skip.
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1), nn.ReLU(inplace=True))


def _join(skip: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
    return torch.cat([skip, crop(deep, 0, skip.shape[2], skip.shape[3])], 1)
