"""The bundled weights are what `results.json` beside them says, measured again on a part of the held-out scenes."""

from __future__ import annotations

import json

import pytest

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
    assert scores["fcn8s"] >= 0.80
    assert scores["fcn8s"] > scores["fcn16s"] > scores["fcn32s"]


def test_together_at_most_12_megabytes() -> None:
    assert sum(bundled(variant).stat().st_size for variant in VARIANTS) <= 12e6


@pytest.mark.parametrize("variant", VARIANTS)
def test_accuracy_is_the_recorded_one(variant: Variant) -> None:
    checkpoint = demo_checkpoint(variant)
    assert checkpoint.class_names == VOC_CLASSES
    # 40 scenes of the 200: each class is in about 5 of them.
    assert mean_iou(checkpoint, 40) == pytest.approx(recorded()[variant], abs=0.06)
