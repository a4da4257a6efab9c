"""Where results go and what they are called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ..atomic import refuse_to_overwrite
from ..errors import OutputError
from ..images.files import WRITABLE_SUFFIXES
from ..sources import ImageSource, VideoSource

Save = Literal["overlay", "color", "classes", "report"]
"""Form of a result: the picture with the class colours over it, the colours alone, the class indices, or all of them
with the share of each class (pictures only)."""

_VIDEO_SUFFIX = ".mp4"
_NEED_OF_ONE = "give a folder, or a name with a suffix"


def image_outputs(source: ImageSource, output: str | Path | None, save: Save) -> list[Path]:
    """The result file of each of the source's images, all of them different.

    In a folder, results keep the names of their images; colours and classes become PNGs, which lose nothing, and so
    does an overlay of a format that cannot be written (``a.gif`` becomes ``a.gif.png``). If two names would be the same
    (``a.jpg`` and ``a.tif`` both become ``a.png``), every result keeps the whole name (``a.jpg.png``).

    Args:
        source: The images.
        output: A file (for a single image) or a folder, which a text that ends in a slash always is. If not given:
            ``NAME-SAVE`` in the current folder, with the suffix of a single image.
        save: Form of the results.

    Raises:
        OutputError: If the output's suffix does not fit, there is a file where a folder is needed, or a result would
            overwrite one of the images.
    """
    names = [_result_name(path.relative_to(source.root), save) for path in source.files]
    if len(set(names)) < len(names):
        names = [path.relative_to(source.root).with_name(path.name + ".png") for path in source.files]

    if source.single and output is None:
        outputs = [Path(f"{source.name}-{save}{names[0].suffix}")]
    elif source.single and output is not None and _is_file_name(output):
        _require_suffix(output, (".png",) if save == "classes" else WRITABLE_SUFFIXES)
        outputs = [Path(output)]
    else:
        folder = Path(f"{source.name}-{save}" if output is None else output)
        _require_folder(folder, _NEED_OF_ONE if source.single else "several images need a folder")
        outputs = [folder / name for name in names]
    refuse_to_overwrite(source.files, outputs)
    return outputs


def video_output(source: VideoSource, output: str | Path | None, save: Save) -> Path:
    """The MP4 file of the result, or the folder of its class maps (one PNG per frame).

    Args:
        source: The video.
        output: A file or folder, as for `image_outputs`. If not given: ``NAME-SAVE`` in the current folder.
        save: Form of the result.

    Raises:
        OutputError: If the output's suffix does not fit, there is a file where a folder is needed, the folder for class
            maps holds files already, the result would overwrite the video, or a report was asked for.
    """
    if save == "report":
        raise OutputError(f"{source.label} is a video; --save report is for pictures, a video takes overlay")
    if save == "classes":
        folder = Path(f"{source.name}-classes" if output is None else output)
        _require_folder(folder, "the class maps of a video need a folder")
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} is not empty, and frames of another run would stay among the new ones; "
                f"remove it or give another --output"
            )
        return folder
    if output is None:
        result = Path(f"{source.name}-{save}{_VIDEO_SUFFIX}")
    elif _is_file_name(output):
        _require_suffix(output, (_VIDEO_SUFFIX,))
        result = Path(output)
    else:
        _require_folder(Path(output), _NEED_OF_ONE)
        result = Path(output) / f"{source.name}{_VIDEO_SUFFIX}"
    if source.path is not None:
        refuse_to_overwrite((source.path,), [result])
    return result


def _result_name(path: Path, save: Save) -> Path:
    if save != "overlay":
        return path.with_suffix(".png")
    return path if path.suffix.lower() in WRITABLE_SUFFIXES else path.with_name(path.name + ".png")


def _is_file_name(output: str | Path) -> bool:
    if str(output).endswith(("/", os.sep)):  # which a Path would have lost
        return False
    return bool(Path(output).suffix) and not Path(output).is_dir()


def _require_folder(folder: Path, need: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"cannot write into {folder}: it is a file; {need}")


def _require_suffix(output: str | Path, allowed: tuple[str, ...]) -> None:
    if Path(output).suffix.lower() not in allowed:
        raise OutputError(f"cannot write {output}: the suffix of this result must be {' or '.join(allowed)}")
