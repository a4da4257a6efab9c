from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fcnrt.datasets import calibration
from fcnrt.datasets.calibration import drawn_calibration, read_calibration, spread
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.runtime.errors import DatasetError, SourceError
from fcnrt.runtime.spec import ImageSize


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:03}.png"), np.full((4, 4 + index % 2, 3), index, np.uint8))
    return folder


def shades(frames: tuple[np.ndarray, ...]) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def test_every_third_picture_of_a_folder_is_held_out(tmp_path: Path) -> None:
    data = read_calibration(write_pictures(tmp_path / "pictures", 7), 21)
    assert shades(data.calibration) == [0, 2, 3, 5, 6]
    assert shades(data.validation) == [1, 4]
    assert (data.labels, data.source) == (None, "pictures")


def test_large_folders_are_sampled_from_end_to_end(tmp_path: Path) -> None:
    data = read_calibration(write_pictures(tmp_path / "pictures", 200), 21)
    assert (len(data.calibration), len(data.validation)) == (64, 32)
    taken = sorted(shades(data.calibration) + shades(data.validation))
    assert (taken[0], len(set(taken))) == (0, 96)
    assert taken[-1] >= 197


def test_a_video_is_sampled_from_end_to_end(make_video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_CALIBRATION_FRAMES", 4)
    monkeypatch.setattr(calibration, "_VALIDATION_FRAMES", 2)
    data = read_calibration(make_video(tmp_path / "clip.mp4", pts=range(14)), 21)
    # A green bar at the bottom is 4 pixels longer in every frame: 14 frames are every third of them, or so.
    bars = sorted(
        int(np.count_nonzero(frame[-1, :, 1] > 128)) // 4 - 1 for frame in (*data.calibration, *data.validation)
    )
    assert bars == [0, 4, 8, 12]
    assert data.labels is None


def test_labels_are_taken_where_there_are_some(tmp_path: Path) -> None:
    write_voc(tmp_path / "set", count=6, seed=1, size=ImageSize(64, 64), val_fraction=0.34)
    data = read_calibration(tmp_path / "set", 21)
    assert (len(data.calibration), len(data.validation)) == (4, 2)
    assert data.labels is not None
    assert [label.shape for label in data.labels] == [(64, 64)] * 2
    assert data.source == "set, PASCAL VOC"
    with pytest.raises(DatasetError, match="label"):
        read_calibration(tmp_path / "set", 2)


def test_one_frame_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has a single frame; calibration takes at least two"):
        read_calibration(write_pictures(tmp_path / "pictures", 1), 21)


def test_drawn_scenes_have_labels_and_calibrate_on_others() -> None:
    data = drawn_calibration()
    assert data.labels is not None
    assert (len(data.calibration), len(data.validation), len(data.labels)) == (64, 32, 32)
    assert not any((one == other).all() for one in data.calibration for other in data.validation)
    assert len({int(value) for label in data.labels for value in np.unique(label)} - {255}) >= 18


def test_spread() -> None:
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
