import pytest
import torch

from fcnrt.fcn_models.upsampling import bilinear_conv_transpose
from fcnrt.training.frozen_upsampling import FrozenUpsampling


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_scores_and_gradients_are_those_of_the_transposed_convolution(stride: int, is_padded: bool) -> None:
    torch.manual_seed(0)
    layer = bilinear_conv_transpose(3, stride=stride, padding=stride // 2 if is_padded else 0)
    scores = torch.randn(2, 3, 4, 5)
    loss_weights = torch.randn_like(layer(scores))

    found = []
    for upsampling in (layer, FrozenUpsampling(layer)):
        leaf = scores.clone().requires_grad_()
        enlarged = upsampling(leaf)
        (enlarged * loss_weights).sum().backward()
        assert leaf.grad is not None
        found.append((enlarged.detach(), leaf.grad))

    torch.testing.assert_close(found[1][0], found[0][0])
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-4)  # sums of up to 64 * 64 products


def test_weight_is_kept_and_does_not_learn() -> None:
    layer = bilinear_conv_transpose(3, stride=8, padding=4)
    frozen = FrozenUpsampling(layer)
    assert frozen.state_dict().keys() == layer.state_dict().keys()
    assert torch.equal(frozen.weight, layer.weight)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_scores_are_float32_where_convolutions_are_not() -> None:
    frozen = FrozenUpsampling(bilinear_conv_transpose(3, stride=8, padding=4))
    scores = torch.randn(1, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        enlarged = frozen(scores.bfloat16())
    assert enlarged.dtype == torch.float32
    assert torch.equal(enlarged, frozen(scores.bfloat16().float()))
