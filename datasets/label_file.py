"""Reading pictures and their labels from image files: class indices, never colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fcn_models.voc import VOC_VOID
from ..runtime.errors import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG_BIT_DEPTH = 24  # its offset in the file: the format fixes the place of the header
_HALF_OPAQUE = 128


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture, uint8 (H, W, 3), RGB, turned as its EXIF orientation says, as it is where a network runs on it.

    Raises:
        DatasetError: If the file cannot be read, or has more than 8 bits per channel.
    """
    import PIL.ImageOps

    picture = PIL.ImageOps.exif_transpose(_open_8_bit(path))
    return np.asarray(picture.convert("RGB"))


def read_index_label(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Class indices, uint8 (H, W), from a palette PNG, or an 8-bit grey one; 255 is void.

    Raises:
        DatasetError: If the file cannot be read, holds colours instead of indices, or a label that is no class.
    """
    picture = _open(path)
    if not _holds_indices(picture, path):
        raise DatasetError(
            f"{path} is a {picture.format} of mode {picture.mode} and holds no class indices; save it as a palette PNG "
            "(or an 8-bit grey one) whose pixel values are the classes"
        )
    return check_label(np.asarray(picture), path, num_classes)


def read_matte(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Labels, uint8 (H, W), from an opacity: 1 (foreground) where it is at least one half, 0 elsewhere.

    Any opacity above zero would do for the foreground only if mattes had hard edges; theirs are blurred. The opacity is
    the alpha channel if anything is transparent there, whatever colours lie under it, and else the brightness.

    Raises:
        DatasetError: If the file cannot be read, or has more than 8 bits per channel.
    """
    picture = _open_8_bit(path)
    opacity = picture.convert("RGBA").getchannel("A")
    if opacity.getextrema() == (255, 255):  # also without an alpha channel
        opacity = picture.convert("L")
    matte = np.asarray(opacity)
    return check_label((matte >= _HALF_OPAQUE).astype(np.uint8), path, num_classes)


def check_label(label: NDArray[np.uint8], path: Path, num_classes: int) -> NDArray[np.uint8]:
    """The label itself, if all of it are classes or void.

    Raises:
        DatasetError: If not.
    """
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


def _open_8_bit(path: Path) -> Image:
    picture = _open(path)
    if picture.mode.startswith(("I", "F")):  # converting it would cut off all that is brighter than 255
        raise DatasetError(f"{path} has more than 8 bits per channel (mode {picture.mode}); convert it to 8")
    return picture


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
