"""Reader of PASCAL VOC's segmentation folders, and of any data set laid out like them."""

from __future__ import annotations

from pathlib import Path

from ..fcn_models.voc import VOC_CLASSES
from ..runtime.errors import DatasetError
from .labeled_files import FilePair, LabeledFiles, read_names

SPLITS_FOLDER = Path("ImageSets", "Segmentation")
IMAGES_FOLDER = Path("JPEGImages")
LABELS_FOLDER = Path("SegmentationClass")

_ROOTS = (Path(), Path("VOC2012"), Path("VOCdevkit", "VOC2012"))  # where the archives leave the data set


class VocSegmentation(LabeledFiles):
    """The labelled pictures of one split; they are read when asked for.

    Args:
        root: Folder with ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``, or one that holds it as
            ``VOC2012`` or ``VOCdevkit/VOC2012``.
        split: Name of the list in ``ImageSets/Segmentation``: ``train``, ``val``, ``trainval``; or the path of a list
            elsewhere, ending in ``.txt``, such as the paper's ``seg11valid.txt``.
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
        folder = find_voc(root)
        if folder is None:
            raise DatasetError(
                f"{root} is not a PASCAL VOC data set: it has no {SPLITS_FOLDER.as_posix()}, neither directly nor "
                "under VOCdevkit/VOC2012"
            )
        path = Path(split) if split.endswith(".txt") else folder / SPLITS_FOLDER / f"{split}.txt"
        if not path.is_file():
            splits = sorted(entry.stem for entry in (folder / SPLITS_FOLDER).glob("*.txt"))
            raise DatasetError(
                f"{folder} has no split {split!r}; it has {', '.join(splits) if splits else 'none at all'}, "
                "and the path of a list ending in .txt will do"
            )
        pairs = [
            FilePair(name, folder / IMAGES_FOLDER / f"{name}.jpg", folder / LABELS_FOLDER / f"{name}.png")
            for name in read_names(path)
        ]
        super().__init__(pairs, num_classes=num_classes, listed_in=path.name)


def find_voc(root: Path) -> Path | None:
    """The folder of a PASCAL VOC data set, the one given or where the archives leave it below it; None without any."""
    return next((root / inner for inner in _ROOTS if (root / inner / SPLITS_FOLDER).is_dir()), None)
