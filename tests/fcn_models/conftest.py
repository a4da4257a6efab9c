"""The networks of other projects that several tests need, written anew after those projects' own conventions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

C1, C2, C3, C4, FC, CLASSES = 2, 4, 8, 16, 12, 5  # the paper's 64, 128, 256, 512, 4096 and 21, slim


def enliven(model: nn.Module) -> None:
    """Random weights of which each matters: activations keep their size through all layers, biases are not small.

    With PyTorch's own initialisation the last biases outweigh the image; swapped layers would go unnoticed.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=(layer.stride[0] / layer.kernel_size[0]) / layer.in_channels**0.5)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
        if getattr(layer, "bias", None) is not None:
            nn.init.normal_(layer.bias, std=0.2)


class PortOfCaffe(nn.Module):
    """wkentaro/pytorch-fcn: padding of 100, no other padding after the trunk, crops by the Caffe models' offsets."""

    def __init__(self, variant: str, classes: int = CLASSES, *, at_once: bool = False) -> None:
        super().__init__()
        self.variant = variant
        self.pool4_scale, self.pool3_scale = (0.01, 0.0001) if at_once else (1.0, 1.0)
        channels = 3
        for block, (out, count) in enumerate(((C1, 2), (C2, 2), (C3, 3), (C4, 3), (C4, 3)), 1):
            for i in range(1, count + 1):
                padding = 100 if (block, i) == (1, 1) else 1
                self.add_module(f"conv{block}_{i}", nn.Conv2d(channels, out, 3, padding=padding))
                channels = out
        self.fc6 = nn.Conv2d(C4, FC, 7)
        self.fc7 = nn.Conv2d(FC, FC, 1)
        self.score_fr = nn.Conv2d(FC, classes, 1)
        if variant == "fcn32s":
            self.upscore = nn.ConvTranspose2d(classes, classes, 64, 32, bias=False)
        if variant == "fcn16s":
            self.score_pool4 = nn.Conv2d(C4, classes, 1)
            self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
            self.upscore16 = nn.ConvTranspose2d(classes, classes, 32, 16, bias=False)
        if variant == "fcn8s":
            self.score_pool3 = nn.Conv2d(C3, classes, 1)
            self.score_pool4 = nn.Conv2d(C4, classes, 1)
            self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
            self.upscore8 = nn.ConvTranspose2d(classes, classes, 16, 8, bias=False)
            self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        enliven(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[2:]
        pools, h = {}, x
        for block, count in enumerate((2, 2, 3, 3, 3), 1):
            for i in range(1, count + 1):
                h = self.get_submodule(f"conv{block}_{i}")(h).relu()
            h = pools[block] = nn.functional.max_pool2d(h, 2, 2, ceil_mode=True)
        h = self.score_fr(self.fc7(self.fc6(h).relu()).relu())
        if self.variant == "fcn32s":
            return self.upscore(h)[:, :, 19 : 19 + rows, 19 : 19 + columns]
        h = self.upscore2(h)
        skip = self.score_pool4(pools[4] * self.pool4_scale)
        h = h + skip[:, :, 5 : 5 + h.shape[2], 5 : 5 + h.shape[3]]
        if self.variant == "fcn16s":
            return self.upscore16(h)[:, :, 27 : 27 + rows, 27 : 27 + columns]
        h = self.upscore_pool4(h)
        skip = self.score_pool3(pools[3] * self.pool3_scale)
        h = h + skip[:, :, 9 : 9 + h.shape[2], 9 : 9 + h.shape[3]]
        return self.upscore8(h)[:, :, 31 : 31 + rows, 31 : 31 + columns]


@pytest.fixture(scope="session", name="enliven")
def enliven_fixture() -> Callable[[nn.Module], None]:
    return enliven


@pytest.fixture(scope="session")
def port_of_caffe() -> type[PortOfCaffe]:
    return PortOfCaffe
