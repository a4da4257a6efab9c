"""Writing a file or a folder so that it is either complete or not there."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FcnrtError, OutputError

# As the temporary files are named below, and as `tempfile` names the folders.
_TEMPORARY = re.compile(r"\.(?P<stem>.+)-[a-z0-9_]{8}(?P<suffix>(?:\.[^.]*)?)", re.DOTALL)


def check_writable(path: Path) -> None:
    """Refuse a result that cannot be written before the long work for it, and not after.

    No file is made for that: work that is killed must leave nothing behind.

    Raises:
        OutputError: If `path` is a folder or no possible name, or there is no folder for it that may be written to.
    """
    try:
        has_folder, obstacle = path.parent.is_dir(), _obstacle(path)
    except OSError as exc:  # too long
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc
    if not has_folder:
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    if obstacle is not None:
        raise OutputError(f"cannot write {path}: {obstacle}")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {path.parent}")


def _obstacle(path: Path) -> str | None:
    """What is at a path that no result may take the place of."""
    if path.is_dir():
        return "it is a folder"
    return "it is no ordinary file" if path.exists() and not path.is_file() else None


def refuse_to_overwrite(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Refuse results that would take the place of what they are made from, or of each other.

    Args:
        inputs: Files that are read; None stands for one that was not given.
        outputs: Files that are to be written, likewise.

    Raises:
        OutputError: If an output is one of the inputs, or two of them are the same file.
    """
    originals = {path.resolve() for path in inputs if path is not None}
    results: set[Path] = set()
    for output in outputs:
        if output is None:
            continue
        if output.resolve() in originals:
            raise OutputError(f"cannot write {output}: it is one of the inputs; give another name")
        if output.resolve() in results:
            raise OutputError(f"cannot write {output}: another result has this name; give another one")
        results.add(output.resolve())


def check_outputs(outputs: Iterable[Path | None], *, inputs: Iterable[Path | None]) -> None:
    """Refuse results that cannot be written, or that would replace something, before the long work for them.

    Raises:
        OutputError: As `check_writable` and `refuse_to_overwrite`.
    """
    outputs = list(outputs)
    refuse_to_overwrite(inputs, outputs)
    for output in outputs:
        if output is not None:
            check_writable(output)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot make the folder {folder}: {exc.strerror}") from exc


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file, so that it is never there in part.

    Raises:
        OutputError: If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, so that it is never there in part.

    Raises:
        OutputError: If it cannot be written.
    """
    write_bytes(path, text.encode())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends, and is removed if the block fails.

    The temporary file lies in the same directory and keeps the suffix, which writers derive the format from. If `path`
    is a link, what it leads to is written.

    Raises:
        OutputError: If the file cannot be written: it is a folder or a device, no such directory, no permission, disk
            full.
    """
    asked = path
    # Not tempfile's: its files are private, and a result is an ordinary file, with the permissions that users chose.
    try:
        path = asked.resolve()
        temporary = path.parent / f".{path.stem}-{secrets.token_hex(4)}{path.suffix}"
        obstacle = _obstacle(path)
        if obstacle is None:
            temporary.open("xb").close()
    except (OSError, RuntimeError) as exc:  # before Python 3.13, links that lead in a circle are a RuntimeError
        raise OutputError(f"cannot write {asked}: {getattr(exc, 'strerror', exc)}") from exc
    if obstacle is not None:
        raise OutputError(f"cannot write {asked}: {obstacle}")
    try:
        yield temporary
        temporary.replace(path)
    except FcnrtError:
        raise
    except OSError as exc:
        # Only errors of writing: those of reading an input are translated where the input is read.
        raise OutputError(f"cannot write {asked}: {exc.strerror or exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(*paths: Path) -> None:
    """Remove what `atomic_path` or `atomic_folder` of a killed process has left; nobody must be writing `paths` now.

    Each folder is read once, however many of the paths are in it.
    """
    wanted = {(path.parent, path.stem, path.suffix) for path in paths}
    for folder in {path.parent for path in paths}:
        for other in folder.iterdir():
            name = _TEMPORARY.fullmatch(other.name)
            if name is not None and (folder, name["stem"], name["suffix"]) in wanted:
                if other.is_dir():
                    remove_folder(other)
                else:
                    other.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Delete a folder and what is in it; nothing happens if there is none.

    Raises:
        OutputError: If it cannot be deleted.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise OutputError(f"cannot delete {path}: {exc.strerror}") from exc


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder that becomes `path` when the block ends, and is removed if the block fails.

    A folder that is there already is replaced as a whole; whether it may be is the caller's to find out.

    Raises:
        OutputError: If the folder cannot be written: no such directory above it, no permission, disk full.
    """
    try:
        workplace = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc
    draft, old = workplace / "new", workplace / "old"
    try:
        draft.mkdir()
        yield draft
        if path.exists():
            path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except FcnrtError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
