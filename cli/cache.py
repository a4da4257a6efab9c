"""`fcnrt cache`: the engines that were built on the way."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..runtime.manifest import EngineManifest
    from ..runtime.store import StoredEngine

cache_app = typer.Typer(
    help="TensorRT engines that `fcnrt run` built on the way; they can always be built again.", no_args_is_help=True
)


@cache_app.command("list")
def list_engines(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array for programs to read.")] = False,
) -> None:
    """List the engines in the cache, the newest first."""
    import json

    from ..runtime.store import EngineStore
    from .console import counted, say

    store = EngineStore()
    entries = store.entries()
    if as_json:
        typer.echo(json.dumps([_record(entry) for entry in entries], ensure_ascii=False))
        return
    for entry in entries:
        built = datetime.fromtimestamp(entry.modified, tz=timezone.utc).astimezone()
        what = _describe_entry(entry)
        typer.echo(f"{entry.path.name}  {entry.size_bytes / 1e6:7.1f} MB  {built:%Y-%m-%d %H:%M}  {what}")
    total = sum(entry.size_bytes for entry in entries)
    say(f"{counted(len(entries), 'engine')}, {total / 1e6:.1f} MB in {store.directory}")


@cache_app.command()
def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="File written by fcnrt export.")],
) -> None:
    """Say which engine a model would use here, and what is wrong with the other engines of that model."""
    from ..export.engine_cache import explain as explain_model
    from ..export.to_engine import choose_machine
    from ..runtime.store import EngineStore

    machine = choose_machine("auto")
    found, others = explain_model(model, machine, EngineStore())
    library, gpu = machine
    typer.echo(f"{model} with {library} on {'any RTX GPU' if library.flavor == 'tensorrt_rtx' else gpu}:")
    typer.echo(f"  {found.name} fits" if found else "  no engine fits; the next run with --backend tensorrt builds one")
    for manifest, differences in others:
        typer.echo(f"  {manifest.key.digest}.engine does not: {'; '.join(differences)}")


@cache_app.command()
def clear() -> None:
    """Delete the engines in the cache, and what TensorRT has measured and compiled."""
    from ..runtime.store import EngineStore
    from .console import counted, say

    store = EngineStore()
    entries = store.entries()
    for entry in entries:
        store.remove(entry)
    others = store.remove_caches()
    total = sum(entry.size_bytes for entry in entries)
    say(
        f"deleted {counted(len(entries), 'engine')}, {total / 1e6:.1f} MB, and {counted(others, 'cache')} of TensorRT's"
    )


def _describe_entry(entry: StoredEngine) -> str:
    if entry.path.is_dir():
        return "kept by ONNX Runtime"
    return "its manifest is missing or damaged" if entry.manifest is None else _describe(entry.manifest)


def _describe(manifest: EngineManifest) -> str:
    from ..runtime.runners.tensorrt_library import title

    key, spec = manifest.key, manifest.spec
    sizes = " ".join(map(str, manifest.profiles))
    parts = [f"{spec.variant} {spec.precision}", f"{title(key.flavor)} {key.version}", key.gpu or "any RTX GPU", sizes]
    return " · ".join([*parts, manifest.onnx_name])


def _record(entry: StoredEngine) -> dict[str, object]:
    import json

    manifest = None if entry.manifest is None else json.loads(entry.manifest.to_json())
    return {"file": str(entry.path), "bytes": entry.size_bytes, "modified": entry.modified, "manifest": manifest}
