"""`fcnrt convert`: a checkpoint of any supported layout becomes one that describes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .loading import ClassesOption, VariantOption, load_file


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Weights of any supported layout (fcnrt info CHECKPOINT).")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors", help="File to write.")],
    variant: VariantOption = None,
    classes: ClassesOption = None,
) -> None:
    """Write a checkpoint as safetensors that needs no options: variant, pre-processing and classes are in it."""
    if output.suffix != ".safetensors":
        raise typer.BadParameter(f"{output.name} must end in .safetensors", param_hint="--output")

    from ..export.requirements import require_export_packages

    require_export_packages("converting a checkpoint")
    from ..fcn_models.checkpoint import save_checkpoint
    from ..runtime.atomic import refuse_to_overwrite
    from .console import say, status

    refuse_to_overwrite([checkpoint, classes], [output])
    with status("loading weights") as progress:
        loaded = load_file(checkpoint, variant=variant, classes=classes)
        progress("writing")
        save_checkpoint(
            loaded.model,
            output,
            preprocessing=loaded.preprocessing,
            class_names=loaded.class_names,
            palette=loaded.palette,
            notes={**loaded.notes, "source": loaded.source, "layout": loaded.layout, "source_sha256": loaded.sha256},
            dtype="float32",
        )
    config = loaded.model.config
    say(f"{config.variant} · {loaded.source}: {loaded.layout}, {config.num_classes} classes, {config.align} alignment")
    typer.echo(output)
