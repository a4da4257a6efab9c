"""`fcnrt pack`: a folder to hand over to whoever builds the model into a product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..export.pack.golden_pack import GoldenPack


def pack(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="File written by fcnrt export.")],
    engines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="ENGINE", help="TensorRT engines built from it, to pack too.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to write; an earlier pack is replaced. By default MODEL.fcnrt in the current folder.",
            show_default=False,
        ),
    ] = None,
    frame: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE",
            help="Picture to take a test frame from; repeat it for more. By default three scenes are drawn.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Pack a model with all that is needed to build it into a product, and to prove that it works there.

    The folder holds the model, its classes and colours as a C++ header and as a table, test frames with the class maps
    to expect, checksums, and ten lines of instructions.
    """
    from ..export.pack.golden_pack import write_pack
    from .console import say, status

    folder = output or Path(f"{model.stem}.fcnrt")
    with status(f"packing {model.name}"):
        done = write_pack(model, folder, engines=engines or (), pictures=frame or ())
    for line in _describe(done):
        say(line)
    typer.echo(str(folder))


def _describe(pack: GoldenPack) -> list[str]:
    lines = [
        f"{' · '.join((pack.model, *pack.engines))} · {pack.spec.num_classes} classes",
        f"  expected  from {pack.expected_from}",
    ]
    lines += [
        f"  frame     {frame.name}: {frame.classes} class{'' if frame.classes == 1 else 'es'}" for frame in pack.frames
    ]
    if all(frame.classes == 1 for frame in pack.frames):
        lines.append(
            "  warning   the network finds one class only in each frame, so they prove little; give pictures that it "
            "was trained for: --frame IMAGE"
        )
    return lines
