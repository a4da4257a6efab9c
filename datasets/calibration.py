"""`CalibrationData`: frames that show a quantiser what a network will see, and others to judge its result on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import DatasetError, SourceError
from ..runtime.images.files import read_image
from ..runtime.sources import ImageSource, VideoSource, find_source
from ..runtime.spec import ImageSize
from .data_folder import open_data
from .labeled_image import LabeledImage
from .synthetic import render_scene

_CALIBRATION_FRAMES = 64
_VALIDATION_FRAMES = 32
_HELD_OUT = 3  # every third frame of a video or folder is kept for validation

_SCENE_SIZE = ImageSize(256, 256)
_CALIBRATION_SEED, _VALIDATION_SEED = 31, 32  # the demo weights were trained and scored on scenes of other seeds

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """Frames for calibration and others for validation.

    Attributes:
        calibration: RGB frames, uint8 (H, W, 3), of any sizes.
        validation: Others of the kind.
        labels: The true classes of the validation frames, uint8 (H, W), 255 where nothing is known; None if nobody
            knows them.
        source: What they are, in words.
    """

    calibration: tuple[NDArray[np.uint8], ...]
    validation: tuple[NDArray[np.uint8], ...]
    labels: tuple[NDArray[np.uint8], ...] | None
    source: str


def drawn_calibration() -> CalibrationData:
    """Drawn scenes of PASCAL VOC's classes, which is what the demo weights know."""
    calibration = [render_scene(_CALIBRATION_SEED, i, _SCENE_SIZE).image for i in range(_CALIBRATION_FRAMES)]
    validation = [render_scene(_VALIDATION_SEED, i, _SCENE_SIZE) for i in range(_VALIDATION_FRAMES)]
    return _labelled(calibration, validation, "drawn scenes")


def read_calibration(path: Path, num_classes: int) -> CalibrationData:
    """The user's frames, spread evenly over what there is.

    Args:
        path: A labelled data set, of which the split ``train`` is calibrated on and ``val`` judged by its labels; or a
            folder of pictures or a video, of which every third frame taken is kept for validation.
        num_classes: Number of the network's classes.

    Raises:
        SourceError: If there are no frames, or only one, or a picture cannot be read.
        DatasetError: If a labelled data set has not both splits or is damaged.
    """
    try:
        data = open_data(path)
    except DatasetError:
        source = find_source(str(path))
        limit = _CALIBRATION_FRAMES + _VALIDATION_FRAMES
        if isinstance(source, ImageSource):
            frames = [read_image(file) for file in spread(source.files, limit)]
        elif source.path is None:
            raise SourceError(f"{source.label} never ends; record a video, and give that") from None
        else:
            frames = _read_video(source, limit)
        if len(frames) < 2:
            raise SourceError(
                f"{path} has a single frame; calibration takes at least two, of which one is kept to check the result"
            ) from None
        validation = frames[1::_HELD_OUT]
        calibration = [frame for index, frame in enumerate(frames) if index % _HELD_OUT != 1]
        return CalibrationData(tuple(calibration), tuple(validation), None, path.name)
    train, val = (data.open(split, num_classes=num_classes) for split in ("train", "val"))
    return _labelled(
        [train[i].image for i in spread(range(len(train)), _CALIBRATION_FRAMES)],
        [val[i] for i in spread(range(len(val)), _VALIDATION_FRAMES)],
        f"{path.name}, {data.layout}",
    )


def spread(items: Sequence[_Item], limit: int) -> list[_Item]:
    """At most `limit` of the items, evenly spaced, in their order."""
    if len(items) <= limit:
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def _labelled(
    calibration: Iterable[NDArray[np.uint8]], validation: Iterable[LabeledImage], source: str
) -> CalibrationData:
    pictures = tuple(validation)
    return CalibrationData(
        tuple(calibration), tuple(one.image for one in pictures), tuple(one.label for one in pictures), source
    )


def _read_video(source: VideoSource, limit: int) -> list[NDArray[np.uint8]]:
    """Frames spread over a whole video, whose length need not be known: between `limit` and half of it."""
    from ..runtime.video.reader import TimedFrame, VideoReader

    kept: list[NDArray[np.uint8]] = []
    step = 1
    with VideoReader(source) as reader:
        frames = (item.image for item in reader if isinstance(item, TimedFrame))
        for index, frame in enumerate(frames):
            if index % step:
                continue
            if len(kept) == limit:
                kept, step = kept[::2], 2 * step
                if index % step:
                    continue
            kept.append(frame)
    return kept
