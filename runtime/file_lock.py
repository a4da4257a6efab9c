"""A lock among the processes of this machine, for what is to be made once and kept in a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


@contextmanager
def file_lock(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock while the block runs; it falls when its holder ends, however that ends.

    Args:
        path: The lock's file, which stays: another process may hold it. Its folder is made.
        on_wait: Called if another process holds it, before waiting.

    Raises:
        OutputError: If the folder cannot be made or the file not written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot make the cache directory {path.parent}: {exc.strerror}") from exc
    try:
        file = path.open("a")
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc
    with file:
        try:
            import fcntl
        except ImportError:  # not on Windows: two processes then make it twice, and the later one stays
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
