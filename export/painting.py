"""The output ``overlay``: the frame with the class colours laid over it, inside the graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import embedding

from ..runtime.opacity import check_opacity
from ..runtime.spec import ChannelOrder


class OverlayPainting(nn.Module):
    """What `ClassPainter.overlay` of the runtime computes, with floats from the palette to the last rounding.

    TensorRT takes uint8 from the graph's input and to its outputs only, so colours cannot be looked up as bytes.
    """

    _colors: torch.Tensor
    _frame_weights: torch.Tensor

    def __init__(self, palette: Sequence[tuple[int, int, int]], opacity: float, channel_order: ChannelOrder) -> None:
        """Fix the colours.

        Args:
            palette: One RGB colour (0..255) per class; the background, class 0, is not painted.
            opacity: Weight of the class colours, 0 (not visible) to 1 (covers the frame).
            channel_order: Order of the channels of the frames.

        Raises:
            ValueError: If the opacity is not 0..1.
        """
        super().__init__()
        check_opacity(opacity)
        colors = torch.tensor(palette, dtype=torch.float32) * opacity  # (classes, 3)
        frame_weights = torch.full((len(palette), 1), 1 - opacity)
        colors[0], frame_weights[0] = 0, 1
        self.register_buffer("_colors", colors if channel_order == "rgb" else colors.flip(1))
        self.register_buffer("_frame_weights", frame_weights)

    def forward(self, pixels: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """The painted frames, uint8 (N, H, W, 3).

        Args:
            pixels: The frames, float32 (N, H, W, 3), 0..255.
            classes: Class of each pixel, int64 (N, H, W).
        """
        blended = pixels * embedding(classes, self._frame_weights) + embedding(classes, self._colors)
        return blended.round().to(torch.uint8)  # to the even one from half-way, as OpenCV
