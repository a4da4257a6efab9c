"""Loading the weights that the options of a command name, or the demo model if they name none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ..fcn_models.checkpoint import Checkpoint

# Written out again, because importing them would import torch; a test holds them against the originals.
VariantName = Literal[
    "fcn32s",
    "fcn16s",
    "fcn8s",
    "fcn8s_atonce",
    "fcn8s_vgg16_bnhead",
    "fcn8s_concat",
    "fcn32s_resnet18",
    "fcn_resnet50",
    "fcn_resnet101",
    "unet",
    "linknet",
]
AlignName = Literal["same", "caffe"]
WeightsName = Literal["vgg16-imagenet", "voc", "voc-caffe", "voc-chainer", "coco"]

VariantOption = Annotated[
    VariantName | None, typer.Option(help="Network, if the checkpoint does not say.", show_default=False)
]
NumClassesOption = Annotated[
    int | None, typer.Option(min=2, max=256, help="Number of classes, if the weights do not say.")
]
AlignOption = Annotated[
    AlignName | None,
    typer.Option(help="Padding scheme; chosen by the checkpoint's origin unless given.", show_default=False),
]
ClassesOption = Annotated[
    Path | None,
    typer.Option(help="Text file with the names of the classes, one per line: NAME or NAME #rrggbb.", dir_okay=False),
]
ApproximateAlignOption = Annotated[
    bool,
    typer.Option(
        "--approximate-align",
        help="Run weights trained with caffe's padding with the cheaper same padding (or the other way, with "
        "--align): close to the original, not equal to it.",
    ),
]

_DEMO_VARIANTS = ("fcn32s", "fcn16s", "fcn8s")


def load_file(
    path: Path,
    *,
    variant: str | None,
    num_classes: int | None = None,
    align: str | None = None,
    approximate_align: bool = False,
    classes: Path | None = None,
) -> Checkpoint:
    """The checkpoint in a file; says what had to be assumed about it.

    Raises:
        CheckpointError: If it cannot be loaded, or would run with another alignment than it was trained with and that
            was not asked for.
    """
    from ..fcn_models.checkpoint import load_checkpoint
    from ..fcn_models.class_file import with_classes
    from ..runtime.errors import CheckpointError
    from .console import say

    if approximate_align and align is None:
        align = "same"
    checkpoint = load_checkpoint(path, variant=variant, align=align, num_classes=num_classes)
    if checkpoint.approximated_align is not None and not approximate_align:
        raise CheckpointError(
            f"{path.name} was trained with {checkpoint.approximated_align} alignment ({checkpoint.layout}); with "
            f"{align} its results would only be approximate. Leave --align out, or accept it with --approximate-align."
        )
    if checkpoint.assumption is not None:
        say(f"note: {path.name} is {checkpoint.assumption}")
    return checkpoint if classes is None else with_classes(checkpoint, classes)


def fetch_weights(weights: WeightsName, variant: str | None) -> tuple[Path, str | None]:
    """The file of published weights, downloaded if it is not there, and the variant to load from it."""
    from ..fcn_models.weights import fetch
    from .console import download_bar

    if weights == "vgg16-imagenet":
        variant = variant or "fcn8s"
        name: str = weights
    else:
        variant = variant or ("fcn_resnet50" if weights == "coco" else "fcn8s")
        name = f"{weights}-{variant}"
    with download_bar() as bar:
        return fetch(name, progress=bar), variant


def load_demo(variant: str | None) -> Checkpoint:
    """The bundled demo weights."""
    from ..export.demo import demo_checkpoint

    if variant is not None and variant not in _DEMO_VARIANTS:
        raise typer.BadParameter(
            f"there are no demo weights for {variant}, only for {', '.join(_DEMO_VARIANTS)}; give --checkpoint FILE or "
            "--weights"
        )
    return demo_checkpoint(variant or "fcn8s")


def demo_model_file() -> Path:
    """The demo model as an exported file; exporting it, on first use, shows a spinner."""
    from ..export.demo import demo_model
    from .console import status

    with status("exporting the demo model, once"):
        return demo_model()
