"""A disk that is full in the middle of a result, as far as a program can tell: its files may not grow any more."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.images import write_image

MakeVideo = Callable[..., Path]


@pytest.fixture
def full_disk(tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A current folder with an image and a video, whose results do not fit on the disk."""
    monkeypatch.chdir(tmp_path)
    write_image(Path("photo.png"), np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    make_video(Path("clip.mp4"), pts=range(30))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


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
@pytest.mark.usefixtures("full_disk")
def test_is_one_line_and_leaves_nothing_half_written(
    fcnrt: Any, tiny_model: Path, arguments: list[str], result: str
) -> None:
    model = ["--model", tiny_model] if arguments[0] == "run" else []

    code, out, err = fcnrt(*arguments, *model)

    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"error: cannot write {result}: File too large"
    assert err.count("error") == 1
    assert "Traceback" not in err
    left = {str(path) for path in Path().rglob("*") if path.is_file()} - {"photo.png", "clip.mp4"}
    # A data set without lists of its scenes is taken by no reader, and can be written again.
    assert not {path for path in left if not path.startswith("scenes/") or path.endswith(".txt")}
