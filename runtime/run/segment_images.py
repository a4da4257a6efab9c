"""Image files in, one result file each out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import make_folder, write_bytes
from ..errors import FrameError, SourceError
from ..images.files import read_image, write_image
from ..images.overlay import ClassPainter
from ..images.palette_png import encode_palette_png
from ..images.report import draw_report
from ..opacity import DEFAULT_OPACITY
from ..segmenter import Segmenter
from ..spec import ChannelOrder
from .batching import segment_items
from .outputs import Save
from .pipeline import StageTimes, run_pipeline


@dataclass(frozen=True)
class _Loaded:
    """An image that was read, or the reason why it could not be."""

    file: Path
    output: Path
    frame: NDArray[np.uint8] | None = None
    error: SourceError | None = None


def segment_images(
    segmenter: Segmenter,
    files: Sequence[Path],
    outputs: Sequence[Path],
    *,
    save: Save = "overlay",
    opacity: float = DEFAULT_OPACITY,
    batch: int = 1,
    on_result: Callable[[NDArray[np.uint8] | None], None] = lambda class_map: None,
    times: StageTimes | None = None,
) -> list[SourceError]:
    """Segment image files one after the other; reading, inference and writing overlap.

    Args:
        segmenter: The model.
        files: The images.
        outputs: The result file of each; see `fcnrt.runtime.run.outputs.image_outputs`.
        save: Form of the results.
        opacity: Weight of the class colours in an overlay, 0 to 1.
        batch: Images of the same size to segment in one call, if they follow each other.
        on_result: Called for each image in order, from another thread: with its class map when the result is written,
            with None if the image could not be read or is of a size that the model does not take.
        times: Is filled in with the time that reading, inference, and painting and writing took.

    Returns:
        Why images could not be read or taken, in their order; all others were segmented.

    Raises:
        OutputError: If a result cannot be written. Those before it are there.
        InferenceError: If the model fails.
    """
    spec = segmenter.spec
    painter = ClassPainter(spec.palette, channel_order=spec.channel_order)
    failures: list[SourceError] = []
    refused: dict[tuple[int, ...], FrameError] = {}  # by the shape of a frame

    def sink(result: tuple[_Loaded, NDArray[np.uint8] | None]) -> None:
        image, class_map = result
        if image.error is not None:
            failures.append(image.error)
        elif class_map is None:
            assert image.frame is not None
            failures.append(SourceError(f"{image.file}: {refused[image.frame.shape]}"))
        else:
            assert image.frame is not None
            make_folder(image.output.parent)
            if save == "classes":
                write_bytes(image.output, encode_palette_png(class_map, spec.palette))
            else:
                if save == "color":
                    painted = painter.colorize(class_map)
                elif save == "report":
                    painted = draw_report(image.frame, class_map, painter, spec.class_names, opacity=opacity)
                else:
                    painted = painter.overlay(image.frame, class_map, opacity=opacity)
                write_image(image.output, painted, channel_order=spec.channel_order)
        on_result(class_map)

    transform = partial(_segment, segmenter, batch, refused)
    run_pipeline(_load(files, outputs, spec.channel_order), transform, sink, times=times)
    return failures


def _segment(
    segmenter: Segmenter, batch: int, refused: dict[tuple[int, ...], FrameError], images: Iterator[_Loaded]
) -> Iterator[tuple[_Loaded, NDArray[np.uint8] | None]]:
    def segment(frames: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        try:
            return segmenter(frames)
        except FrameError as exc:
            refused[frames.shape[-3:]] = exc
            return None

    return segment_items(segment, images, lambda image: image.frame, batch=batch)


def _load(files: Sequence[Path], outputs: Sequence[Path], channel_order: ChannelOrder) -> Iterator[_Loaded]:
    for file, output in zip(files, outputs, strict=True):
        yield _load_one(file, output, channel_order)


def _load_one(file: Path, output: Path, channel_order: ChannelOrder) -> _Loaded:
    try:
        return _Loaded(file, output, frame=read_image(file, channel_order=channel_order))
    except SourceError as exc:
        return _Loaded(file, output, error=exc)
