"""Many inputs, each with a result and a record of its own, so that a run can be stopped, continued and shared out."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import make_folder, remove_leftovers, write_text
from ..engines.engine_file import is_engine
from ..engines.manifest import read_manifest
from ..errors import FcnrtError, FrameError, OutputError, SourceError
from ..file_hash import file_hash
from ..images.class_shares import ClassShares
from ..images.files import MOTION_JPEG_SUFFIXES
from ..onnx_header import read_onnx_header
from ..segmenter import Segmenter
from ..sources import ImageSource, VideoSource, find_source
from ..video.reader import VideoReader
from .outputs import Save, image_outputs
from .segment_images import segment_images
from .segment_video import segment_video

_VIDEO_SUFFIXES = (
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"),
    *MOTION_JPEG_SUFFIXES,
)


@dataclass(frozen=True)
class ArchiveItem:
    """An image or a video, and where its result goes; both paths are absolute.

    Attributes:
        source: The file.
        result: The file of the result; the folder of the class maps of a video.
        is_video: Whether it is a video.
    """

    source: str
    result: str
    is_video: bool

    @property
    def record(self) -> Path:
        """The file that is written when the result is complete."""
        return Path(self.result + ".json")


@dataclass(frozen=True)
class ArchiveSettings:
    """What the results depend on besides the inputs; a change of it makes them anew.

    Attributes:
        model: Path of the model, absolute, as every worker sees it.
        model_sha256: SHA-256 of the file, hexadecimal.
        save: Form of the results.
        opacity: Weight of the class colours in an overlay, 0 to 1.
        fcnrt_version: Version that computes.
    """

    model: str
    model_sha256: str
    save: Save
    opacity: float
    fcnrt_version: str

    @classmethod
    def of(cls, model: Path, save: Save, opacity: float) -> ArchiveSettings:
        """The settings for a model.

        Raises:
            ModelFileError: If the file is not a model.
        """
        if is_engine(model):
            read_manifest(model)
        else:
            read_onnx_header(model)
        return cls(str(model.resolve()), file_hash(model), save, opacity, version("fcnrt"))


def plan_archive(texts: Sequence[str], output: Path, save: Save) -> list[ArchiveItem]:
    """The files that the given images, videos, folders and patterns stand for, and the result of each.

    Videos in a folder are taken too. With several sources, those of a folder or a pattern go into a folder of its name.

    Args:
        texts: As for `find_source`, without cameras and streams.
        output: Folder for the results.
        save: Form of the results.

    Raises:
        SourceError: If there is no such thing, or it is not a file.
        OutputError: If two results would be the same file, or overwrite an input.
    """
    items: list[ArchiveItem] = []
    for text in texts:
        source = find_source(text, images_needed=False)
        if isinstance(source, ImageSource):
            folder = output if source.single or len(texts) == 1 else output / source.name
            # A single file is named as it would be in a folder.
            results = image_outputs(replace(source, single=False), folder, save)
            items += [_item(path, result, is_video=False) for path, result in zip(source.files, results, strict=True)]
            videos = [path for path in source.skipped if path.suffix.lower() in _VIDEO_SUFFIXES]
            if not source.files and not videos:
                raise SourceError(f"{text}: neither an image nor a video among these files")
        elif source.path is None:
            raise SourceError(f"{source.label} never ends; cameras and streams are segmented without --ray")
        else:
            folder, videos = output, [source.path]
        for path in videos:
            if save == "report":
                raise OutputError(f"{path} is a video; --save report is for pictures, a video takes overlay")
            suffix = "" if save == "classes" else ".mp4"
            items.append(_item(path, folder / f"{path.stem}-{save}{suffix}", is_video=True))
    twice = [name for name, count in Counter(item.result for item in items).items() if count > 1]
    if twice:
        sources = [item.source for item in items if item.result == twice[0]]
        raise OutputError(f"{sources[0]} and {sources[1]} would both become {twice[0]}; give folders, or rename one")
    overwritten = {item.source for item in items} & {item.result for item in items}
    if overwritten:
        raise OutputError(f"cannot write {overwritten.pop()}: it is one of the inputs; give another --output")
    return items


def unfinished(items: Sequence[ArchiveItem], settings: ArchiveSettings) -> list[ArchiveItem]:
    """Those items whose result is not there yet, or is of another input, model or form."""
    return [item for item in items if not _is_finished(item, settings)]


def clear_leftovers(items: Sequence[ArchiveItem]) -> None:
    """Remove the temporary files that killed workers have left; none may be at work now."""
    files = [path for item in items for path in (Path(item.result), item.record)]
    remove_leftovers(*(path for path in files if path.parent.is_dir()))


class ArchiveWorker:
    """Segments one item after the other with one loaded model.

    Args:
        settings: What to do.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        threads: CPU threads for one frame; None: one for each physical core.
    """

    def __init__(self, settings: ArchiveSettings, device: str, threads: int | None) -> None:
        self._settings = settings
        self._segmenter = Segmenter.open(settings.model, device=device, threads=threads)

    def __call__(self, item: ArchiveItem) -> str | None:
        """Write the result and its record; returns why the input could not be read or taken, if so.

        A video that was cut off leaves the frames before the cut, but no record.

        Raises:
            OutputError: If the result cannot be written.
            InferenceError: If the model fails.
        """
        settings = self._settings
        shares = ClassShares(self._segmenter.spec.class_names)
        source, result = Path(item.source), Path(item.result)
        make_folder(result.parent)
        _forget(item)
        try:
            key = _key(item, settings)
            if item.is_video:
                self._segment_video(source, result, shares)
            else:
                self._segment_image(source, result, shares)
        except SourceError as exc:
            return str(exc)
        record = key | {
            "frames": shares.frame_count,
            "classes": {name: round(share, 6) for name, share in shares.largest()},
            "computed_by": f"{self._segmenter.backend} on {self._segmenter.device}",
        }
        write_text(item.record, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return None

    def _segment_image(self, source: Path, result: Path, shares: ClassShares) -> None:
        def count(class_map: NDArray[np.uint8] | None) -> None:
            if class_map is not None:
                shares.add(class_map)

        settings = self._settings
        failures = segment_images(
            self._segmenter, [source], [result], save=settings.save, opacity=settings.opacity, on_result=count
        )
        if failures:
            raise failures[0]

    def _segment_video(self, source: Path, result: Path, shares: ClassShares) -> None:
        found = VideoSource(f"file:{source}", label=str(source), name=source.stem, path=source)
        settings = self._settings
        order, device = self._segmenter.spec.channel_order, self._segmenter.device
        with VideoReader(found, channel_order=order, device=device) as reader:
            try:
                segment_video(
                    self._segmenter, reader, result, save=settings.save, opacity=settings.opacity, on_result=shares.add
                )
            except FrameError as exc:  # of a size that the model does not take
                raise SourceError(f"{source}: {exc}") from exc


def _item(source: Path, result: Path, *, is_video: bool) -> ArchiveItem:
    # A link that leads nowhere is told by its own name: what it once led to the user never gave.
    file = source.resolve() if source.exists() else Path.cwd() / source
    return ArchiveItem(str(file), os.path.abspath(result), is_video)  # noqa: PTH100 - it is not there yet


def _forget(item: ArchiveItem) -> None:
    """Remove the record of an earlier run, which is not to vouch for what comes now, and its class maps of a video."""
    frames = Path(item.result).glob("*.png") if item.is_video else ()
    try:
        for path in (item.record, *frames):
            path.unlink(missing_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot write {item.result}: {exc.strerror}") from exc


def _key(item: ArchiveItem, settings: ArchiveSettings) -> dict[str, Any]:
    """What the result was made from, so that it can be recognised."""
    try:
        facts = Path(item.source).stat()
    except FileNotFoundError as exc:
        raise SourceError(f"{item.source}: no such file") from exc
    except OSError as exc:
        raise SourceError(f"{item.source}: cannot be read ({exc.strerror})") from exc
    return {
        "source": item.source,
        "source_bytes": facts.st_size,
        "source_mtime_ns": facts.st_mtime_ns,
        **asdict(settings),
    }


def _is_finished(item: ArchiveItem, settings: ArchiveSettings) -> bool:
    try:
        record = json.loads(item.record.read_text(encoding="utf-8"))
        return Path(item.result).exists() and record.items() >= _key(item, settings).items()
    except (OSError, ValueError, AttributeError, FcnrtError):
        return False
