"""What every network here is: a module that turns a normalised image into class scores, and its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Architecture of a network.

    Attributes:
        variant: Name of the architecture, a key of the registry.
        num_classes: Number of classes, the background included (2..256).
        sigmoid: Whether two classes have one score, whose sigmoid is the probability of class 1, as trained with
            binary cross-entropy; otherwise each class has its own.
        width: Multiplies the channels of every layer; 1 is the original, less is a slim network.
    """

    variant: str
    num_classes: int = 21
    sigmoid: bool = False
    width: float = 1.0

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= 256:
            raise ValueError(f"num_classes must be 2 to 256 (a class map is uint8), got {self.num_classes}")
        if self.sigmoid and self.num_classes != 2:
            raise ValueError(f"a single score tells 2 classes apart, not {self.num_classes}")
        if self.channels(64) < 1:
            raise ValueError(f"width {self.width} would leave a layer without channels")

    @property
    def score_channels(self) -> int:
        """Output channels of the layers that make class scores."""
        return 1 if self.sigmoid else self.num_classes

    @property
    def align(self) -> str:
        """Padding scheme; only the VGG16 networks of the paper have two."""
        return "native"

    def channels(self, original: int) -> int:
        """Channels of a layer that has `original` channels at full width."""
        return round(original * self.width)


class Network(nn.Module):
    """A network for semantic segmentation: normalised image in, class scores of every pixel out.

    ``forward`` takes float (N, 3, H, W) and returns logits, float (N, score_channels, H, W), of the same height and
    width for every size from 1x1 up.

    With batch normalisation folded away, it consists of convolutions, ReLU, max pooling, linear interpolation, sums and
    concatenations only. Scaling the first weights and every bias then scales all activations; exports rely on that.
    A batch normalisation is registered right behind the layer whose output it takes.

    Attributes:
        config: Its architecture.
        score_layers: Names of the layers that turn features into class scores.
        upsampling_layers: Names of the layers behind those, which work on class scores.
    """

    config: NetworkConfig
    score_layers: tuple[str, ...]
    upsampling_layers: tuple[str, ...]

    @property
    def first_layer(self) -> nn.Conv2d:
        """The layer that reads the image."""
        return next(layer for layer in self.modules() if isinstance(layer, nn.Conv2d))


def classes_of(score_channels: int) -> dict[str, Any]:
    """What a `NetworkConfig` says about the classes of a network whose score layers have so many output channels."""
    if score_channels == 1:
        return {"num_classes": 2, "sigmoid": True}
    return {"num_classes": score_channels}


def crop(maps: torch.Tensor, start: int, height: int, width: int) -> torch.Tensor:
    """The window of `height` rows and `width` columns that begins at row and column `start`; maps are (..., H, W)."""
    # Unlike a slice, narrow has exactly the asked size, also in a traced graph with symbolic sizes.
    return maps.narrow(-2, start, height).narrow(-1, start, width)
