from __future__ import annotations

from pathlib import Path

import pytest

from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.class_file import with_classes
from fcnrt.fcn_models.network import Network
from fcnrt.runtime.errors import CheckpointError


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(
        model=Network(),
        preprocessing="imagenet_rgb",
        class_names=("class 0", "class 1", "class 2"),
        palette=((0, 0, 0), (128, 0, 0), (0, 128, 0)),
        layout="made for a test",
        source="nowhere",
        sha256="",
    )


def test_names_and_some_colours(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("\ufeffbackground\n  traffic light  #FFa003 \nC#-Müll\n\n", encoding="utf-8")
    named = with_classes(checkpoint, path)
    assert named.class_names == ("background", "traffic light", "C#-Müll")
    assert named.palette == ((0, 0, 0), (255, 160, 3), (0, 128, 0))
    assert named.source == checkpoint.source


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", "names 2 classes; the checkpoint has 3, background included"),
        (b"a\nb\nc\nd #010203\n", "names 4 classes; the checkpoint has 3"),
        (b"", "names 0 classes"),
        (b"a\n\nc\n", "line 2 is empty; write one class per line: NAME or NAME #rrggbb"),
        (b"a\nb\na\n", "'a' is there twice, in line 3 again"),
        (b"a\nb #ff\nc\n", "line 2: '#ff' is no colour at the end, .* write NAME or NAME #rrggbb"),
        (b"a\nb\nc #00ff00 x\n", "line 3: '#00ff00' is no colour at the end"),
        (b"a #00ff0g\nb\nc\n", "line 1: '#00ff0g' is no colour"),
        (b"a\nb#00ff00\nc\n", "line 2: '#00ff00' is no colour at the end, after a name and a space"),
        (b"a\n#00ff00\nc\n", "line 2: '#00ff00' is no colour at the end, after a name"),
        (b"a\n\x1b[31mred\nc\n", r"line 2: '\\x1b\[31mred' holds a control character or a tab; remove it"),
        (b"a\nb\nc\td\n", r"line 3: 'c\\td' holds a control character"),
        (b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_files_that_do_not_fit(checkpoint: Checkpoint, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        with_classes(checkpoint, tmp_path / "classes.txt")


def test_no_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*classes\.txt: No such file or directory"):
        with_classes(checkpoint, tmp_path / "classes.txt")
