"""`open_data`: a folder of labelled pictures, in whichever of the known layouts it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..fcn_models.voc import VOC_CLASSES
from ..runtime.errors import DatasetError
from .folders import is_paired, is_portrait, paired_folders, portrait_folder
from .labeled_files import LabeledFiles
from .voc import VocSegmentation, find_voc


@dataclass(frozen=True)
class DataFolder:
    """A recognised data set.

    Attributes:
        layout: What its layout is called.
        class_names: The classes that the layout implies; None if they must be told.
        open: Opens a split, by its name or the path of a list; takes the number of classes as ``num_classes``.
    """

    layout: str
    class_names: tuple[str, ...] | None
    open: Callable[..., LabeledFiles]

    def other_class(self, class_names: Sequence[str]) -> str | None:
        """In words, the first class whose index means something else to a network of these classes; None if none."""
        for index, (label, name) in enumerate(zip(self.class_names or (), class_names, strict=False)):
            if label != name:
                return (
                    f"class {index} is {label!r} in {self.layout} and {name!r} to the network; classes are compared by "
                    "their indices"
                )
        return None


def open_data(root: Path) -> DataFolder:
    """The data set in a folder: PASCAL VOC's folders, ``images`` and ``masks``, or portraits with their mattes.

    Raises:
        DatasetError: If it is none of them.
    """
    try:
        is_folder = root.is_dir()
    except OSError as exc:  # in a folder that may not be entered, or a name that is too long
        raise DatasetError(f"{root}: cannot be read ({exc.strerror})") from exc
    if not is_folder:
        raise DatasetError(f"{root}: no such folder; --data takes the folder of a data set")
    if find_voc(root) is not None:
        return DataFolder("PASCAL VOC", VOC_CLASSES, partial(VocSegmentation, root))
    if is_paired(root):
        return DataFolder("images and masks", None, partial(paired_folders, root))
    if is_portrait(root):
        return DataFolder("portraits and mattes", ("background", "person"), partial(portrait_folder, root))
    raise DatasetError(
        f"{root} is no data set of a known layout: PASCAL VOC (ImageSets/Segmentation, JPEGImages, SegmentationClass), "
        "folders images and masks (PNG files of class indices under the same names), or NAME.png with NAME_matte.png"
    )
