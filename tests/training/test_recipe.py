from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from fcnrt.cli import train as command
from fcnrt.training.batch_norm import add_batch_norm
from fcnrt.training.plan import Plan
from fcnrt.training.recipe import RECIPES, lr_factor, make_optimizer


def test_recipes_are_those_of_the_command_line() -> None:
    assert get_args(command.RecipeName) == tuple(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_biases_learn_twice_as_fast_and_do_not_decay(name: str, make_start) -> None:
    network = make_start("fcn8s").network
    optimizer = make_optimizer(RECIPES[name], network, 0.5)
    settings = {
        id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    found = {key: settings.get(id(parameter)) for key, parameter in network.named_parameters()}
    decay = RECIPES[name].weight_decay
    assert decay > 0
    for key, value in found.items():
        if key.startswith("upscore"):
            assert value is None  # fixed: it neither learns nor decays
        else:
            assert value == ((1.0, 0.0) if key.endswith(".bias") else (0.5, decay)), key
    assert len(settings) == 2 * (13 + 2 + 3)


def test_batch_normalisation_does_not_decay(make_start) -> None:
    network = make_start("fcn32s").network
    add_batch_norm(network)
    groups = make_optimizer(RECIPES["scratch"], network, 0.5).param_groups
    assert [(len(group["params"]), group["lr"], group["weight_decay"] > 0) for group in groups] == [
        (16, 0.5, True),
        (15, 0.5, False),
        (31, 1.0, False),
    ]


def test_schedules() -> None:
    assert lr_factor("constant", 0.7) == 1
    assert [lr_factor("poly", progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5**0.9, 0])
    cycle = [lr_factor("one_cycle", progress) for progress in np.linspace(0, 1, 201)]
    assert (cycle[0], max(cycle), cycle[-1]) == pytest.approx((0.04, 1, 0.04))
    assert int(np.argmax(cycle)) == 30
    assert (np.diff(cycle[:31]) > 0).all()
    assert (np.diff(cycle[30:]) < 0).all()


def test_the_papers_stages(make_start) -> None:
    """1e-10 for FCN-32s, 1e-12 for FCN-16s from it, 1e-14 for FCN-8s from that, each step one whole picture."""
    plan = Plan(recipe=RECIPES["paper"], epochs=2)
    found = [plan.resolved(dataclasses.replace(make_start(), trained_scores=count), 1464) for count in (0, 1, 2, 3)]
    assert [resolved.lr for resolved in found] == pytest.approx([1e-10, 1e-12, 1e-14, 1e-14], rel=1e-6, abs=0)
    assert {(resolved.batch_size, resolved.crop, resolved.steps) for resolved in found} == {(1, None, 2928)}


def test_a_stage_that_goes_on_keeps_its_learning_rate(make_start) -> None:
    """From its own weights FCN-32s is still trained as FCN-32s, and so is each other stage."""
    plan = Plan(recipe=RECIPES["paper"], steps=1)
    starts = [
        dataclasses.replace(make_start(variant), trained_scores=count)
        for variant, count in (("fcn32s", 1), ("fcn16s", 2), ("fcn8s", 3))
    ]
    assert [plan.resolved(start, 9).lr for start in starts] == pytest.approx([1e-10, 1e-12, 1e-14], rel=1e-6, abs=0)


def test_the_sum_at_1e10_is_the_mean_at_its_equivalent(make_start) -> None:
    """A sum over N pixels steps like their mean with N times the learning rate and the N-th part of the decay."""
    torch.manual_seed(0)
    images, pixels = torch.randn(1, 3, 40, 60), 40 * 60
    steps = []
    for lr, decay, divisor in ((1e-10, 5e-4, 1), (1e-10 * pixels, 5e-4 / pixels, pixels)):
        network = make_start("fcn32s").network.eval()
        torch.nn.init.constant_(network.score_fr.weight, 1e-3)
        optimizer = make_optimizer(dataclasses.replace(RECIPES["paper"], weight_decay=decay), network, lr)
        before = network.score_fr.bias.detach().clone()
        logits = network(images)
        target = torch.ones(1, 40, 60, dtype=torch.long)
        (torch.nn.functional.cross_entropy(logits, target, reduction="sum") / divisor).backward()
        optimizer.step()
        steps.append((network.score_fr.bias.detach() - before).double())
    assert steps[0].abs().max() > 0
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-3, atol=0)
