"""A disk that is full in the middle of a result, as far as a program can tell: its files may not grow any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.images.files import write_image

MakeVideo = Callable[..., Path]


# In a process of its own: the limit holds for every file, also for one that the tests' output goes to. Python itself
# must write none (-B): it would keep compiled modules that end at the limit.
_PROGRAM = """
import resource
from fcnrt.cli.app import main

resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
main()
"""


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with an image and a video."""
    monkeypatch.chdir(tmp_path)
    write_image(Path("photo.png"), np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    make_video(Path("clip.mp4"), pts=range(30))


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (["run", "photo.png", "-o", "a.png"], "a.png"),
        (["run", "clip.mp4", "-o", "a.mp4"], "a.mp4"),
        (["run", "photo.png", "-o", "folder"], "folder/photo.png"),
        (["run", "clip.mp4", "-o", "folder", "--save", "classes"], "folder/000000.png"),
        (["export", "-o", "a.onnx"], "a.onnx"),
        (["data", "synth", "scenes", "--count", "2"], "scenes"),
    ],
)
def test_is_one_line_and_leaves_nothing_half_written(tiny_model: Path, arguments: list[str], result: str) -> None:
    model = ["--model", str(tiny_model)] if arguments[0] == "run" else []

    done = subprocess.run(
        [sys.executable, "-B", "-c", _PROGRAM, *arguments, *model], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"error: cannot write {result}: File too large"
    assert done.stderr.count("error") == 1
    assert "Traceback" not in done.stderr
    left = {str(path) for path in Path().rglob("*") if path.is_file()} - {"photo.png", "clip.mp4"}
    # A data set without lists of its scenes is taken by no reader, and can be written again.
    assert not {path for path in left if not path.startswith("scenes/") or path.endswith(".txt")}
