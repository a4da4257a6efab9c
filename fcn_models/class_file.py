"""Names and colours of classes from a text file, for checkpoints and data sets that have neither."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ..runtime.errors import CheckpointError
from .checkpoint import Checkpoint
from .checkpoint_metadata import Palette
from .voc import voc_palette

_LINE = re.compile(r"(?P<name>.*?\S)(?:\s+#(?P<color>[0-9a-fA-F]{6}))?")
_MEANT_AS_COLOR = re.compile(r"(?<!\S)#\S*|#[0-9a-fA-F]{6}(?!\S)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_CLASSES = 256


def read_class_file(path: Path, *, palette: Palette | None = None) -> tuple[tuple[str, ...], Palette]:
    """Names and colours of the classes in a file.

    Args:
        path: Text file, UTF-8: one class per line in the order of their indices, a name and perhaps a colour as
            ``#rrggbb``.
        palette: Colours of the classes that the file gives none; those of PASCAL VOC if left out.

    Raises:
        CheckpointError: If the file cannot be read, a line is empty, a colour is mistyped, a name has control
            characters or is there twice, or there are too many.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as exc:
        raise CheckpointError(f"cannot read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise CheckpointError(f"{path} is not a text file (UTF-8) with one class per line") from exc
    if len(lines) > _MOST_CLASSES:
        raise CheckpointError(f"{path} names {len(lines)} classes; a class map holds up to {_MOST_CLASSES}")
    names: list[str] = []
    colors = list(palette or ()) + list(voc_palette()[len(palette or ()) :])
    for index, line in enumerate(lines):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise CheckpointError(f"{path}: line {index + 1} is empty; write one class per line: NAME or NAME #rrggbb")
        if _CONTROL.search(match["name"]) is not None:
            raise CheckpointError(
                f"{path}: line {index + 1}: {match['name']!r} holds a control character or a tab; remove it"
            )
        mistyped = _MEANT_AS_COLOR.search(match["name"])
        if mistyped is not None:
            raise CheckpointError(
                f"{path}: line {index + 1}: {mistyped[0]!r} is no colour at the end, after a name and a space; write "
                "NAME or NAME #rrggbb"
            )
        if match["name"] in names:
            raise CheckpointError(f"{path}: {match['name']!r} is there twice, in line {index + 1} again")
        names.append(match["name"])
        if match["color"] is not None:
            red, green, blue = bytes.fromhex(match["color"])
            colors[index] = (red, green, blue)
    return tuple(names), tuple(colors[: len(names)])


def with_classes(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The checkpoint with the class names of a file and, where the file has them, the colours.

    Raises:
        CheckpointError: If the file cannot be read or has another number of classes.
    """
    names, palette = read_class_file(path, palette=checkpoint.palette)
    if len(names) != len(checkpoint.palette):
        raise CheckpointError(
            f"{path} names {len(names)} classes; the checkpoint has {len(checkpoint.palette)}, background included"
        )
    return dataclasses.replace(checkpoint, class_names=names, palette=palette)
