"""A LinkNet (Chaurasia and Culurciello, 2017), as used for portraits."""

from __future__ import annotations

import torch
from torch import nn

from .network import Network, NetworkConfig, crop


class LinkNet(Network):
    """Four encoders, each of which halves the resolution, and four decoders to which their inputs are added.

    The original takes multiples of 64 only. Here everything that halves rounds up and the deeper stream is cropped, so
    that every size works and multiples of 64 give the same.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c0, c1, c2, c3, c4 = (config.channels(original) for original in (32, 64, 128, 256, 512))
        self.input_conv = _Conv(3, c1, 7, 2)
        self.input_maxpool = nn.MaxPool2d(2, ceil_mode=True)
        self.encode1 = _Encoder(c1, c1)
        self.encode2 = _Encoder(c1, c2)
        self.encode3 = _Encoder(c2, c3)
        self.encode4 = _Encoder(c3, c4)
        self.decode4 = _Decoder(c4, c3)
        self.decode3 = _Decoder(c3, c2)
        self.decode2 = _Decoder(c2, c1)
        self.decode1 = _Decoder(c1, c1)
        self.deconv_out1 = _Deconv(c1, c0)
        self.conv_out = _Conv(c0, c0, 3)
        self.deconv_out2 = _Scores(c0, config.score_channels)
        self.score_layers = ("deconv_out2.deconv",)
        self.upsampling_layers = ()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel; see `Network`."""
        h0 = self.input_maxpool(self.input_conv(image))  # 1/4
        h1 = self.encode1(h0)
        h2 = self.encode2(h1)
        h3 = self.encode3(h2)
        h = self.encode4(h3)  # 1/64
        h = _fit(self.decode4(h), h3) + h3
        h = _fit(self.decode3(h), h2) + h2
        h = _fit(self.decode2(h), h1) + h1
        h = _fit(self.decode1(h), h0)
        h = self.deconv_out2(self.conv_out(self.deconv_out1(h)))
        return crop(h, 0, image.shape[2], image.shape[3])


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_bn_relu = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.conv_bn_relu(h)  # type: ignore[no-any-return]


class _Deconv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.deconv(h)))  # type: ignore[no-any-return]


class _Scores(nn.Module):
    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(inputs, classes, 2, 2)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.deconv(h)  # type: ignore[no-any-return]


class _Encoder(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _Conv(inputs, outputs, 3, 2)
        self.conv2 = _Conv(outputs, outputs, 3)
        self.conv3 = _Conv(outputs, outputs, 3)
        self.conv4 = _Conv(outputs, outputs, 3)
        self.shortcut = _Conv(inputs, outputs, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv2(self.conv1(x))
        # The published code adds the same features twice, where the paper adds the block's input.
        return self.conv4(self.conv3(h + self.shortcut(x))) + h  # type: ignore[no-any-return]


class _Decoder(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _Conv(inputs, inputs // 4, 1)
        self.deconv = _Deconv(inputs // 4, inputs // 4)
        self.conv2 = _Conv(inputs // 4, outputs, 1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.deconv(self.conv1(h)))  # type: ignore[no-any-return]


def _fit(deep: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    return crop(deep, 0, skip.shape[2], skip.shape[3])
