from __future__ import annotations

import json
from pathlib import Path

import pytest

from fcnrt.datasets.synthetic import SyntheticScenes, render_scene, scene_name
from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.spec import ImageSize
from fcnrt.training.demo import Schedule, mean_iou, train_demo


def test_three_stages_are_trained_and_written(tmp_path: Path) -> None:
    tiny = Schedule(
        width=1 / 32, fc_channels=8, steps=(2, 1, 1), batch_size=2, scenes=6, validated=1, held_out=2, workers=0
    )
    results = train_demo(tmp_path / "weights", tiny)
    assert list(results) == ["fcn32s", "fcn16s", "fcn8s"]
    written = json.loads((tmp_path / "weights" / "results.json").read_text())
    for variant, value in results.items():
        assert 0 <= value < 0.5  # nobody learns in two steps
        assert written["mean_iou"][variant] == pytest.approx(value, abs=1e-4)
        checkpoint = load_checkpoint(tmp_path / "weights" / f"{variant}.safetensors")
        assert checkpoint.model.config.variant == variant
        assert checkpoint.class_names == VOC_CLASSES
        assert mean_iou(checkpoint, 2) == value
    assert "score_pool3 at zero" in checkpoint.notes["start"]


def test_scenes_are_drawn_when_asked_for() -> None:
    scenes = SyntheticScenes(4, 3, ImageSize(32, 48))
    assert [scene.name for scene in scenes] == [scene_name(4, index) for index in range(3)]
    assert [scene.name for scene in scenes[1:]] == [scene_name(4, 1), scene_name(4, 2)]
    assert (scenes[-1].image == render_scene(4, 2, ImageSize(32, 48)).image).all()
    with pytest.raises(IndexError):
        scenes[3]
