"""`fcnrt cache`: what was made on the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..runtime.engines.manifest import EngineManifest
    from ..runtime.engines.store import StoredEngine
    from ..runtime.runners.optimized_graph import KeptGraph

cache = typer.Typer(
    help="TensorRT engines that `fcnrt run` built on the way, and graphs that ONNX Runtime rearranged for this "
    "processor; they can always be made again. Demo models and downloaded weights, beside them, are left alone.",
    no_args_is_help=True,
)


@cache.command("list")
def list_entries(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array for programs to read.")] = False,
) -> None:
    """List the engines and the graphs in the cache, the newest first."""
    import json

    from ..runtime.cache import cache_dir
    from ..runtime.engines.store import EngineStore
    from ..runtime.runners.optimized_graph import kept_graphs
    from .console import say

    engines, graphs = EngineStore().entries(), kept_graphs()
    if as_json:
        records = [_record(engine) for engine in engines] + [_graph_record(graph) for graph in graphs]
        typer.echo(json.dumps(records, ensure_ascii=False))
        return
    for engine in engines:
        typer.echo(_line(engine, _describe_engine(engine)))
    for graph in graphs:
        typer.echo(_line(graph, _describe_graph(graph)))
    say(f"{_summary(engines, graphs)} in {cache_dir()}")


@cache.command()
def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="File written by fcnrt export.")],
) -> None:
    """Say which engine a model would use here, and what is wrong with the other engines of that model."""
    from ..export.engine.build import choose_machine
    from ..export.engine.cache import explain as explain_model
    from ..runtime.engines.store import EngineStore

    machine = choose_machine("auto")
    found, others = explain_model(model, machine, EngineStore())
    library, gpu = machine
    typer.echo(f"{model} with {library} on {'any RTX GPU' if library.flavor == 'tensorrt_rtx' else gpu}:")
    if found is not None:
        typer.echo(f"  {found.name} fits")
    elif gpu is None:
        typer.echo("  no engine fits; where there is an NVIDIA GPU, a run with --backend tensorrt builds one")
    else:
        typer.echo("  no engine fits; the next run with --backend tensorrt builds one")
    for manifest, differences in others:
        typer.echo(f"  {manifest.key.digest}.engine does not: {'; '.join(differences)}")


@cache.command()
def clear() -> None:
    """Delete the engines and the graphs in the cache, and what TensorRT has measured and compiled."""
    from ..runtime.atomic import remove_folder
    from ..runtime.engines.store import EngineStore
    from ..runtime.runners.optimized_graph import kept_graphs, remove_unfinished_graphs
    from .console import counted, say

    store = EngineStore()
    engines, graphs = store.entries(), kept_graphs()
    for engine in engines:
        store.remove(engine)
    for graph in graphs:
        remove_folder(graph.path)
    store.remove_leftovers()
    remove_unfinished_graphs()
    others = store.remove_caches()
    say(f"deleted {_summary(engines, graphs)}, and {counted(others, 'cache')} of TensorRT's")


def _line(entry: StoredEngine | KeptGraph, what: str) -> str:
    made = datetime.fromtimestamp(entry.modified, tz=timezone.utc).astimezone()
    return f"{entry.path.name}  {entry.size_bytes / 1e6:7.1f} MB  {made:%Y-%m-%d %H:%M}  {what}"


def _summary(engines: Sequence[StoredEngine], graphs: Sequence[KeptGraph]) -> str:
    from .console import counted

    total = sum(engine.size_bytes for engine in engines) + sum(graph.size_bytes for graph in graphs)
    return f"{counted(len(engines), 'engine')}, {counted(len(graphs), 'graph')}, {total / 1e6:.1f} MB"


def _describe_engine(entry: StoredEngine) -> str:
    if entry.path.is_dir():
        return "kept by ONNX Runtime"
    return "its manifest is missing or damaged" if entry.manifest is None else _describe(entry.manifest)


def _describe_graph(graph: KeptGraph) -> str:
    made_from = graph.made_from
    if not {"onnxruntime", "model"} <= made_from.keys():
        return "incomplete or damaged"
    model = str(made_from["model"])
    name = model if model.isprintable() else repr(model)  # an entry is a line
    return f"graph for the CPU · ONNX Runtime {made_from['onnxruntime']} · {name}"


def _describe(manifest: EngineManifest) -> str:
    from ..runtime.engines.tensorrt_library import title

    key, spec = manifest.key, manifest.spec
    sizes = " ".join(map(str, manifest.profiles))
    parts = [f"{spec.variant} {spec.precision}", f"{title(key.flavor)} {key.version}", key.gpu or "any RTX GPU", sizes]
    return " · ".join([*parts, manifest.onnx_name])


def _record(entry: StoredEngine) -> dict[str, object]:
    import json

    manifest = None if entry.manifest is None else json.loads(entry.manifest.to_json())
    return {"file": str(entry.path), "bytes": entry.size_bytes, "modified": entry.modified, "manifest": manifest}


def _graph_record(graph: KeptGraph) -> dict[str, object]:
    return {
        "file": str(graph.path),
        "bytes": graph.size_bytes,
        "modified": graph.modified,
        "made_from": dict(graph.made_from),
    }
