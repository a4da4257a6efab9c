"""A lock among the processes of this machine, for what is to be made once and kept in a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .atomic import make_folder
from .errors import OutputError

try:
    import fcntl
except ImportError:  # not on Windows: two processes then make it twice, and the later one stays
    fcntl = None  # type: ignore[assignment]


@contextmanager
def file_lock(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock while the block runs; it falls when its holder ends, however that ends.

    Args:
        path: The lock's file, which stays: another process may hold it. Its folder is made.
        on_wait: Called if another process holds it, before waiting.

    Raises:
        OutputError: If the folder cannot be made or the file not written.
    """
    make_folder(path.parent)
    with _opened(path) as file:
        if not _lock_if_free(file):
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_locks(folder: Path) -> Iterator[Path]:
    """The locks in a folder that no other process holds, ``*.lock``; each is held until the next one is asked for.

    Raises:
        OutputError: If a lock's file cannot be written.
    """
    for path in folder.glob("*.lock"):
        with _opened(path) as file:
            if _lock_if_free(file):
                yield path


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc


def _lock_if_free(file: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
