"""The engine of an ONNX file in the user's cache: found, or built on first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...runtime.engines.manifest import EngineManifest
from ...runtime.engines.store import EngineStore
from ...runtime.engines.tensorrt_library import TensorRtLibrary
from ...runtime.errors import ModelFileError
from ...runtime.gpu.gpu import Gpu
from ...runtime.onnx_header import read_onnx_header
from .build import EngineOptions, build_engine, engine_key

Build = Callable[[Path, Path, EngineOptions], object]


def cached_engine(
    onnx_path: Path,
    machine: tuple[TensorRtLibrary, Gpu | None],
    *,
    store: EngineStore | None = None,
    build: Build | None = None,
    may_build: bool = True,
    on_wait: Callable[[], None] = lambda: None,
) -> Path:
    """The engine for an ONNX file on a machine, with the default sizes.

    Args:
        onnx_path: The exported file.
        machine: TensorRT and GPU, from `choose_machine`.
        store: Where engines are kept; the user's cache if not given.
        build: Builds an engine from a file to a path; `build_engine` for this machine if not given.
        may_build: Whether to build it if it is not there.
        on_wait: Called if another process is building it, before waiting for that.

    Raises:
        ModelFileError: If the file is no exported model, or there is no engine and none may be built.
        EngineBuildError: If it cannot be built.
        OutputError: If it cannot be written.
    """
    read_onnx_header(onnx_path)
    store = store or EngineStore()
    options = EngineOptions()
    key = engine_key(onnx_path, options, *machine)
    if not may_build:
        found = store.find(key)
        if found is None:
            raise ModelFileError(
                f"there is no engine for {onnx_path} on this machine in {store.directory}, and --no-build forbids to "
                "build one; run once without it, or name an engine made with fcnrt build"
            )
        return found

    def build_here(path: Path) -> object:
        if build is not None:
            return build(onnx_path, path, options)
        return build_engine(onnx_path, path, options, machine=machine, stored=True)

    return store.get_or_build(key, build_here, on_wait=on_wait)


def explain(
    onnx_path: Path, machine: tuple[TensorRtLibrary, Gpu | None], store: EngineStore
) -> tuple[Path | None, list[tuple[EngineManifest, list[str]]]]:
    """Why the engine of an ONNX file is or is not in the store.

    Returns:
        The engine that would be used, if it is there; and every other engine of the same file or of an earlier state
        of it, with what about it does not fit.
    """
    read_onnx_header(onnx_path)
    key = engine_key(onnx_path, EngineOptions(), *machine)
    place = str(onnx_path.resolve())
    others = [
        (entry.manifest, entry.manifest.key.differences(key))
        for entry in store.entries()
        if entry.manifest is not None
        and entry.manifest.key != key
        and (entry.manifest.key.onnx_sha256 == key.onnx_sha256 or entry.manifest.onnx_name == place)
    ]
    return store.find(key), others
