"""Where fcnrt keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import OutputError

CACHE_DIR_VARIABLE = "FCNRT_CACHE_DIR"
"""Environment variable that names another directory."""


def cache_dir() -> Path:
    """The user's cache directory for fcnrt; not made yet.

    ``FCNRT_CACHE_DIR`` if it is set, else ``fcnrt`` in ``XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        OutputError: If no variable is set and the user has no home directory.
    """
    try:
        if own := os.environ.get(CACHE_DIR_VARIABLE):
            return Path(own).expanduser()
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification has relative paths ignored.
        return (base if base.is_absolute() else Path.home() / ".cache") / "fcnrt"
    except RuntimeError as exc:
        raise OutputError(f"cannot tell the cache directory ({exc}); set FCNRT_CACHE_DIR") from exc
