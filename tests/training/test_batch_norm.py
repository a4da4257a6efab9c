from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from fcnrt.fcn_models.fcn import FCN, FCNConfig
from fcnrt.training.batch_norm import add_batch_norm, fold_batch_norm


def test_folding_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    model = FCN(FCNConfig(variant="fcn8s", num_classes=4, width=1 / 16, fc_channels=16))
    names = set(model.state_dict())
    add_batch_norm(model)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules()) == 15  # 13 of the trunk, fc6, fc7
    for _ in range(3):
        model(torch.randn(4, 3, 64, 64))  # in training mode: statistics are gathered
    model.eval()
    folded = copy.deepcopy(model)
    fold_batch_norm(folded)
    assert set(folded.state_dict()) == names
    x = torch.randn(1, 3, 65, 40)
    with torch.no_grad():
        expected = model(x)
        assert expected.std() > 0
        torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(FCN(model.config).eval()(x), expected, atol=1e-3)


def test_a_trained_network_computes_the_same_with_it(make_start) -> None:
    """What a stage has learned is not lost at the beginning of the next one, neither in training nor afterwards."""
    torch.manual_seed(0)
    network = make_start("fcn8s").network
    for name in network.score_layers:
        nn.init.normal_(network.get_submodule(name).weight)
    network.dropout.p = 0.0
    images = torch.randn(6, 3, 96, 96)
    network.train()
    with torch.no_grad():
        expected = network(images)
        normalised = copy.deepcopy(network)
        add_batch_norm(normalised, images)
        assert normalised.training
        torch.testing.assert_close(normalised.eval()(images), expected, rtol=1e-3, atol=1e-3)
        in_training = normalised.train()(images)
        assert (in_training - expected).abs().mean() < 0.02 * expected.std()
        unprepared = copy.deepcopy(network)
        add_batch_norm(unprepared)
        assert (unprepared(images) - expected).abs().mean() > 0.2 * expected.std()
