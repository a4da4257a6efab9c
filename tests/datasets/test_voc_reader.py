from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcnrt.datasets.voc import VocSegmentation
from fcnrt.fcn_models.voc import voc_palette
from fcnrt.runtime.errors import DatasetError, MissingDependencyError
from fcnrt.runtime.images.palette_png import encode_palette_png

LABEL = np.array([[0, 1, 20, 255], [0, 0, 15, 15], [255, 7, 7, 0]], np.uint8)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A data set of the pictures a and b; both are in `val`, and `train` lists them between blank lines."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name, grey in (("a", 10), ("b", 200)):
        Image.new("RGB", (4, 3), (grey, grey, grey)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        (tmp_path / "SegmentationClass" / f"{name}.png").write_bytes(encode_palette_png(LABEL, voc_palette()))
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("a\nb\n")
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("\nb\n  \r\na  \n\n")
    return tmp_path


def label_path(voc: Path) -> Path:
    return voc / "SegmentationClass" / "a.png"


def test_pictures_and_labels_are_read(voc: Path) -> None:
    data = VocSegmentation(voc, "val")
    assert [picture.name for picture in data] == ["a", "b"]
    picture = data[1]
    assert picture.image.shape == (3, 4, 3)
    assert picture.image.dtype == np.uint8
    assert (picture.image == 200).all()
    np.testing.assert_array_equal(picture.label, LABEL)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
def test_pictures_are_rgb_whatever_their_file_is(voc: Path, mode: str) -> None:
    picture = Image.new("RGB", (4, 3), (204, 204, 204)).convert(mode)  # a colour of the web palette
    picture.save(voc / "JPEGImages" / "a.jpg", format="PNG" if mode == "P" else "JPEG")
    image = VocSegmentation(voc, "val")[0].image
    assert image.shape == (3, 4, 3)
    np.testing.assert_allclose(image, 204, atol=2)


def test_pictures_are_turned_upright(voc: Path) -> None:
    """As in all layouts; by half a turn, which their size does not tell."""
    exif = Image.Exif()
    exif[0x0112] = 3  # to be turned by half a turn
    stored = np.zeros((3, 4, 3), np.uint8)
    stored[-1] = 200
    Image.fromarray(stored).save(voc / "JPEGImages" / "a.jpg", exif=exif, quality=100)
    image = VocSegmentation(voc, "val")[0].image
    assert image[0].mean() > 150
    assert image[-1].mean() < 50


def test_blank_lines_are_skipped(voc: Path) -> None:
    assert [picture.name for picture in VocSegmentation(voc, "train")] == ["b", "a"]


def test_a_slice_is_a_data_set(voc: Path) -> None:
    part = VocSegmentation(voc, "val")[-1:]
    assert isinstance(part, VocSegmentation)
    assert [picture.name for picture in part] == ["b"]


@pytest.mark.parametrize("inner", ["VOC2012", "VOCdevkit/VOC2012"])
def test_the_folder_above_will_do(voc: Path, tmp_path_factory: pytest.TempPathFactory, inner: str) -> None:
    above = tmp_path_factory.mktemp("above")
    (above / inner).parent.mkdir(exist_ok=True)
    voc.rename(above / inner)
    assert len(VocSegmentation(above, "val")) == 2


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_indices_of_any_depth_are_kept(voc: Path, bits: int) -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4) % min(2**bits, 21)
    picture = Image.new("P", (4, 3))
    picture.putdata(label.ravel().tolist())
    picture.putpalette([value for colour in voc_palette()[: 2**bits] for value in colour])
    picture.save(label_path(voc), bits=bits)
    assert label_path(voc).read_bytes()[24] == bits
    np.testing.assert_array_equal(VocSegmentation(voc, "val")[0].label, label)


def test_colours_of_the_palette_do_not_matter(voc: Path) -> None:
    label_path(voc).write_bytes(encode_palette_png(LABEL, [(0, 0, 0)] * 256))
    np.testing.assert_array_equal(VocSegmentation(voc, "val")[0].label, LABEL)


def test_an_interlaced_label_is_read(voc: Path) -> None:
    label_path(voc).write_bytes(interlaced_palette_png(LABEL))
    np.testing.assert_array_equal(VocSegmentation(voc, "val")[0].label, LABEL)


def interlaced_palette_png(label: np.ndarray) -> bytes:
    """An 8-bit palette PNG in the seven passes of Adam7."""
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    data = b""
    for row, row_step, column, column_step in passes:
        part = label[row::row_step, column::column_step]
        if part.size:
            data += b"".join(b"\0" + line.tobytes() for line in part)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = label.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 1)
    palette = b"".join(bytes(colour) for colour in voc_palette())
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks)


def test_grey_levels_are_indices(voc: Path) -> None:
    Image.fromarray(LABEL).save(label_path(voc))
    np.testing.assert_array_equal(VocSegmentation(voc, "val")[0].label, LABEL)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "I;16"])
def test_labels_that_are_no_indices_are_refused(voc: Path, mode: str) -> None:
    Image.new(mode, (4, 3)).save(label_path(voc))
    with pytest.raises(DatasetError, match=r"a\.png is a PNG of mode .* holds no class indices; save it as a palette"):
        VocSegmentation(voc, "val")[0]


def test_a_jpeg_as_label_is_refused(voc: Path) -> None:
    Image.new("L", (4, 3)).save(label_path(voc), format="JPEG")
    with pytest.raises(DatasetError, match=r"a\.png is a JPEG of mode L and holds no class indices"):
        VocSegmentation(voc, "val")[0]


def test_labels_beyond_the_classes_are_refused(voc: Path) -> None:
    data = VocSegmentation(voc, "val", num_classes=16)
    with pytest.raises(DatasetError, match=r"a\.png holds label 20; labels are 0 to 15 for 16 classes, and 255"):
        data[0]


def test_sizes_must_agree(voc: Path) -> None:
    label_path(voc).write_bytes(encode_palette_png(LABEL.T.copy(), voc_palette()))
    with pytest.raises(DatasetError, match=r"a\.png is 4x3 .*a\.jpg is 3x4; they must be of one size"):
        VocSegmentation(voc, "val")[0]


@pytest.mark.parametrize("path", ["JPEGImages/b.jpg", "SegmentationClass/b.png"])
def test_missing_files_are_named(voc: Path, path: str) -> None:
    (voc / path).unlink()
    with pytest.raises(DatasetError, match=rf"{Path(path).name} is missing, but val\.txt lists b"):
        VocSegmentation(voc, "val")


@pytest.mark.parametrize("path", ["JPEGImages/a.jpg", "SegmentationClass/a.png"])
@pytest.mark.parametrize("keep", [0, 60, -30])
def test_damaged_files_are_named(voc: Path, path: str, keep: int) -> None:
    (voc / path).write_bytes((voc / path).read_bytes()[:keep])
    with pytest.raises(DatasetError, match=f"cannot read .*{Path(path).name}"):
        VocSegmentation(voc, "val")[0]


def test_a_missing_split_says_which_there_are(voc: Path) -> None:
    with pytest.raises(DatasetError, match="has no split 'test'; it has train, val"):
        VocSegmentation(voc, "test")


def test_an_empty_split_is_refused(voc: Path) -> None:
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n\n")
    with pytest.raises(DatasetError, match=r"val\.txt lists no pictures"):
        VocSegmentation(voc, "val")


def test_a_split_that_is_no_text_is_refused(voc: Path) -> None:
    (voc / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"cannot read .*val\.txt"):
        VocSegmentation(voc, "val")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a PASCAL VOC data set: it has no ImageSets/Segmentation"):
        VocSegmentation(tmp_path, "val")


def test_without_pillow_the_reader_says_what_to_install(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match=r"needs Pillow.*pip install pillow"):
        VocSegmentation(voc, "val")


def test_a_list_elsewhere_will_do(voc: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lists") / "seg11valid.txt"
    path.write_text("b\n")
    assert [picture.name for picture in VocSegmentation(voc, str(path))] == ["b"]
