"""Frames to compare a deployment on: scenes and noise at many sizes, and the user's pictures or drawn scenes."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...datasets.data_folder import open_data
from ...datasets.synthetic import render_scene
from ...export.sample_frames import sample_frame
from ...fcn_models.voc import VOC_CLASSES, VOC_VOID
from ...runtime.errors import DatasetError, SourceError
from ...runtime.images.files import read_image
from ...runtime.sources import ImageSource, find_source
from ...runtime.spec import ImageSize
from .parity import ParityFrame

_SIZES = tuple(
    # A single pixel, strips, multiples of 32 and not, sizes at which pools that round down still run; at 58x90 those of
    # a Caffe-aligned network, whose padding adds 198 pixels, have nothing to round.
    ImageSize.parse(text)
    for text in ("1x1", "31x17", "58x90", "64x96", "65x33", "97x131", "100x132", "129x200", "224x224", "375x500")
)
_SCENES = 16
_SCENE_SIZE = ImageSize(256, 256)
_SCENE_SEED = 11

_EXPECTED = "give a picture, a folder of pictures, a quoted glob pattern or a folder of labelled pictures"


def labelled_scenes(class_names: Sequence[str]) -> Iterator[ParityFrame]:
    """Drawn scenes of one size.

    Args:
        class_names: The network's classes; the scenes have labels only if they are those of PASCAL VOC.
    """
    for index in range(_SCENES):
        scene = render_scene(_SCENE_SEED, index, _SCENE_SIZE)
        label = scene.label if tuple(class_names) == VOC_CLASSES else None
        yield ParityFrame(f"scene {index}", scene.image, label)


def sized_frames(further: Sequence[ImageSize] = ()) -> Iterator[ParityFrame]:
    """A scene and noise at each of several sizes; without labels.

    Args:
        further: Sizes besides those that are always taken.
    """
    for number, size in enumerate(dict.fromkeys((*_SIZES, *further))):
        for index, kind in ((2 * number, "scene"), (2 * number + 1, "noise")):
            yield ParityFrame(f"{kind} {size}", sample_frame(size, index))


def data_frames(data: str, num_classes: int, *, limit: int | None = None) -> Iterator[ParityFrame]:
    """The user's pictures.

    Args:
        data: A labelled data set, of which the split ``val`` is taken with its labels; or a picture, a folder of
            pictures or a glob pattern.
        num_classes: Number of the network's classes.
        limit: How many pictures to take at most, the first ones; all if None.

    Raises:
        DatasetError: If the data set is damaged.
        SourceError: If there is no picture, or one cannot be read.
    """
    try:
        labelled = open_data(Path(data))
    except DatasetError:  # none of the known layouts; a damaged one is found out below
        labelled = None
    if labelled is not None:
        for picture in labelled.open("val", num_classes=num_classes)[:limit]:
            label = picture.label if (picture.label != VOC_VOID).any() else None
            # A copy, because the reader's arrays are read-only, which PyTorch warns of.
            yield ParityFrame(picture.name, picture.image.copy(), label)
        return
    if not Path(data).exists() and not glob.has_magic(data):
        raise SourceError(f"{data}: no such file or folder; {_EXPECTED}")
    source = find_source(data)
    if not isinstance(source, ImageSource):
        raise SourceError(f"{data} is a video; {_EXPECTED}")
    for path in source.files[:limit]:
        yield ParityFrame(str(path.relative_to(source.root)), read_image(path))
