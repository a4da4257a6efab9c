"""`FrozenUpsampling`: bilinear upsampling that is not learned, at a fraction of the time."""

from __future__ import annotations

import torch
from torch import nn

from ..export.lowering import BilinearUpsampling
from ..fcn_models.upsampling import is_bilinear


class FrozenUpsampling(nn.ConvTranspose2d):
    """A bilinear transposed convolution whose weight is kept, for what is written, and computed as interpolation.

    The dense convolution multiplies every class with every class, nearly always by zero. In bfloat16 with a stride of
    32 it alone took ten times as long as all the rest of a step on a processor with AMX (oneDNN of PyTorch 2.14).

    Args:
        layer: The transposed convolution; without bias, of even stride.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        assert is_bilinear(layer)
        assert layer.bias is None
        padding = layer.padding[0]
        assert isinstance(padding, int)
        stride = layer.stride[0]
        # On "meta" no random weights are drawn, which would be replaced at once.
        super().__init__(layer.in_channels, layer.out_channels, 2 * stride, stride, padding, bias=False, device="meta")
        self.weight = nn.Parameter(layer.weight.detach(), requires_grad=False)
        self._interpolation = BilinearUpsampling(stride, padding)

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """The enlarged scores in float32, whatever type comes in."""
        assert output_size is None
        return self._interpolation(input.float())  # type: ignore[no-any-return]
