"""What the README shows is what the program does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.demo import demo_model
from fcnrt.fcn_models.weights import bundled
from fcnrt.runtime.images.files import write_image
from fcnrt.runtime.spec import ImageSize

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_example_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code, _, expected = block.rstrip().rpartition("\n# ")
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    shutil.copy(demo_model(), tmp_path / "out" / "fcn8s.onnx")
    # The demo's still is this scene, see the Makefile.
    write_image(tmp_path / "out" / "still.jpg", render_scene(7, 3, ImageSize(320, 480)).image)
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60
    )
    assert finished.stdout == f"{expected}\n"


def test_accuracy_of_the_demo_weights_is_the_recorded_one() -> None:
    results = json.loads((bundled("fcn8s").parent / "results.json").read_text())
    for variant, mean_iou in results["mean_iou"].items():
        name = f"FCN-{variant[3:]}"
        assert f"| {name} | {100 * mean_iou:.1f} |" in README


def test_commands_exist() -> None:
    from typer.main import get_command

    from fcnrt.cli.app import app

    existing = set(get_command(app).commands)  # type: ignore[attr-defined]
    shown = set(re.findall(r"^\| `fcnrt (\w+)", README, re.MULTILINE))
    assert shown == existing
