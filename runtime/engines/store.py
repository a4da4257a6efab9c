"""Engines that were built on the way, kept in the user's cache: one file per `EngineKey`, built once.

An engine is a cache entry: it can always be made again from its ONNX file, and whatever does not fit is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..atomic import remove_folder, remove_leftovers
from ..cache import cache_dir
from ..errors import EngineMismatchError, OutputError
from ..file_lock import file_lock, free_locks
from .manifest import EngineKey, EngineManifest, manifest_path, read_manifest

PROVIDER_SUFFIX = ".ort"
"""Suffix of the folders in which ONNX Runtime keeps engines, one each."""

UNFINISHED_SUFFIX = ".unfinished"
"""Suffix of such a folder while ONNX Runtime builds."""


@dataclass(frozen=True)
class StoredEngine:
    """An engine in the store.

    Attributes:
        path: The engine, or a folder in which ONNX Runtime keeps one in its own form.
        manifest: Its manifest; None if that is missing or damaged, or it is ONNX Runtime's.
        size_bytes: Size of the engine.
        modified: When it was built, in seconds since 1970.
    """

    path: Path
    manifest: EngineManifest | None
    size_bytes: int
    modified: float


class EngineStore:
    """The engines in a directory, by default the user's cache."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = cache_dir() / "engines" if directory is None else directory

    def path(self, key: EngineKey) -> Path:
        """Where the engine with this key lies, or would lie."""
        return self.directory / f"{key.digest}.engine"

    def find(self, key: EngineKey) -> Path | None:
        """The engine with this key, if it is there and whole as far as its size and manifest tell."""
        path = self.path(key)
        try:
            manifest = read_manifest(path)
        except EngineMismatchError:
            return None
        return path if manifest.key == key and path.stat().st_size == manifest.engine_bytes else None

    def get_or_build(
        self,
        key: EngineKey,
        build: Callable[[Path], object],
        *,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Path:
        """The engine with this key, built if it is not there; of several processes at once, one builds.

        Args:
            key: What the engine depends on.
            build: Writes the engine and its manifest to a path.
            on_wait: Called if another process is building the same engine, before waiting for it.

        Raises:
            OutputError: If the directory cannot be made or written.
        """
        found = self.find(key)
        if found is not None:
            return found
        path = self.path(key)
        with self.locked(key.digest, on_wait):
            if self.find(key) is None:  # another process may have built it while we waited
                for file in (path, manifest_path(path)):
                    remove_leftovers(file)
                build(path)
        return path

    @contextmanager
    def locked(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep other processes from building what has this name while the block runs; the directory is made.

        Raises:
            OutputError: If the directory cannot be made or written.
        """
        with file_lock(self.directory / f"{name}.lock", on_wait):
            yield

    def entries(self) -> list[StoredEngine]:
        """Everything in the store, the newest first."""
        entries = []
        for path in self.directory.glob("[!.]*.engine"):  # others are being written
            status = path.stat()
            entries.append(StoredEngine(path, _manifest_or_none(path), status.st_size, status.st_mtime))
        for path in self.directory.glob(f"*{PROVIDER_SUFFIX}"):
            size = sum(file.stat().st_size for file in path.iterdir())
            entries.append(StoredEngine(path, None, size, path.stat().st_mtime))
        return sorted(entries, key=lambda entry: entry.modified, reverse=True)

    def newest(self, *, onnx_sha256: str, fits: Callable[[EngineManifest], bool]) -> Path | None:
        """The newest engine of a model that fits, whatever its profiles are."""
        for entry in self.entries():
            manifest = entry.manifest
            if manifest is not None and manifest.key.onnx_sha256 == onnx_sha256 and fits(manifest):
                return entry.path
        return None

    def remove(self, entry: StoredEngine) -> None:
        """Delete an engine and its manifest; its lock stays, another process may hold it.

        Raises:
            OutputError: If it cannot be deleted.
        """
        if entry.path.is_dir():
            remove_folder(entry.path)
        else:
            _delete([entry.path, manifest_path(entry.path)])

    def remove_leftovers(self) -> None:
        """Delete what processes that were killed have left of engines; what others are building now stays.

        Raises:
            OutputError: If it cannot be deleted.
        """
        for lock in free_locks(self.directory):
            engine = lock.with_suffix(".engine")
            remove_leftovers(engine, manifest_path(engine))
            remove_folder(lock.with_suffix(UNFINISHED_SUFFIX))

    def remove_caches(self) -> int:
        """Delete what TensorRT has measured in builds, and TensorRT-RTX has compiled in runs; the number of files.

        Raises:
            OutputError: If one cannot be deleted.
        """
        files = [file for folder in (timing_dir(), kernel_dir()) for file in folder.glob("*.cache")]
        _delete(files)
        return len(files)


def timing_dir() -> Path:
    """Where the timing caches of TensorRT lie; not made yet."""
    return cache_dir() / "timing"


def kernel_dir() -> Path:
    """Where the kernels lie that TensorRT-RTX has compiled; not made yet."""
    return cache_dir() / "kernels"


def _delete(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:  # noqa: PERF203, at most a handful
            raise OutputError(f"cannot delete {path}: {exc.strerror}") from exc


def _manifest_or_none(path: Path) -> EngineManifest | None:
    try:
        return read_manifest(path)
    except EngineMismatchError:
        return None
