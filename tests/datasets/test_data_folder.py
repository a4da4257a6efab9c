"""Data sets in folders: which layout they are, what belongs to a split, and what is wrong with the bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fcnrt.datasets.data_folder import open_data
from fcnrt.datasets.labeled_image import LabeledImage
from fcnrt.datasets.sbd import sbd_train
from fcnrt.datasets.survey import count_labels
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.errors import DatasetError
from fcnrt.runtime.images.files import read_image

LABEL = np.array([[0, 1, 1], [0, 255, 2]], np.uint8)


def write_pair(folder: Path, name: str, label: np.ndarray = LABEL, suffix: str = ".jpg") -> None:
    """`folder`/images/NAME.jpg and `folder`/masks/NAME.png."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    Image.new("RGB", (label.shape[1], label.shape[0]), (9, 9, 9)).save(folder / "images" / f"{name}{suffix}")
    Image.fromarray(label).save(folder / "masks" / f"{name}.png")


def write_portrait(folder: Path, name: str, matte: np.ndarray, mode: str = "L") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (matte.shape[1], matte.shape[0])).save(folder / f"{name}.png")
    Image.fromarray(matte).convert(mode).save(folder / f"{name}_matte.png")


def write_16_bits(path: Path) -> None:
    Image.new("I;16", (3, 2)).save(path, format="PNG")


def names(root: Path, split: str, num_classes: int = 3) -> list[str]:
    return [picture.name for picture in open_data(root).open(split, num_classes=num_classes)]


def test_masks_are_paired_by_name(tmp_path: Path) -> None:
    for index, name in enumerate(("b", "a.1", "a.2")):  # "a.1" and "a.2" must not both become "a"
        write_pair(tmp_path / "train", name, np.full_like(LABEL, index))
    found = open_data(tmp_path)
    assert (found.layout, found.class_names) == ("images and masks", None)
    pictures = found.open("train", num_classes=3)
    assert [(picture.name, int(picture.label[0, 0])) for picture in pictures] == [("a.1", 1), ("a.2", 2), ("b", 0)]
    assert pictures[0].image.shape == (2, 3, 3)


def test_void_stays_void(tmp_path: Path) -> None:
    write_pair(tmp_path / "train", "a")
    np.testing.assert_array_equal(open_data(tmp_path).open("train", num_classes=3)[0].label, LABEL)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    """Phones store pictures lying on their side; annotation tools, and the runtime, show them upright."""
    write_pair(tmp_path / "train", "a", LABEL.T.copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    stored = np.zeros((16, 24, 3), np.uint8)
    stored[:, :8] = 200
    Image.fromarray(stored).save(tmp_path / "train/images/a.jpg", exif=exif)
    Image.fromarray(np.zeros((24, 16), np.uint8)).save(tmp_path / "train/masks/a.png")
    picture = open_data(tmp_path).open("train", num_classes=3)[0]
    assert picture.image.shape == (24, 16, 3)
    assert picture.image[2].mean() > 150
    assert picture.image[-2].mean() < 50
    np.testing.assert_allclose(picture.image, read_image(tmp_path / "train/images/a.jpg"), atol=3)


def test_splits_in_folders_of_their_own(tmp_path: Path) -> None:
    write_pair(tmp_path / "train", "a")
    write_pair(tmp_path / "val", "b")
    assert names(tmp_path, "train") == ["a"]
    assert names(tmp_path, "val") == ["b"]


def test_splits_by_lists(tmp_path: Path) -> None:
    for name in "abc":
        write_pair(tmp_path, name)
    (tmp_path / "train.txt").write_text("c\n\na\n")
    (tmp_path / "mine.txt").write_text("b\n")
    assert names(tmp_path, "train") == ["c", "a"]
    assert names(tmp_path, str(tmp_path / "mine.txt")) == ["b"]
    (tmp_path / "val.txt").write_text("b.jpg\n")
    with pytest.raises(DatasetError, match=r"val\.txt lists b\.jpg, but .* has no such picture; write names without"):
        names(tmp_path, "val")
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"val\.txt lists no pictures"):
        names(tmp_path, "val")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    (tmp_path / "val.txt").write_text("a\n", encoding="utf-8-sig")
    assert names(tmp_path, "val") == ["a"]


def test_a_name_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        write_pair(tmp_path, name)
    (tmp_path / "val.txt").write_text("a\n\nb\n a\n")
    with pytest.raises(DatasetError, match=r"val\.txt lists a twice, in lines 1 and 4; delete one of them"):
        names(tmp_path, "val")


def test_masks_may_have_capital_suffixes_as_pictures_may(tmp_path: Path) -> None:
    write_pair(tmp_path / "train", "a", suffix=".JPG")
    mask = tmp_path / "train" / "masks" / "a.png"
    mask.rename(mask.with_suffix(".PNG"))
    np.testing.assert_array_equal(open_data(tmp_path).open("train", num_classes=3)[0].label, LABEL)


@pytest.mark.parametrize("listed", [False, True])
def test_a_missing_mask_has_a_line_to_delete_only_where_there_is_a_list(tmp_path: Path, listed: bool) -> None:
    for name in "ab":
        write_pair(tmp_path / "train", name)
    (tmp_path / "train/masks/b.png").unlink()
    message = r"masks/b\.png is missing, the label of .*images/b\.jpg; add it or remove the picture"
    if listed:
        (tmp_path / "train/train.txt").write_text("b\n")
        message = r"masks/b\.png is missing, but train\.txt lists b; fetch it or delete the line"
    with pytest.raises(DatasetError, match=message):
        names(tmp_path, "train")


def test_without_lists_a_fifth_is_held_out_and_stays_the_same(tmp_path: Path) -> None:
    for index in range(20):
        write_pair(tmp_path, f"picture{index:02}")
    train, val = names(tmp_path, "train"), names(tmp_path, "val")
    assert len(val) == 4
    assert sorted(train + val) == [f"picture{index:02}" for index in range(20)]
    assert val not in (train[:4], train[-4:])
    with pytest.raises(DatasetError, match="has no split 'test': there is no folder test and no list"):
        names(tmp_path, "test")


def test_a_data_folder_may_be_called_train(tmp_path: Path) -> None:
    for index in range(10):
        write_pair(tmp_path / "train", f"picture{index}")
    train, val = names(tmp_path / "train", "train"), names(tmp_path / "train", "val")
    assert (len(train), len(val)) == (8, 2)
    assert not set(train) & set(val)


@pytest.mark.parametrize(("listed", "asked"), [("train", "val"), ("val", "train")])
def test_one_list_alone_says_nothing_of_the_other_split(tmp_path: Path, listed: str, asked: str) -> None:
    for name in "abc":
        write_pair(tmp_path, name)
    (tmp_path / f"{listed}.txt").write_text("a\nb\n")
    assert names(tmp_path, listed) == ["a", "b"]
    with pytest.raises(DatasetError, match=rf"has a list {listed}\.txt and none for {asked}; write {asked}\.txt"):
        names(tmp_path, asked)


def test_one_picture_is_too_few(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    with pytest.raises(DatasetError, match="has fewer than two pictures; training needs one to learn from"):
        names(tmp_path, "train")


def test_portraits(tmp_path: Path) -> None:
    # Sorted by name, NAME_matte.png may come far from NAME.png; and a blurred edge is not foreground from 1 on.
    matte = np.array([[0, 1, 127, 128, 255]], np.uint8)
    for name in ("a", "a1", "b"):
        write_portrait(tmp_path / "train", name, matte)
    (tmp_path / "train" / "a_matte.png").rename(tmp_path / "train" / "a_Matte.PNG")
    write_portrait(tmp_path / "train", "c", matte, mode="RGB")
    found = open_data(tmp_path)
    assert found.class_names == ("background", "person")
    pictures = found.open("train", num_classes=2)
    assert [picture.name for picture in pictures] == ["a", "a1", "b", "c"]
    for picture in pictures:
        assert picture.label.tolist() == [[0, 0, 0, 1, 1]]


def test_a_matte_may_be_an_alpha_channel(tmp_path: Path) -> None:
    matte = np.array([[0, 1, 127, 128, 255]], np.uint8)
    write_portrait(tmp_path / "train", "a", matte, mode="RGBA")  # grey levels that are opaque everywhere
    write_portrait(tmp_path / "train", "b", matte)
    cut_out = Image.new("RGBA", (5, 1), (0, 0, 0, 0))
    cut_out.putalpha(Image.fromarray(matte))
    cut_out.save(tmp_path / "train" / "b_matte.png")
    for picture in open_data(tmp_path).open("train", num_classes=2):
        assert picture.label.tolist() == [[0, 0, 0, 1, 1]], picture.name


def test_a_matte_of_16_bits_is_refused(tmp_path: Path) -> None:
    """Of its levels only those below 256 of 65,536 would be told apart."""
    write_portrait(tmp_path / "train", "a", np.zeros((2, 3), np.uint8))
    write_16_bits(tmp_path / "train" / "a_matte.png")
    with pytest.raises(DatasetError, match=r"a_matte\.png has more than 8 bits per channel \(mode I;16\); convert it"):
        open_data(tmp_path).open("train", num_classes=2)[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "masks" / "a.png").unlink(), r"masks/a\.png is missing"),
        (lambda root: write_pair(root, "a", LABEL + 3), r"masks/a\.png holds label 3; labels are 0 to 2 for 3 classes"),
        (lambda root: Image.new("L", (9, 9)).save(root / "masks/a.png"), r"masks/a\.png is 9x9 .* must be of one size"),
        (lambda root: Image.new("RGB", (3, 2)).save(root / "masks/a.png"), r"a\.png is a PNG of mode RGB and holds no"),
        (lambda root: (root / "images" / "a.jpg").write_bytes(b"\xff\xd8\xff"), r"cannot read .*images/a\.jpg"),
        (
            lambda root: write_16_bits(root / "images" / "a.jpg"),
            r"a\.jpg has more than 8 bits per channel \(mode I;16\)",
        ),
        (lambda root: write_pair(root, "a", suffix=".png"), r"a\.jpg and a\.png would share one label"),
    ],
)
def test_bad_files_are_named_before_the_work_begins(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    for name in ("a", "b"):
        write_pair(tmp_path / "train", name)
    damage(tmp_path / "train")
    with pytest.raises(DatasetError, match=message):
        count_labels(open_data(tmp_path).open("train", num_classes=3), 3)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match="images holds no pictures"):
        names(tmp_path, "train")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no data set of a known layout: PASCAL VOC"):
        open_data(tmp_path)
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        open_data(tmp_path / "nowhere")


def test_labels_are_counted() -> None:
    pictures = [LabeledImage(np.zeros((2, 3, 3), np.uint8), LABEL, name) for name in "ab"]
    seen: list[None] = []
    assert count_labels(pictures, 4, on_picture=lambda: seen.append(None)).tolist() == [4, 4, 2, 0]
    assert len(seen) == 2
    with pytest.raises(DatasetError, match="label 2 is there; the 2 classes are 0 to 1"):
        count_labels(pictures, 2)
    with pytest.raises(DatasetError, match="no pixel of 1 picture to learn from is labelled: all of them are void"):
        count_labels([LabeledImage(pictures[0].image, np.full_like(LABEL, 255), "a")], 4, purpose=" to learn from")


@pytest.fixture
def sbd(tmp_path: Path) -> Path:
    """SBD's folders, as its archive leaves them, with two pictures."""
    folder = tmp_path / "benchmark_RELEASE" / "dataset"
    for inner in ("img", "cls"):
        (folder / inner).mkdir(parents=True)
    for name in ("2008_1", "2008_2"):
        Image.new("RGB", (3, 2)).save(folder / "img" / f"{name}.jpg")
        truth = np.zeros(1, [("Segmentation", "O")])
        truth[0]["Segmentation"] = np.array([[0, 1, 20], [0, 0, 2]], np.uint8)
        scipy.io.savemat(folder / "cls" / f"{name}.mat", {"GTcls": truth})
    (folder / "train.txt").write_text("2008_1\n2008_2\n")
    return tmp_path


def test_sbd_is_read(sbd: Path) -> None:
    pictures = sbd_train(sbd, num_classes=len(VOC_CLASSES))
    assert [picture.name for picture in pictures] == ["2008_1", "2008_2"]
    assert pictures[1].label.tolist() == [[0, 1, 20], [0, 0, 2]]


def test_sbd_leaves_out_what_is_validated_on(sbd: Path) -> None:
    assert [picture.name for picture in sbd_train(sbd, num_classes=21, without={"2008_1"})] == ["2008_2"]


def test_bad_sbd_is_named(sbd: Path) -> None:
    with pytest.raises(DatasetError, match=r"2008_1\.mat holds label 20; labels are 0 to 9"):
        sbd_train(sbd, num_classes=10)[0]
    (sbd / "benchmark_RELEASE/dataset/cls/2008_2.mat").write_bytes(b"MATLAB")
    with pytest.raises(DatasetError, match=r"cannot read .*2008_2\.mat"):
        sbd_train(sbd, num_classes=21)[1]
    with pytest.raises(DatasetError, match="is not the Semantic Boundaries Dataset: it has no folder cls"):
        sbd_train(sbd / "benchmark_RELEASE/dataset/img", num_classes=21)
