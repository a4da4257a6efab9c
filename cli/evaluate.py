"""`fcnrt evaluate`: accuracy of a checkpoint or an exported model on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .loading import AlignOption, ApproximateAlignOption, ClassesOption, NumClassesOption, VariantOption, load_file
from .trust import TrustOption, trust_engines

if TYPE_CHECKING:
    from ..runtime.segmenter import Segmenter

_PERCENT_METRICS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mIoU",
    "frequency_weighted_iou": "frequency-weighted IoU",
}


def evaluate(
    network: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT|MODEL", help="Weights, or what fcnrt export or fcnrt build wrote.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of labelled pictures: PASCAL VOC's folders; images and masks (PNG files of class indices, 255 "
            "is void); or portraits NAME.png with NAME_matte.png.",
            show_default=False,
        ),
    ],
    split: Annotated[
        str, typer.Option(help="Part of the data: val, train, or a list ending in .txt, such as seg11valid.txt.")
    ] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first pictures only.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: a CUDA device if there is one.")] = "auto",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the metrics and the counts.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the confusion matrix.", show_default=False)
    ] = None,
    variant: VariantOption = None,
    num_classes: NumClassesOption = None,
    align: AlignOption = None,
    approximate_align: ApproximateAlignOption = False,
    classes: ClassesOption = None,
    trust: TrustOption = False,
) -> None:
    """Measure the accuracy of a checkpoint or an exported model on labelled pictures.

    Both go through the same code, at the size of the labels, so that the figures can be compared.
    """
    from ..runtime.engines.engine_file import is_engine

    is_model = network.suffix == ".onnx" or is_engine(network)
    if is_model and (variant or num_classes or align or approximate_align or classes):
        raise typer.BadParameter(
            "--variant, --num-classes, --align, --approximate-align and --classes are for checkpoints; "
            f"{network.name} says all that itself"
        )
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"{plot.name} must end in .png", param_hint="--plot")
    from ..benchmarks.evaluate.confusion_plot import plot_confusion, require_matplotlib
    from ..benchmarks.evaluate.evaluation import Evaluation
    from ..benchmarks.evaluate.evaluation import evaluate as count_pixels
    from ..datasets.data_folder import open_data
    from ..runtime.atomic import check_outputs
    from ..runtime.segmenter import Segmenter
    from .console import say
    from .progress import progress_bar

    check_outputs([json_file, plot], inputs=[network, classes])
    if plot is not None:
        require_matplotlib()
    folder = open_data(data)
    if is_model:
        if trust:
            trust_engines([network], device)
        opened = Segmenter.open(network, device=device)
    else:
        opened = _open_checkpoint(
            network,
            device,
            variant=variant,
            num_classes=num_classes,
            align=align,
            approximate_align=approximate_align,
            classes=classes,
        )
    with opened as segmenter:
        spec = segmenter.spec
        if (other := folder.other_class(spec.class_names)) is not None:
            say(f"note: {other}")
        pictures = folder.open(split, num_classes=spec.num_classes)[:limit]
        count = len(pictures)
        title = (
            f"{network.name} · {segmenter.backend} on {segmenter.device} · {count:,} "
            f"{'picture' if count == 1 else 'pictures'} of {data} ({folder.layout}, {split})"
        )
        with progress_bar(count, "pictures/s") as advance:
            confusion = count_pixels(segmenter, pictures, on_picture=advance)
    evaluation = Evaluation(title, spec.class_names, confusion, count)
    # First what cannot fail: the work was long.
    typer.echo(evaluation.table().plain())
    metrics = evaluation.metrics()
    typer.echo("  " + "   ".join(f"{name} {100 * metrics[key]:.2f} %" for key, name in _PERCENT_METRICS.items()))
    if json_file is not None:
        evaluation.write_json(json_file)
    if plot is not None:
        plot_confusion(confusion, spec.class_names, plot, title=f"{network.name} on {data.name}, {split}")


def _open_checkpoint(path: Path, device: str, **options: Any) -> Segmenter:
    from ..export.requirements import require_export_packages

    require_export_packages("evaluating a checkpoint")
    from ..benchmarks.evaluate.evaluation import open_checkpoint_segmenter
    from .console import status

    with status("loading weights"):
        return open_checkpoint_segmenter(load_file(path, **options), device=device)
