"""`LabeledFiles`: a data set in files, whatever folders they lie in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ..runtime.errors import DatasetError, MissingDependencyError
from .label_file import read_index_label, read_picture
from .labeled_image import LabeledImage


@dataclass(frozen=True)
class FilePair:
    """Where a picture and its label are.

    Attributes:
        name: Name without extension, unique in its data set.
        image: File of the picture.
        label: File of its label.
    """

    name: str
    image: Path
    label: Path


class LabeledFiles(Sequence[LabeledImage]):
    """Pictures with their labels; they are read when asked for.

    A slice is a data set of those pictures, still unread. Pictures are turned upright, as their EXIF orientation says;
    labels must have been drawn on the upright ones.

    Args:
        pairs: The files.
        num_classes: Labels must be below it, or 255 (void).
        listed_in: What names them, for messages.
        read_label: Reads the label in a file, of so many classes.

    Raises:
        DatasetError: If there is no picture, or a file is missing. Also on access, for a damaged picture, labels that
            are no classes, or a label of another size.
        MissingDependencyError: If Pillow is not installed.
    """

    def __init__(
        self,
        pairs: Sequence[FilePair],
        *,
        num_classes: int,
        listed_in: str,
        read_label: Callable[[Path, int], NDArray[np.uint8]] = read_index_label,
    ) -> None:
        try:
            import PIL.Image  # noqa: F401  # needed at the first access: say so before the long work begins
        except ModuleNotFoundError as exc:
            raise MissingDependencyError(
                "reading labelled pictures needs Pillow, which is not installed. Run: pip install pillow"
            ) from exc
        if not pairs:
            raise DatasetError(f"{listed_in} lists no pictures; write one name per line, without extension")
        for pair in pairs:
            for path in (pair.image, pair.label):
                if not path.is_file():
                    raise DatasetError(
                        f"{path} is missing, but {listed_in} lists {pair.name}; fetch it or delete the line"
                    )
        self.pairs = tuple(pairs)
        self.num_classes = num_classes
        self._read_label = read_label

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> LabeledImage: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> LabeledImage | Self:
        if isinstance(index, slice):
            part = copy.copy(self)
            part.pairs = self.pairs[index]
            return part
        pair = self.pairs[index]
        image = read_picture(pair.image)
        label = self._read_label(pair.label, self.num_classes)
        if image.shape[:2] != label.shape:
            raise DatasetError(
                f"{pair.label} is {label.shape[0]}x{label.shape[1]} (height x width), but its picture "
                f"{pair.image} is {image.shape[0]}x{image.shape[1]}; they must be of one size"
            )
        return LabeledImage(image, label, pair.name)


def read_names(path: Path) -> list[str]:
    """The names in a text file, one per line; empty lines do not count.

    Raises:
        DatasetError: If it cannot be read, or names something twice, which would count twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark before the first name
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"cannot read {path}: {exc}") from exc
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if name in names:
            raise DatasetError(f"{path} lists {name} twice, in lines {names[name]} and {number}; delete one of them")
        if name:
            names[name] = number
    return list(names)
