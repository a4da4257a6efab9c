"""Names and colours of classes from a text file, for checkpoints that have neither."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ..runtime.errors import CheckpointError
from .checkpoint import Checkpoint

_LINE = re.compile(r"(?P<name>.*?\S)(?:\s+#(?P<color>[0-9a-fA-F]{6}))?")


def with_classes(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The checkpoint with the class names of a file and, where the file has them, the colours.

    Args:
        checkpoint: Weights without names of their own.
        path: Text file, UTF-8: one class per line in the order of their indices, a name and perhaps a colour as
            ``#rrggbb``.

    Raises:
        CheckpointError: If the file cannot be read, a line is empty, a name is there twice, or their number is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as exc:
        raise CheckpointError(f"cannot read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise CheckpointError(f"{path} is not a text file (UTF-8) with one class per line") from exc
    names: list[str] = []
    palette = list(checkpoint.palette)
    for index, line in enumerate(lines):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise CheckpointError(f"{path}: line {index + 1} is empty; write one class per line: NAME or NAME #rrggbb")
        if match["name"] in names:
            raise CheckpointError(f"{path}: {match['name']!r} is there twice, in line {index + 1} again")
        names.append(match["name"])
        if match["color"] is not None and index < len(palette):
            red, green, blue = bytes.fromhex(match["color"])
            palette[index] = (red, green, blue)
    if len(names) != len(palette):
        raise CheckpointError(
            f"{path} names {len(names)} classes; the checkpoint has {len(palette)}, background included"
        )
    return dataclasses.replace(checkpoint, class_names=tuple(names), palette=tuple(palette))
