"""The bundled weights are what `results.json` beside them says, measured again on a part of the held-out scenes."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from fcnrt.export.demo import demo_checkpoint
from fcnrt.fcn_models.fcn import Variant
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.fcn_models.weights import bundled
from fcnrt.training.demo import mean_iou

VARIANTS: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")


def recorded() -> dict[str, float]:
    return json.loads((bundled("fcn8s").parent / "results.json").read_text())["mean_iou"]


def test_recorded_accuracy_meets_its_targets() -> None:
    scores = recorded()
    assert scores["fcn8s"] >= 0.85
    assert scores["fcn8s"] > scores["fcn16s"] > scores["fcn32s"]


def test_together_at_most_12_megabytes() -> None:
    assert sum(bundled(variant).stat().st_size for variant in VARIANTS) <= 12e6


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_half_precision_and_say_how_they_came_about(variant: Variant) -> None:
    with safe_open(bundled(variant), framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118 - no mapping
        description = json.dumps(file.metadata())
    assert variant in description
    results = json.loads((bundled(variant).parent / "results.json").read_text())
    assert "fcnrt.training" in results["command"]
    assert {"seed", "steps", "batch_size", "held_out", "torch"} <= results.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_accuracy_is_the_recorded_one(variant: Variant) -> None:
    checkpoint = demo_checkpoint(variant)
    assert checkpoint.class_names == VOC_CLASSES
    # 40 scenes of the 200: each class is in about 5 of them.
    assert mean_iou(checkpoint, 40) == pytest.approx(recorded()[variant], abs=0.06)
