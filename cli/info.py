"""`fcnrt info`: everything an exported file, an engine or a checkpoint says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .card import Card, class_count, print_card, size_text
from .checkpoint_info import checkpoint_card, checkpoint_json
from .loading import VariantName

if TYPE_CHECKING:
    from ..runtime.onnx_header import OnnxHeader


def info(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|CHECKPOINT", help="File written by fcnrt export or fcnrt build, or weights to export."
        ),
    ],
    variant: Annotated[
        VariantName | None,
        typer.Option(help="Network of a checkpoint that does not tell it.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for programs to read.")] = False,
) -> None:
    """Print what an exported model takes, returns and was made from, or how a checkpoint will be understood."""
    from ..runtime.checkpoint_mark import is_checkpoint

    if is_checkpoint(model):
        _checkpoint_info(model, variant, as_json)
        return
    from ..runtime.engines.engine_file import is_engine

    if is_engine(model):
        _engine_info(model, as_json)
        return
    from ..runtime.onnx_header import read_onnx_header

    header = read_onnx_header(model)
    if as_json:
        typer.echo(_json(model, header))
    else:
        title = f"{header.spec.variant} · {size_text(header.file_bytes)}"
        print_card(Card(model.name, title, _rows(header), header.spec.class_names, header.spec.palette))


def _checkpoint_info(path: Path, variant: VariantName | None, as_json: bool) -> None:
    from ..export.requirements import require_export_packages

    require_export_packages("reading a checkpoint")
    from ..fcn_models.checkpoint import load_checkpoint
    from .console import status

    with status("loading weights"):
        checkpoint = load_checkpoint(path, variant=variant)
    if as_json:
        typer.echo(checkpoint_json(path, checkpoint))
    else:
        print_card(checkpoint_card(path, checkpoint))


def _engine_info(path: Path, as_json: bool) -> None:
    from ..runtime.engines.manifest import check_size, read_manifest
    from .engine_info import engine_card, engine_json

    manifest = read_manifest(path)
    check_size(path, manifest)
    if as_json:
        typer.echo(engine_json(path, manifest))
    else:
        print_card(engine_card(path, manifest))


def _json(model: Path, header: OnnxHeader) -> str:
    import json
    from dataclasses import asdict

    return json.dumps({"file": str(model), **asdict(header)}, ensure_ascii=False)


def _rows(header: OnnxHeader) -> list[tuple[str, str]]:
    spec = header.spec
    scale = spec.activation_scale_log2
    scaled = f", activations scaled by 2^{scale} (results are not affected)" if scale else ""
    return [
        *(("input", f"{tensor} {spec.channel_order.upper()}") for tensor in header.inputs),
        *(("output", str(tensor)) for tensor in header.outputs),
        *((("overlay", _overlay(spec.overlay_opacity)),) if spec.overlay_opacity is not None else ()),
        ("precision", f"{spec.precision}{scaled}"),
        *((("works at", _infer_size(spec.infer_size)),) if spec.infer_size is not None else ()),
        ("preprocess", f"inside the graph ({spec.preprocessing}): pass raw bytes, any size from 1x1"),
        ("alignment", spec.align),
        ("opset", str(spec.opset)),
        ("source", spec.source),
        ("checkpoint", f"sha256 {spec.checkpoint_sha256}"),
        ("written by", f"fcnrt {spec.fcnrt_version}"),
        ("classes", class_count(spec.num_classes, sigmoid=spec.sigmoid)),
    ]


def _overlay(opacity: float) -> str:
    return f"the frame with the class colours over it, opacity {opacity:g}; class 0 shows the frame as it is"


def _infer_size(text: str) -> str:
    inside = text if "x" in text else f"a short side of {text} or less"
    return f"{inside}, resized inside the graph; the class map has the frame's size"
