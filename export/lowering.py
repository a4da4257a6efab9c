"""Rewriting a network for deployment without changing what it computes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate, pad

from ..fcn_models.fcn import FCN
from ..fcn_models.upsampling import is_bilinear


class BilinearUpsampling(nn.Module):
    """What a bilinear transposed convolution computes, written as linear interpolation.

    A transposed convolution with kernel 2s, stride s and the bilinear filter equals: a frame of zeros, one pixel wide,
    then linear interpolation by s, then a crop. The frame is what makes the border fade to zero as the convolution
    does, where interpolation alone would repeat the last value. It costs 4 multiplications per output value instead of
    4 times the number of classes.

    Attributes:
        stride: Upsampling factor s, even.
        offset: Row and column of the enlarged map where the transposed convolution's output begins.
    """

    def __init__(self, stride: int, padding: int) -> None:
        super().__init__()
        self.stride = stride
        self.offset = stride // 2 + padding
        self._padding = padding

    def enlarge(self, scores: torch.Tensor) -> torch.Tensor:
        """The enlarged map before the crop: (N, C, h, w) to (N, C, (h + 2) * s, (w + 2) * s)."""
        framed = pad(scores, (1, 1, 1, 1))
        return interpolate(framed, scale_factor=float(self.stride), mode="bilinear", align_corners=False)

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """As the transposed convolution: (N, C, h, w) to (N, C, (h + 1) * s - 2 * padding, ...)."""
        end = -self.offset
        return self.enlarge(scores)[:, :, self.offset : end, self.offset : end]


def lower_upsampling(model: FCN) -> None:
    """Replace every exactly bilinear transposed convolution by interpolation; learned ones stay as they are."""
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.ConvTranspose2d) and layer.stride[0] % 2 == 0 and is_bilinear(layer):
            padding = layer.padding[0]
            assert isinstance(padding, int)
            setattr(model, name, BilinearUpsampling(layer.stride[0], padding))


def reverse_input_channels(model: FCN) -> None:
    """Make a network trained on RGB take BGR, or the other way round, by permuting its first weights."""
    with torch.no_grad():
        model.conv1_1.weight.copy_(model.conv1_1.weight.flip(1))


def fold_input_scale(model: FCN, scale: tuple[float, float, float]) -> None:
    """Multiply each input channel in the first weights instead of in every frame.

    The mean cannot move there as well: it has to be subtracted before the first convolution pads with zeros.
    """
    with torch.no_grad():
        model.conv1_1.weight.mul_(torch.tensor(scale).view(1, 3, 1, 1))


def scale_activations(model: FCN, log2: int) -> None:
    """Scale every activation, and the logits, by 2 to the power `log2`, exactly.

    The network is made of convolutions, ReLU, max pooling, bilinear upsampling and sums: scale the first layer's
    weights and every bias, and all that follows scales along. A power of two only changes exponents.
    """
    factor = 2.0**log2
    with torch.no_grad():
        model.conv1_1.weight.mul_(factor)
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.mul_(factor)


class _ToFloat(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()


def lower_to_half(model: FCN) -> None:
    """Run the trunk and fc6/fc7 in float16, the score layers and the upsampling in float32.

    Score and upsampling layers are a fraction of a percent of the work, and decide between classes whose scores differ
    little.
    """
    for name, layer in list(model.named_children()):
        if name.startswith("score"):
            setattr(model, name, nn.Sequential(_ToFloat(), layer))
        elif not name.startswith("upscore"):
            layer.half()


def emulate_half(model: FCN) -> None:
    """Make a float32 network round as `lower_to_half` does on hardware that computes in half precision.

    Weights and every convolution's output are rounded to float16, and overflow to infinity as they would; sums are
    float32, as in tensor cores. CPU backends compute float16 graphs in float32 throughout and would hide an overflow.
    """
    model.register_forward_pre_hook(lambda _model, inputs: (_rounded(inputs[0]),))
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d) and not name.startswith("score"):
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter.copy_(_rounded(parameter))
            layer.register_forward_hook(lambda _layer, _inputs, output: _rounded(output))


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x.half().float()
