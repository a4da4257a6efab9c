from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fcnrt.export import demo
from fcnrt.export.demo import demo_model
from fcnrt.export.requirements import require_export_packages
from fcnrt.runtime.errors import MissingDependencyError, OutputError
from fcnrt.runtime.images.files import write_image
from fcnrt.runtime.onnx_header import read_onnx_header


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the exported FCN-8s in it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FCNRT_CACHE_DIR", str(folder))
        demo_model()
    return folder


def test_it_is_exported_into_the_cache(cache: Path) -> None:
    (path,) = (cache / "models").iterdir()
    assert path.name.startswith("fcn8s-demo-")
    spec = read_onnx_header(path).spec
    assert spec.source == "bundled demo weights, trained on synthetic scenes"
    assert spec.num_classes == 21


def test_finding_and_running_it_imports_neither_torch_nor_onnx(cache: Path) -> None:
    program = """
import sys, numpy as np
from fcnrt import Segmenter
from fcnrt.export.demo import demo_model
with Segmenter.open(demo_model(), device="cpu") as segment:
    assert segment(np.zeros((40, 30, 3), np.uint8)).shape == (40, 30)
found = {"torch", "onnx", "onnxscript", "safetensors", "torchvision"} & sys.modules.keys()
assert not found, found
"""
    environment = {"FCNRT_CACHE_DIR": str(cache), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_the_program_runs_it_unless_told_otherwise(cache: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", np.zeros((40, 30, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, "-m", "fcnrt", "run", "photo.png", "--save", "classes"],
        cwd=tmp_path,
        env={"FCNRT_CACHE_DIR": str(cache), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "photo-classes.png\n")
    assert done.stderr.startswith("model fcn8s (demo) · onnxruntime on cpu · 1 image\n")


def test_it_is_exported_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(cache))
    monkeypatch.setattr(demo, "demo_checkpoint", lambda variant: pytest.fail("exported again"))
    assert demo_model() == demo_model()


def test_without_the_packages_it_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("fcnrt.export.requirements.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingDependencyError, match=r"first use\) needs torch, which is not installed") as caught:
        demo_model()
    assert 'pip install "fcnrt[export]", or name an exported model with --model FILE' in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MissingDependencyError, match="exporting a model needs torch, which is not installed"):
        require_export_packages("exporting a model")


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot make the folder"):
        demo_model()
