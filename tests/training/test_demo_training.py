from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.fcn import FCN, FCNConfig
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.spec import ImageSize
from fcnrt.training.batch_norm import add_batch_norm, fold_batch_norm
from fcnrt.training.demo import Schedule, train_demo

TINY = Schedule(
    width=1 / 32,
    fc_channels=8,
    steps=(3, 2, 2),
    batch_size=2,
    sizes=(ImageSize(64, 64),),
    scenes_per_size=6,
    held_out=3,
)


def test_three_stages_are_trained_and_written(tmp_path: Path) -> None:
    results = train_demo(tmp_path / "weights", TINY)
    assert list(results) == ["fcn32s", "fcn16s", "fcn8s"]
    written = json.loads((tmp_path / "weights" / "results.json").read_text())
    for variant, mean_iou in results.items():
        assert 0 <= mean_iou < 0.5  # nobody learns in two steps
        assert written["mean_iou"][variant] == pytest.approx(mean_iou, abs=1e-4)
        checkpoint = load_checkpoint(tmp_path / "weights" / f"{variant}.safetensors")
        assert checkpoint.model.config.variant == variant
        assert checkpoint.class_names == VOC_CLASSES
        assert all(type(layer) is not nn.BatchNorm2d for layer in checkpoint.model.modules())


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    train_demo(first, TINY, seed=5)
    train_demo(again, TINY, seed=5)
    train_demo(other, TINY, seed=6)
    weights = [load_checkpoint(path / "fcn8s.safetensors").model.conv1_1.weight for path in (first, again, other)]
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])


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
