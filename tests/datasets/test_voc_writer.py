from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fcnrt.datasets.synthetic import render_scene
from fcnrt.datasets.voc import VocSegmentation
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.runtime.errors import DatasetError, OutputError
from fcnrt.runtime.spec import ImageSize

SIZE = ImageSize(40, 56)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_reader_gets_back_what_was_drawn(tmp_path: Path) -> None:
    write_voc(tmp_path / "new" / "set", count=5, seed=3, size=SIZE)
    data = VocSegmentation(tmp_path / "new" / "set", "trainval")
    assert len(data) == 5
    for index, picture in enumerate(data):
        scene = render_scene(3, index, SIZE)
        assert picture.name == scene.name
        np.testing.assert_array_equal(picture.label, scene.label)
        assert np.abs(picture.image.astype(int) - scene.image).mean() < 6


@pytest.mark.parametrize(("count", "val_fraction", "val"), [(10, 0.2, 2), (2, 0.2, 1), (4, 1.0, 3), (4, 0.0, 1)])
def test_the_splits_share_no_scene(tmp_path: Path, count: int, val_fraction: float, val: int) -> None:
    write_voc(tmp_path, count=count, seed=0, size=ImageSize(8, 8), val_fraction=val_fraction)
    lists = {
        split: (tmp_path / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        for split in ("train", "val", "trainval")
    }
    assert len(lists["val"]) == val
    assert lists["train"] + lists["val"] == lists["trainval"]
    assert len(set(lists["trainval"])) == count


def test_an_earlier_set_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    write_voc(tmp_path, count=4, seed=0, size=SIZE)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "ImageSets/Segmentation/mine.txt").write_text("mine")
    write_voc(tmp_path, count=2, seed=5, size=SIZE)
    assert len(list((tmp_path / "JPEGImages").iterdir())) == len(list((tmp_path / "SegmentationClass").iterdir())) == 2
    assert {"notes.txt", "ImageSets/Segmentation/mine.txt"} <= files(tmp_path)
    assert json.loads((tmp_path / "synthetic.json").read_text())["seed"] == 5


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"is not empty and holds no earlier synthetic set .* give another folder"):
        write_voc(tmp_path, count=2, seed=0, size=SIZE)
    assert files(tmp_path) == {"thesis.txt"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file; give a folder"):
        write_voc(tmp_path / "file", count=2, seed=0, size=SIZE)
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        write_voc(tmp_path / "file" / "below", count=2, seed=0, size=SIZE)


def test_an_interrupted_set_has_no_splits_and_can_be_written_again(tmp_path: Path) -> None:
    write_voc(tmp_path, count=3, seed=0, size=SIZE)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_voc(tmp_path, count=3, seed=1, size=SIZE, on_scene=interrupt)
    with pytest.raises(DatasetError, match="has no split 'val'; it has none at all"):
        VocSegmentation(tmp_path, "val")
    write_voc(tmp_path, count=3, seed=1, size=SIZE)
    assert len(VocSegmentation(tmp_path, "trainval")) == 3


def test_one_scene_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 scenes"):
        write_voc(tmp_path / "new", count=1, seed=0, size=SIZE)
    assert not (tmp_path / "new").exists()
