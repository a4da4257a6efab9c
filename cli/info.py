"""`fcnrt info`: everything an exported file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ..runtime.onnx_header import OnnxHeader


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="File written by fcnrt export.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for programs to read.")] = False,
) -> None:
    """Print what an exported model takes, returns and was made from; needs no backend."""
    from rich.console import Console

    from ..runtime.onnx_header import read_onnx_header

    header = read_onnx_header(model)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if as_json:
        typer.echo(_json(model, header))
    elif console.is_terminal:
        _print_rich(console, model, header)
    else:
        _print_plain(model, header)


def _json(model: Path, header: OnnxHeader) -> str:
    import json
    from dataclasses import asdict

    return json.dumps({"file": str(model), **asdict(header)}, ensure_ascii=False)


def _print_plain(model: Path, header: OnnxHeader) -> None:
    typer.echo(f"{model.name} · {_title(header)}")
    for label, value in _rows(header):
        typer.echo(f"  {label:<12}{value}")
    for index, (name, color) in enumerate(zip(header.spec.class_names, header.spec.palette, strict=True)):
        typer.echo(f"  {index:>5}  #{bytes(color).hex()}  {name}")


def _print_rich(console: Console, model: Path, header: OnnxHeader) -> None:
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text.assemble((model.name, "bold"), f" · {_title(header)}"))
    for label, value in _rows(header):
        console.print(Text.assemble("  ", (f"{label:<12}", "dim"), value))
    swatches = [
        Text.assemble((f"{index:>3} ", "dim"), ("██", f"#{bytes(color).hex()}"), f" {name}")
        for index, (name, color) in enumerate(zip(header.spec.class_names, header.spec.palette, strict=True))
    ]
    console.print(Padding(Columns(swatches, padding=(0, 2), column_first=True), (0, 0, 0, 2)), soft_wrap=False)


def _title(header: OnnxHeader) -> str:
    return f"{header.spec.variant} · {_size(header.file_bytes)}"


def _rows(header: OnnxHeader) -> list[tuple[str, str]]:
    spec = header.spec
    scale = spec.activation_scale_log2
    scaled = f", activations scaled by 2^{scale} (results are not affected)" if scale else ""
    return [
        *(("input", f"{tensor} {spec.channel_order.upper()}") for tensor in header.inputs),
        *(("output", str(tensor)) for tensor in header.outputs),
        ("precision", f"{spec.precision}{scaled}"),
        ("preprocess", f"inside the graph ({spec.preprocessing}): pass raw bytes, any size from 1x1"),
        ("alignment", spec.align),
        ("opset", str(spec.opset)),
        ("source", spec.source),
        ("checkpoint", f"sha256 {spec.checkpoint_sha256}"),
        ("written by", f"fcnrt {spec.fcnrt_version}"),
        ("classes", str(spec.num_classes)),
    ]


def _size(file_bytes: int) -> str:
    if file_bytes < 1_000_000:
        return f"{file_bytes / 1e3:.1f} kB"
    return f"{file_bytes / 1e6:.1f} MB"
