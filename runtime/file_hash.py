"""The hash of a file's content, read piece by piece."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PIECE = 1 << 20  # bytes


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file, hexadecimal.

    Args:
        path: The file.
        algorithm: A name that `hashlib.new` knows.

    Raises:
        OSError: If the file cannot be read.
    """
    # It tells files apart and finds damage; md5 and sha1, which old downloads have, keep nobody from forging one.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
