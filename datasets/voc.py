"""Reader of PASCAL VOC's segmentation folders, and of any data set laid out like them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from ..fcn_models.voc import VOC_CLASSES, VOC_VOID
from ..runtime.errors import DatasetError, MissingDependencyError
from .labeled_image import LabeledImage

if TYPE_CHECKING:
    from PIL.Image import Image

SPLITS_FOLDER = Path("ImageSets", "Segmentation")
IMAGES_FOLDER = Path("JPEGImages")
LABELS_FOLDER = Path("SegmentationClass")

_PNG_BIT_DEPTH = 24  # its offset in the file: the format fixes the place of the header
_ROOTS = (Path(), Path("VOC2012"), Path("VOCdevkit", "VOC2012"))  # where the archives leave the data set


class VocSegmentation(Sequence[LabeledImage]):
    """The labelled pictures of one split; they are read when asked for.

    A slice is a `VocSegmentation` of those pictures, still unread.

    Args:
        root: Folder with ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``, or one that holds it as
            ``VOC2012`` or ``VOCdevkit/VOC2012``.
        split: Name of the list in ``ImageSets/Segmentation``: ``train``, ``val``, ``trainval``.
        num_classes: Labels must be below it, or 255 (void).

    Raises:
        DatasetError: If there is no such data set or split, or if the split is empty or names missing files.
            Also on access, for a damaged picture or labels that are not class indices.
        MissingDependencyError: If Pillow is not installed.

    Example:
        >>> for picture in VocSegmentation(Path("VOCdevkit/VOC2012"), "val"):  # doctest: +SKIP
        ...     print(picture.name, picture.image.shape, picture.label.max())
    """

    def __init__(self, root: Path, split: str, *, num_classes: int = len(VOC_CLASSES)) -> None:
        try:
            import PIL.Image  # noqa: F401  # needed at the first access: say so before the long work begins
        except ModuleNotFoundError as exc:
            raise MissingDependencyError(
                'reading PASCAL VOC needs Pillow, which is not installed. Run: pip install "fcnrt[export]"'
            ) from exc
        self._root = _find_root(root)
        self._names = _read_split(self._root, split)
        self._num_classes = num_classes
        for name in self._names:
            for path in (self._image_path(name), self._label_path(name)):
                if not path.is_file():
                    raise DatasetError(f"{path} is missing, but {split}.txt lists {name}; fetch it or delete the line")

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> LabeledImage: ...

    @overload
    def __getitem__(self, index: slice) -> VocSegmentation: ...

    def __getitem__(self, index: int | slice) -> LabeledImage | VocSegmentation:
        if isinstance(index, slice):
            part = copy.copy(self)
            part._names = self._names[index]
            return part
        name = self._names[index]
        image = _read_image(self._image_path(name))
        label = _read_label(self._label_path(name), self._num_classes)
        if image.shape[:2] != label.shape:
            raise DatasetError(
                f"{self._label_path(name)} is {label.shape[0]}x{label.shape[1]} (height x width), but its picture "
                f"{self._image_path(name)} is {image.shape[0]}x{image.shape[1]}; they must be of one size"
            )
        return LabeledImage(image, label, name)

    def _image_path(self, name: str) -> Path:
        return self._root / IMAGES_FOLDER / f"{name}.jpg"

    def _label_path(self, name: str) -> Path:
        return self._root / LABELS_FOLDER / f"{name}.png"


def _find_root(root: Path) -> Path:
    for candidate in (root / inner for inner in _ROOTS):
        if (candidate / SPLITS_FOLDER).is_dir():
            return candidate
    raise DatasetError(
        f"{root} is not a PASCAL VOC data set: it has no {SPLITS_FOLDER.as_posix()}, neither directly nor under "
        "VOCdevkit/VOC2012"
    )


def _read_split(root: Path, split: str) -> list[str]:
    path = root / SPLITS_FOLDER / f"{split}.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        splits = sorted(entry.stem for entry in path.parent.glob("*.txt"))
        raise DatasetError(
            f"{root} has no split {split!r}; it has {', '.join(splits) if splits else 'none at all'}"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"cannot read {path}: {exc}") from exc
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise DatasetError(f"{path} lists no pictures; write one name per line, without extension")
    return names


def _read_image(path: Path) -> NDArray[np.uint8]:
    # The stored pixels, whatever orientation EXIF asks for: the labels were drawn on those.
    return np.asarray(_open(path).convert("RGB"))


def _read_label(path: Path, num_classes: int) -> NDArray[np.uint8]:
    picture = _open(path)
    if not _holds_indices(picture, path):
        raise DatasetError(
            f"{path} is a {picture.format} of mode {picture.mode} and holds no class indices; save it as a palette PNG "
            "(or an 8-bit grey one) whose pixel values are the classes"
        )
    label = np.asarray(picture)
    wrong = np.unique(label[(label >= num_classes) & (label != VOC_VOID)])
    if len(wrong):
        raise DatasetError(
            f"{path} holds label {int(wrong[0])}; labels are 0 to {num_classes - 1} for {num_classes} classes, "
            f"and {VOC_VOID} for void"
        )
    return label


def _holds_indices(picture: Image, path: Path) -> bool:
    if picture.format != "PNG":
        return False
    if picture.mode == "L":  # grey levels of fewer bits were stretched to 0..255: they are no indices any more
        return path.read_bytes()[_PNG_BIT_DEPTH] == 8
    return picture.mode == "P"  # palette indices, unpacked to bytes from 1, 2, 4 or 8 bits


def _open(path: Path) -> Image:
    import PIL.Image

    try:
        picture = PIL.Image.open(path)
        with picture:
            picture.load()
    # Pillow's decoders raise SyntaxError, ValueError and others beside OSError on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError) as exc:
        raise DatasetError(f"cannot read {path}: {exc}") from exc
    return picture
