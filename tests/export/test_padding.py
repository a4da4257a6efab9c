from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fcnrt.export.padding import Repeat, fold_padding
from fcnrt.fcn_models.fcn import FCN, FCNConfig, Variant


def random_network(variant: Variant, align: str = "caffe") -> FCN:
    """A slim network in double precision whose weights and biases all matter, also in the padding."""
    torch.manual_seed(5)
    config = FCNConfig(variant=variant, num_classes=3, align=align, width=1 / 16, fc_channels=8)  # type: ignore[arg-type]
    model = FCN(config).eval().double()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.5)  # type: ignore[arg-type]
    return model


def folded(model: FCN) -> FCN:
    smaller = copy.deepcopy(model)
    fold_padding(smaller)
    return smaller


@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
@torch.no_grad()
def test_logits_are_the_same_at_every_size(variant: Variant) -> None:
    model = random_network(variant)
    smaller = folded(model)
    assert smaller.conv1_1.padding == (8, 8)
    for height in (*range(1, 36), 64, 97):  # every remainder of 32: poolings round at the far end
        width = 1 + 37 * height % 53
        x = torch.randn(1, 3, height, width, dtype=torch.float64)
        expected = model(x)
        torch.testing.assert_close(smaller(x), expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


@torch.no_grad()
def test_as_few_rows_as_possible_are_computed() -> None:
    model = random_network("fcn8s")
    smaller = folded(model)
    x = torch.randn(1, 3, 37, 50, dtype=torch.float64)
    outputs: dict[str, torch.Tensor] = {}
    for name in ("pool1", "pool2", "pool3"):
        pool, repeat = smaller.get_submodule(name).children()
        assert isinstance(repeat, Repeat)
        pool.register_forward_hook(lambda _layer, _inputs, output, name=name: outputs.update({name: output}))
    smaller(x)
    for name, (index, times) in {"pool1": (1, 6), "pool2": (2, 8), "pool3": (3, 6)}.items():
        repeat = list(smaller.get_submodule(name).children())[1]
        assert (repeat.index, repeat.times) == (index, times)
        if name == "pool3":  # the row before sees the outer border, the row behind sees the image
            rows = outputs[name]
            assert not torch.allclose(rows[:, :, index - 1], rows[:, :, index])
            assert not torch.allclose(rows[:, :, index + 1], rows[:, :, index])


def test_rows_and_columns_are_repeated_near_both_ends() -> None:
    x = torch.arange(20.0).view(1, 1, 4, 5)
    rows, columns = [0, 1, 1, 1, 2, 2, 2, 3], [0, 1, 1, 1, 2, 3, 3, 3, 4]
    assert torch.equal(Repeat(1, 2)(x), x[:, :, rows][:, :, :, columns])


def test_other_networks_stay_as_they_are() -> None:
    model = random_network("fcn8s", align="same")
    fold_padding(model)
    assert model.conv1_1.padding == (1, 1)
    assert isinstance(model.pool1, nn.MaxPool2d)
