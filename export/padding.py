"""Computing less of the padding of 100, exactly.

The released nets pad the image by 100. What their convolutions make of that padding is the same in all of it, but for
cells near its outer border, where they pad with zeros themselves, and for cells that see the image:

    padding, outer border -> | border | alike ... alike | image ...

Rows that are alike need not be computed one by one: a smaller padding has one of them, and it is repeated before the
next block of layers. The same holds for columns and for both ends. The farther a network has come, the fewer rows are
alike: behind pool3 there are 7, behind pool4 none.

The counts hold for every size of the image. At the far end the last cell of a pooling may cover less than two rows;
then as many cells or one more are alike there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from ..fcn_models.fcn import CAFFE_PAD, FCN
from ..fcn_models.network import Network

# 3x3 convolutions with a padding of their own before each pooling; conv1_1 has the padding of 100.
_CONVOLUTIONS = {"pool1": 1, "pool2": 2, "pool3": 3}


class Repeat(nn.Module):
    """Repeats one row, and one column, near each end: (N, C, h, w) to (N, C, h + 2 * times, w + 2 * times).

    Attributes:
        index: Which, counted from either end.
        times: How often it is repeated.
    """

    def __init__(self, index: int, times: int) -> None:
        super().__init__()
        self.index = index
        self.times = times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The larger map."""
        i, n = self.index, self.times
        # Counted from the end, not from a size: the exported graph then computes no sizes.
        rows = [x[:, :, :i], x[:, :, i : i + 1].expand(-1, -1, n, -1), x[:, :, i:-i]]
        x = torch.cat([*rows, x[:, :, -i - 1 : -i].expand(-1, -1, n, -1), x[:, :, -i:]], 2)
        columns = [x[..., :i], x[..., i : i + 1].expand(-1, -1, -1, n), x[..., i:-i]]
        return torch.cat([*columns, x[..., -i - 1 : -i].expand(-1, -1, -1, n), x[..., -i:]], 3)


class _Level(NamedTuple):
    pool: str
    border: int  # cells that the zero padding of convolutions reaches; the next one is like those behind it
    alike: int  # cells from there on to the first that sees the image


def fold_padding(model: Network) -> None:
    """Let a network with the padding of 100 compute one of each run of rows and columns that are alike."""
    if not isinstance(model, FCN) or model.config.align != "caffe":
        return
    levels = _levels()
    # What is left out at one level shortens those before it, which lie closer together, by twice as many cells.
    for level, deeper in pairwise([*levels, None]):
        assert level is not None
        times = level.alike - 1 - (0 if deeper is None else 2 * (deeper.alike - 1))
        setattr(model, level.pool, nn.Sequential(model.get_submodule(level.pool), Repeat(level.border, times)))
    left_out = 2 * (levels[0].alike - 1)  # pixels
    model.conv1_1.padding = (CAFFE_PAD - left_out, CAFFE_PAD - left_out)


def _levels() -> list[_Level]:
    # Cell i of conv1_1 sees the pixels i - 100 to i - 98.
    border, image = 0, CAFFE_PAD - 2
    levels = []
    for pool, convolutions in _CONVOLUTIONS.items():
        border, image = -(-(border + convolutions) // 2), (image - convolutions) // 2
        levels.append(_Level(pool, border, image - border))
    return levels
