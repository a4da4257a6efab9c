"""Running a network at another size than the frame's: smaller is faster, and what a network was trained on suits it.

The definition, for PyTorch and every export of it: the normalised image is resized bilinearly (half-pixel centres, no
antialiasing, which TensorRT does not have), the network computes its logits, and these are resized back in the same
way to the frame's size. Only then a class is chosen, so that its outlines are as fine as the frame.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TypeAlias, cast

import torch
from torch.nn.functional import interpolate

from ..runtime.spec import ImageSize
from .checkpoint import Checkpoint
from .network import Network

InferSize: TypeAlias = "ImageSize | int"
"""Height and width that every frame is resized to; or the length of the short side, which keeps the aspect ratio and
leaves smaller frames as they are."""


def parse_infer_size(text: str) -> InferSize:
    """The size written as ``HxW``, or as ``N`` for the short side.

    Raises:
        ValueError: If it is neither.
    """
    if re.fullmatch(r"[1-9]\d*", text.strip()):
        return int(text)
    try:
        return ImageSize.parse(text)
    except ValueError as exc:
        raise ValueError(
            f"{text!r} is not a size; write HEIGHTxWIDTH, for example 512x640, or one number for the short side"
        ) from exc


class AtInferSize(Network):
    """A network that works at a size of its own; see the module.

    Args:
        network: The network.
        size: The size.
    """

    def __init__(self, network: Network, size: InferSize) -> None:
        super().__init__()
        self.config = network.config
        self.size = size
        self._network = network
        self.score_layers = tuple(f"_network.{name}" for name in network.score_layers)
        self.upsampling_layers = tuple(f"_network.{name}" for name in network.upsampling_layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """As `Network`: (N, 3, H, W) to (N, score_channels, H, W)."""
        height, width = image.shape[2:]
        # In float32 in any case: a half has too few bits for weights of pixels.
        inside = _resize(image.float(), *self._inner(height, width)).to(image.dtype)
        return _resize(self._network(inside).float(), height, width)

    def _inner(self, height: int, width: int) -> tuple[int, int]:
        if isinstance(self.size, ImageSize):
            return self.size.height, self.size.width
        # The sizes may be symbols of a graph that is being traced, so there is no `if`.
        short = cast("int", torch.sym_max(torch.sym_min(height, width), self.size))
        return (height * self.size + short // 2) // short, (width * self.size + short // 2) // short


def at_infer_size(checkpoint: Checkpoint, infer_size: str | None) -> Checkpoint:
    """The checkpoint with its network at another size, in the form of `parse_infer_size`; itself if None."""
    if infer_size is None:
        return checkpoint
    return dataclasses.replace(checkpoint, model=AtInferSize(checkpoint.model, parse_infer_size(infer_size)))


def infer_size_of(model: Network) -> str | None:
    """The text form of the size that a network works at; None if it is the frame's."""
    return str(model.size) if isinstance(model, AtInferSize) else None


def _resize(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
