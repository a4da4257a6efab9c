"""FCN-32s, FCN-16s and FCN-8s on VGG16 (Long, Shelhamer, Darrell: Fully Convolutional Networks, CVPR 2015).

Layer names are those of the paper's Caffe models, because published checkpoints are keyed by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn, relu_

from .network import Network, NetworkConfig, crop
from .upsampling import bilinear_conv_transpose

Variant = Literal["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"]
Align = Literal["same", "caffe"]

STRIDES: dict[Variant, int] = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8, "fcn8s_atonce": 8}
"""Input pixels per pixel of the fused score map."""

# The released Caffe nets pad the image by 100, so that any size survives five poolings and the unpadded 7x7 fc6.
CAFFE_PAD = 100
"""Padding of conv1_1 in pixels, with the alignment of the released nets."""

# Crops that undo it: where the deeper stream's first pixel lies on the skip's grid, and the image's first pixel on the
# upsampled scores. They are exact for every size (Caffe derives them from the layers' coordinate maps).
_CAFFE_SKIP_CROP = {"score_pool4": 5, "score_pool3": 9}
_CAFFE_FINAL_CROP = {32: 19, 16: 27, 8: 31}  # by stride


@dataclass(frozen=True, kw_only=True)
class FCNConfig(NetworkConfig):
    """Architecture of an `FCN`.

    Attributes:
        variant: Finest feature map that is fused: stride 32 (none), 16 (pool4) or 8 (pool4 and pool3).
            ``fcn8s_atonce`` computes as ``fcn8s`` does; its authors scaled the pooled features by 0.01 and 0.0001, so
            that all of it could be trained at once, and here these scales are part of the score layers' weights.
        num_classes: Number of classes, the background included (2..256).
        align: ``same``: convolutions keep the size, every crop is at 0. ``caffe``: the padding and crops of the
            released Caffe nets, which weights ported from Caffe need. Both align the skips exactly; weights fit both.
        width: Multiplies the channels of the VGG trunk (64..512); 1 is the paper's, less is a slim network.
        fc_channels: Channels of fc6 and fc7.
    """

    variant: Variant
    align: Align = "same"
    fc_channels: int = 4096

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {self.variant!r}")
        if self.align not in get_args(Align):
            raise ValueError(f"align must be one of {', '.join(get_args(Align))}, got {self.align!r}")
        if self.fc_channels < 1:
            raise ValueError(f"fc_channels must be at least 1, got {self.fc_channels}")
        super().__post_init__()

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the fused score map."""
        return STRIDES[self.variant]


class FCN(Network):
    """A fully convolutional network: normalised image in, class scores of every pixel out.

    The output has the input's height and width for every size from 1x1 up, and the skips are spatially aligned with
    the stream they are added to, in both alignments.
    """

    config: FCNConfig

    def __init__(self, config: FCNConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4 = (config.channels(paper) for paper in (64, 128, 256, 512))
        classes, fc, same = config.score_channels, config.fc_channels, config.align == "same"

        self.conv1_1 = nn.Conv2d(3, c1, 3, padding=1 if same else CAFFE_PAD)
        self.conv1_2 = nn.Conv2d(c1, c1, 3, padding=1)
        self.conv2_1 = nn.Conv2d(c1, c2, 3, padding=1)
        self.conv2_2 = nn.Conv2d(c2, c2, 3, padding=1)
        self.conv3_1 = nn.Conv2d(c2, c3, 3, padding=1)
        self.conv3_2 = nn.Conv2d(c3, c3, 3, padding=1)
        self.conv3_3 = nn.Conv2d(c3, c3, 3, padding=1)
        self.conv4_1 = nn.Conv2d(c3, c4, 3, padding=1)
        self.conv4_2 = nn.Conv2d(c4, c4, 3, padding=1)
        self.conv4_3 = nn.Conv2d(c4, c4, 3, padding=1)
        self.conv5_1 = nn.Conv2d(c4, c4, 3, padding=1)
        self.conv5_2 = nn.Conv2d(c4, c4, 3, padding=1)
        self.conv5_3 = nn.Conv2d(c4, c4, 3, padding=1)
        # Rounding up keeps the last row and column: the upsampled scores then always cover the image.
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.pool3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.pool5 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.fc6 = nn.Conv2d(c4, fc, 7, padding=3 if same else 0)
        self.fc7 = nn.Conv2d(fc, fc, 1)
        self.dropout = nn.Dropout(0.5)
        self.score_fr = nn.Conv2d(fc, classes, 1)

        def upsampling(stride: int) -> nn.ConvTranspose2d:
            return bilinear_conv_transpose(classes, stride=stride, padding=stride // 2 if same else 0)

        if config.stride == 32:
            self.upscore = upsampling(32)
        elif config.stride == 16:
            self.score_pool4 = nn.Conv2d(c4, classes, 1)
            self.upscore2 = upsampling(2)
            self.upscore16 = upsampling(16)
        else:
            self.score_pool4 = nn.Conv2d(c4, classes, 1)
            self.score_pool3 = nn.Conv2d(c3, classes, 1)
            self.upscore2 = upsampling(2)
            self.upscore_pool4 = upsampling(2)
            self.upscore8 = upsampling(8)
        self.score_layers = tuple(name for name, _ in self.named_children() if name.startswith("score"))
        self.upsampling_layers = tuple(name for name, _ in self.named_children() if name.startswith("upscore"))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Class scores (logits) of every pixel.

        Args:
            image: Pre-processed images, float (N, 3, H, W).

        Returns:
            Logits, float (N, score_channels, H, W).
        """
        height, width = image.shape[2:]
        logits = self.final_upsampling(self.scores(image))  # at least as large as the image, plus the crop
        return crop(logits, self.final_crop, height, width)

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        """The fused class scores at the variant's stride, before the final upsampling."""
        h = relu_(self.conv1_1(image))
        h = relu_(self.conv1_2(h))
        h = self.pool1(h)  # 1/2
        h = relu_(self.conv2_1(h))
        h = relu_(self.conv2_2(h))
        h = self.pool2(h)  # 1/4
        h = relu_(self.conv3_1(h))
        h = relu_(self.conv3_2(h))
        h = relu_(self.conv3_3(h))
        h = pool3 = self.pool3(h)  # 1/8
        h = relu_(self.conv4_1(h))
        h = relu_(self.conv4_2(h))
        h = relu_(self.conv4_3(h))
        h = pool4 = self.pool4(h)  # 1/16
        h = relu_(self.conv5_1(h))
        h = relu_(self.conv5_2(h))
        h = relu_(self.conv5_3(h))
        h = self.pool5(h)  # 1/32
        h = self.dropout(relu_(self.fc6(h)))
        h = self.dropout(relu_(self.fc7(h)))
        h = self.score_fr(h)
        if self.config.stride <= 16:
            h = self._fuse(self.upscore2(h), self.score_pool4(pool4), "score_pool4")  # 1/16
        if self.config.stride == 8:
            h = self._fuse(self.upscore_pool4(h), self.score_pool3(pool3), "score_pool3")  # 1/8
        return h

    @property
    def final_upsampling(self) -> nn.Module:
        """The layer that brings the fused scores to the image's resolution."""
        if self.config.stride == 32:
            return self.upscore
        return self.upscore16 if self.config.stride == 16 else self.upscore8

    @property
    def final_crop(self) -> int:
        """Row and column of the upsampled scores where the image begins."""
        return 0 if self.config.align == "same" else _CAFFE_FINAL_CROP[self.config.stride]

    def _fuse(self, deep: torch.Tensor, skip: torch.Tensor, name: str) -> torch.Tensor:
        if self.config.align == "same":
            # Pools round up, so the deep stream is as large as the skip or one row or column larger.
            return crop(deep, 0, skip.shape[2], skip.shape[3]) + skip
        return deep + crop(skip, _CAFFE_SKIP_CROP[name], deep.shape[2], deep.shape[3])
