"""Rewriting a network for deployment without changing what it computes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn
from torch.nn.functional import interpolate, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..fcn_models.network import Network
from ..fcn_models.preprocessing import Preprocessing
from ..fcn_models.upsampling import is_bilinear

_NetworkT = TypeVar("_NetworkT", bound=Network)


class ChannelAffine(nn.Module):
    """A batch normalisation in use, where no convolution can take it in: a factor and a summand per channel."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = norm.bias - norm.running_mean * weight
        self.weight = nn.Parameter(weight.detach().view(-1, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().view(-1, 1, 1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same."""
        return x * self.weight + self.bias


def sharing_weights(model: _NetworkT) -> _NetworkT:
    """The same network once more with the same weights in memory: they may be replaced, not changed in place."""
    weights = {id(parameter): nn.Parameter(parameter.detach(), False) for parameter in model.parameters()}
    return copy.deepcopy(model, memo={**weights, **{id(buffer): buffer.detach() for buffer in model.buffers()}})


def without_batch_norm(model: _NetworkT) -> _NetworkT:
    """The network with its batch normalisations moved into the layers before them; itself if it has none."""
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules()):
        return model
    folded = sharing_weights(model).eval()
    for parent in list(folded.modules()):
        before = ""
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                reads = parent.get_submodule(before) if before else None  # see `Network`
                if isinstance(reads, (nn.Conv2d, nn.ConvTranspose2d)):
                    transpose = isinstance(reads, nn.ConvTranspose2d)
                    setattr(parent, before, fuse_conv_bn_eval(reads, layer, transpose=transpose))
                    setattr(parent, name, nn.Identity())
                else:
                    setattr(parent, name, ChannelAffine(layer))
            before = name
    return folded


class BilinearUpsampling(nn.Module):
    """What a bilinear transposed convolution computes, written as linear interpolation.

    A transposed convolution with kernel 2s, stride s and the bilinear filter equals: a frame of zeros, one pixel wide,
    then linear interpolation by s, then a crop. The frame is what makes the border fade to zero as the convolution
    does, where interpolation alone would repeat the last value. It costs 4 multiplications per output value instead of
    4 times the number of classes.

    Attributes:
        stride: Upsampling factor s, even.
        offset: Row and column of the enlarged map where the transposed convolution's output begins.
        bias: Summand per channel, if the transposed convolution has one.
    """

    def __init__(self, stride: int, padding: int, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        self.stride = stride
        self.offset = stride // 2 + padding
        self._padding = padding
        self.bias = None if bias is None else nn.Parameter(bias.detach().view(-1, 1, 1), requires_grad=False)

    def enlarge(self, scores: torch.Tensor) -> torch.Tensor:
        """The enlarged map before the crop: (N, C, h, w) to (N, C, (h + 2) * s, (w + 2) * s)."""
        framed = pad(scores, (1, 1, 1, 1))
        return interpolate(framed, scale_factor=float(self.stride), mode="bilinear", align_corners=False)

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """As the transposed convolution: (N, C, h, w) to (N, C, (h + 1) * s - 2 * padding, ...)."""
        end = -self.offset
        upsampled = self.enlarge(scores)[:, :, self.offset : end, self.offset : end]
        return upsampled if self.bias is None else upsampled + self.bias


def lower_upsampling(model: Network) -> None:
    """Replace every exactly bilinear transposed convolution by interpolation; learned ones stay as they are."""
    for name in model.upsampling_layers:
        layer = model.get_submodule(name)
        if isinstance(layer, nn.ConvTranspose2d) and layer.stride[0] % 2 == 0 and is_bilinear(layer):
            padding = layer.padding[0]
            assert isinstance(padding, int)
            _replace(model, name, BilinearUpsampling(layer.stride[0], padding, layer.bias))


def reverse_input_channels(model: Network) -> None:
    """Make a network trained on RGB take BGR, or the other way round, by permuting its first weights."""
    model.first_layer.weight.data = model.first_layer.weight.data.flip(1)


def fold_input_scale(model: Network, scale: tuple[float, float, float]) -> None:
    """Multiply each input channel in the first weights instead of in every frame.

    The mean cannot move there as well: it has to be subtracted before the first convolution pads with zeros.
    """
    model.first_layer.weight.data = model.first_layer.weight.data * torch.tensor(scale).view(1, 3, 1, 1)


def scale_activations(model: Network, log2: int) -> None:
    """Scale every activation, and the logits, by 2 to the power `log2`, exactly.

    The network is made of convolutions, ReLU, max pooling, bilinear upsampling, sums and concatenations (see
    `Network`): scale the first layer's weights and every bias, and all that follows scales along. A power of two only
    changes exponents.
    """
    assert model is without_batch_norm(model)
    factor = 2.0**log2
    model.first_layer.weight.data = model.first_layer.weight.data * factor
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data = parameter.data * factor


class _InFloat(nn.Module):
    """A layer that computes in float32, whatever it is given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.in_float = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.in_float(x.float())  # type: ignore[no-any-return]


def lower_to_half(model: Network) -> None:
    """Run the network in float16, except for the score layers and the upsampling behind them, which stay float32.

    Score and upsampling layers are a fraction of a percent of the work, and decide between classes whose scores differ
    little.
    """
    for _, layer in _half_precision_layers(model):
        layer.half()
    for name in model.score_layers:
        _replace(model, name, _InFloat(model.get_submodule(name)))


def emulate_half(model: Network) -> None:
    """Make a float32 network round as `lower_to_half` does on hardware that computes in half precision.

    Weights and the output of every convolution and every sum are rounded to float16, and overflow to infinity as they
    would; sums are float32, as in tensor cores. CPU backends compute float16 graphs in float32 throughout and would
    hide an overflow.
    """
    model.register_forward_pre_hook(lambda _model, inputs: (_rounded(inputs[0]),))
    for _, layer in _half_precision_layers(model):
        for parameter in layer.parameters():
            parameter.data = _rounded(parameter.data)
        layer.register_forward_hook(lambda _layer, _inputs, output: _rounded(output))


def half_precision_model(model: _NetworkT, preprocessing: Preprocessing, *, activation_scale_log2: int) -> _NetworkT:
    """The network as a half-precision graph holds it, with half precision emulated.

    The input's scale is in its first weights, and all it computes, the logits too, is scaled by 2 to the power
    `activation_scale_log2`. The network that is given stays as it is; weights that do not change are shared with it.
    """
    half = sharing_weights(without_batch_norm(model))
    fold_input_scale(half, preprocessing.scale)
    scale_activations(half, activation_scale_log2)
    emulate_half(half)
    return half


def _half_precision_layers(model: Network) -> Iterator[tuple[str, nn.Module]]:
    """The layers that may run in float16. ReLU is among them because it follows where sums are made."""
    for name, layer in model.named_modules():
        if name in model.score_layers or name in model.upsampling_layers:
            continue
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, ChannelAffine, nn.ReLU)):
            yield name, layer


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x.half().float()
