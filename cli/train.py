"""`fcnrt train`: a network learns the user's classes from labelled pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import counted, download_bar, fraction_bar, say, status
from .parsing import parsed

if TYPE_CHECKING:
    from ..datasets.labeled_files import LabeledFiles
    from ..fcn_models.checkpoint_metadata import Palette
    from ..training.module import Round
    from ..training.plan import Plan, Resolved
    from ..training.start import Start

# Written out again, because importing them would import torch; a test holds them against the originals.
TrainedVariant = Literal["fcn32s", "fcn16s", "fcn8s"]
RecipeName = Literal["paper", "poly", "scratch"]
PrecisionName = Literal["fp32", "bf16", "fp16"]

_VGG16, _NONE = "vgg16-imagenet", "none"
_EPOCHS = 50
_PAPER_FC_CHANNELS = 4096
_NEVER_SEEN_LISTED = 5


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of labelled pictures: PASCAL VOC's folders; images and masks (PNG files of class indices, 255 "
            "is void) under the same names; or portraits NAME.png with NAME_matte.png.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for weights, curves and sample pictures.")
    ] = Path("trained"),
    variant: Annotated[TrainedVariant, typer.Option(help="Network.")] = "fcn8s",
    init: Annotated[
        str,
        typer.Option(
            metavar="vgg16-imagenet|CHECKPOINT|none",
            help="Weights to start from: VGG16 (downloaded once), a checkpoint (of the previous stage: FCN-16s starts "
            "from FCN-32s, FCN-8s from FCN-16s), or none.",
        ),
    ] = _VGG16,
    recipe: Annotated[
        RecipeName | None,
        typer.Option(
            help="paper: the authors' solver. poly: cut-outs in larger batches, the learning rate falls. scratch: for "
            "--init none, with batch normalisation that is folded afterwards. poly unless given, scratch with "
            "--init none.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file with the names of the classes, the background first, one per line: NAME or NAME #rrggbb. "
            "PASCAL VOC's and portraits' are known.",
            dir_okay=False,
        ),
    ] = None,
    train_split: Annotated[
        str, typer.Option(metavar="NAME|LIST.txt", help="Pictures to learn from: a split, or a list of names.")
    ] = "train",
    val_split: Annotated[
        str, typer.Option(metavar="NAME|LIST.txt", help="Pictures to validate on, for example seg11valid.txt.")
    ] = "val",
    sbd: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Learn from the Semantic Boundaries Dataset in this folder instead of --train-split, without the "
            "pictures validated on.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help=f"How often each picture is seen; {_EPOCHS} unless given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to take, instead of --epochs.")] = None,
    validate_every: Annotated[
        int | None, typer.Option(min=1, metavar="STEPS", help="Steps between validations; an epoch unless given.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures per step and device; the recipe's unless given.")
    ] = None,
    lr: Annotated[float | None, typer.Option(min=0.0, help="Learning rate; the recipe's unless given.")] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="HxW", help="Size of the cut-outs to learn from; the recipe's unless given.")
    ] = None,
    width: Annotated[
        float, typer.Option(help="With --init none: multiplies the channels of VGG16; less is a slim, fast network.")
    ] = 1.0,
    fc_channels: Annotated[
        int, typer.Option(min=1, help="With --init none: channels of fc6 and fc7.")
    ] = _PAPER_FC_CHANNELS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in the output folder; same options as before.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides on everything random.")] = 0,
    precision: Annotated[
        PrecisionName, typer.Option(help="What convolutions compute in; bf16 and fp16 (GPUs only) are mixed precision.")
    ] = "fp32",
    devices: Annotated[int, typer.Option(min=1, help="GPUs of this machine (CPU processes without any).")] = 1,
    machines: Annotated[
        int, typer.Option(min=1, help="Machines; a launcher (torchrun, SLURM) runs this command on each.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes per device that read pictures.")] = 2,
) -> None:
    """Train FCN-32s, FCN-16s or FCN-8s on your classes, as the paper did.

    After each validation the output folder holds best.safetensors and last.safetensors (fcnrt export --checkpoint takes
    them), last.ckpt (for --resume), history.csv, history.png and samples.png.
    """
    if epochs is not None and steps is not None:
        raise typer.BadParameter("give --epochs or --steps, not both")
    if init != _NONE and (width != 1 or fc_channels != _PAPER_FC_CHANNELS):
        raise typer.BadParameter("--width and --fc-channels go with --init none; other weights have their own")
    if lr is not None and not math.isfinite(lr):
        raise typer.BadParameter(f"{lr:g} is no learning rate; give a number, 0 or more", param_hint="--lr")
    from ..runtime.spec import ImageSize

    size = None if crop is None else parsed("--crop", crop, ImageSize.parse)

    from ..training.requirements import require_training_packages

    require_training_packages()
    from lightning.pytorch.utilities import rank_zero_only

    from ..training.plan import Plan
    from ..training.recipe import RECIPES
    from ..training.run_folder import STATE, check_folder
    from ..training.train import train as run_training

    check_folder(output, resume=resume)  # before the pictures are checked, which takes a while
    # Of several processes one checks the pictures, shows bars and tells how it goes.
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # set from outside, when Lightning is imported
    tell = rank_zero_only(say)
    train_pictures, val_pictures, names, palette = _open(data, classes, train_split, val_split, sbd)
    with status("loading weights") if is_first else nullcontext():
        start = _start(init, variant, names, palette, width=width, fc_channels=fc_channels, seed=seed)
    plan = Plan(
        recipe=RECIPES[recipe or ("scratch" if init == _NONE else "poly")],
        epochs=(epochs or _EPOCHS) if steps is None else None,
        steps=steps,
        validate_every=validate_every,
        batch_size=batch_size,
        lr=lr,
        crop=size,
        seed=seed,
        precision=precision,
        devices=devices,
        machines=machines,
        workers=workers,
    )
    resolved = plan.resolved(start, len(train_pictures))
    tell(f"{variant} · {len(names)} classes · {start.origin}")
    tell(f"  recipe    {_describe(plan, resolved)}")
    if is_first:
        say(f"  pictures  {_survey(train_pictures, val_pictures, names)}")
    try:
        with fraction_bar("training", shown=is_first) as bar:
            run_training(
                start,
                train_pictures,
                val_pictures,
                output,
                plan,
                resume=resume,
                on_step=lambda step, loss: bar(step / resolved.steps, f"{step:,}/{resolved.steps:,} · loss {loss:.4g}"),
                on_round=lambda found, is_best: tell(_line(found, resolved, is_best=is_best)),
            )
    except KeyboardInterrupt:
        if (output / STATE).is_file():
            tell("  resume    the same command with --resume goes on from the last validation")
        raise
    tell(f"  next      fcnrt export --checkpoint {output / 'best.safetensors'}")
    rank_zero_only(typer.echo)(output / "best.safetensors")


def _open(
    root: Path, classes: Path | None, train_split: str, val_split: str, sbd: Path | None
) -> tuple[LabeledFiles, LabeledFiles, tuple[str, ...], Palette]:
    """Training and validation pictures, and names and colours of their classes."""
    from ..datasets.data_folder import open_data
    from ..datasets.sbd import sbd_train
    from ..fcn_models.class_file import read_class_file
    from ..fcn_models.voc import voc_palette
    from ..runtime.errors import DatasetError

    found = open_data(root)
    if classes is not None:
        names, palette = read_class_file(classes)
    elif found.class_names is not None:
        names, palette = found.class_names, voc_palette()[: len(found.class_names)]
    else:
        raise DatasetError(f"{root} ({found.layout}) does not tell its classes; name them with --classes FILE")
    if len(names) < 2:
        raise DatasetError(f"{classes} names fewer than 2 classes; the background is one of them")
    val = found.open(val_split, num_classes=len(names))
    if sbd is None:
        return found.open(train_split, num_classes=len(names)), val, names, palette
    return sbd_train(sbd, num_classes=len(names), without={pair.name for pair in val.pairs}), val, names, palette


def _start(
    init: str,
    variant: TrainedVariant,
    names: tuple[str, ...],
    palette: Palette,
    *,
    width: float,
    fc_channels: int,
    seed: int,
) -> Start:
    from ..fcn_models.weights import fetch
    from ..training.start import from_checkpoint, from_scratch

    if init == _NONE:
        try:
            return from_scratch(variant, names, palette, width=width, fc_channels=fc_channels, seed=seed)
        except ValueError as exc:
            raise typer.BadParameter(str(exc), param_hint="--width") from exc
    if init != _VGG16:
        return from_checkpoint(Path(init), variant, names, palette)
    with download_bar() as bar:
        path = fetch(_VGG16, progress=bar)
    return from_checkpoint(path, variant, names, palette)


def _describe(plan: Plan, resolved: Resolved) -> str:
    if resolved.crop is None:
        batch = "one whole picture"
    else:
        batch = f"{counted(resolved.batch_size, 'cut-out')} of {resolved.crop}"
    return (
        f"{plan.recipe.name} · {counted(resolved.steps, 'step')} of {batch} · learning rate {resolved.lr:g} · "
        f"validation every {counted(resolved.round_steps, 'step')}"
    )


def _survey(train_pictures: LabeledFiles, val_pictures: LabeledFiles, names: Sequence[str]) -> str:
    """Read every picture once, so that a bad one is named now and not in the middle of the night."""
    from ..datasets.survey import count_labels
    from .progress import progress_bar

    with progress_bar(len(train_pictures) + len(val_pictures), "pictures/s") as advance:
        seen = count_labels(train_pictures, len(names), purpose=" to learn from", on_picture=advance)
        count_labels(val_pictures, len(names), purpose=" to validate on", on_picture=advance)
    text = f"{len(train_pictures):,} to learn from, {len(val_pictures):,} to validate on, all readable"
    shared = {pair.image for pair in train_pictures.pairs} & {pair.image for pair in val_pictures.pairs}
    if shared:
        text += f"; {len(shared):,} of these are learned from, too: scores will be too good"
    missing = [name for name, pixels in zip(names, seen, strict=True) if not pixels]
    if missing:
        more = len(missing) - _NEVER_SEEN_LISTED
        text += f"; none shows {', '.join(missing[:_NEVER_SEEN_LISTED])}{f' and {more} more' if more > 0 else ''}"
    return text


def _line(found: Round, resolved: Resolved, *, is_best: bool) -> str:
    digits = len(f"{resolved.steps:,}")
    return (
        f"  step {found.step:>{digits},}/{resolved.steps:,} · epoch {found.epoch:.1f} · "
        f"loss {found.train_loss:.3f}, val {found.val_loss:.3f} · accuracy {100 * found.pixel_accuracy:.1f} % · "
        f"mIoU {100 * found.mean_iou:.1f} %{' (best)' if is_best else ''}"
    )
