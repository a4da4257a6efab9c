from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from a copy of the sources, so that building leaves nothing behind."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "out", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "sources", ignore=left_out)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(folder / "sources")], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_installs_only_fcnrt(contents: set[str]) -> None:
    assert {name.split("/")[0] for name in contents if ".dist-info/" not in name} == {"fcnrt"}
    assert not any(name.startswith("fcnrt/tests/") for name in contents)


def test_holds_every_module_and_the_demo_weights(contents: set[str]) -> None:
    packages = ("cli", "training", "benchmarks", "export", "datasets", "fcn_models", "runtime")
    modules = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 50
    missing = [path for path in modules if f"fcnrt/{path.relative_to(ROOT)}" not in contents]
    assert missing == []
    assert {"fcnrt/__init__.py", "fcnrt/__main__.py", "fcnrt/py.typed"} <= contents
    for variant in ("fcn32s", "fcn16s", "fcn8s"):
        assert f"fcnrt/fcn_models/demo_weights/{variant}.safetensors" in contents
