"""`Evaluation`: how well a network does on labelled pictures, whether it is a checkpoint or an exported model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.confusion import ConfusionMatrix
from ...datasets.labeled_image import LabeledImage
from ...datasets.survey import nothing_labelled
from ...runtime.atomic import write_text
from ...runtime.segmenter import Segmenter
from ..bench.tables import Table
from ..route_runner import RouteRunner

if TYPE_CHECKING:
    from ...fcn_models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over a whole data set, at the size of its labels.

    Attributes:
        title: What was evaluated on what.
        class_names: One name per class.
        confusion: Counts of all pictures together; void is not counted.
        pictures: Number of pictures.
    """

    title: str
    class_names: tuple[str, ...]
    confusion: ConfusionMatrix
    pictures: int

    def metrics(self) -> dict[str, float]:
        """The paper's four metrics (section 5), 0..1; NaN where nothing was labelled.

        ``mean_iou`` is over the classes that are true or predicted somewhere, as in the authors' score.py;
        ``mean_iou_gt_present`` over those that are true somewhere.
        """
        confusion = self.confusion
        return {
            "pixel_accuracy": confusion.pixel_accuracy(),
            "mean_accuracy": confusion.mean_accuracy(),
            "mean_iou": confusion.mean_iou(),
            "mean_iou_gt_present": confusion.mean_iou("gt_present"),
            "frequency_weighted_iou": confusion.frequency_weighted_iou(),
        }

    def table(self) -> Table:
        """The classes that occur, in percent; a class that is only predicted has no accuracy."""
        counts = self.confusion.counts
        true, predicted, hits, iou = counts.sum(1), counts.sum(0), np.diag(counts), self.confusion.iou()
        rows = [
            (
                name,
                _percent(iou[index]),
                _percent(hits[index] / true[index] if true[index] else np.nan),
                _percent(true[index] / counts.sum()),
            )
            for index, name in enumerate(self.class_names)
            if true[index] or predicted[index]
        ]
        return Table(self.title, ("class", "IoU %", "accuracy %", "pixels %"), tuple(rows))

    def write_json(self, path: Path) -> None:
        """Write the metrics, the classes and the matrix, rows being true classes; what is undefined is null.

        Raises:
            OutputError: If the file cannot be written.
        """
        document = {
            "title": self.title,
            "pictures": self.pictures,
            "metrics": {name: _finite(value) for name, value in self.metrics().items()},
            "iou": {name: _finite(value) for name, value in zip(self.class_names, self.confusion.iou(), strict=True)},
            "class_names": self.class_names,
            "confusion": self.confusion.counts.tolist(),
        }
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def open_checkpoint_segmenter(checkpoint: Checkpoint, *, device: str) -> Segmenter:
    """A checkpoint in PyTorch, behind the interface of an exported model.

    Args:
        checkpoint: The network.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if PyTorch has one.

    Raises:
        DeviceError: If PyTorch has no such device.
    """
    from ...export.model_spec import spec_of
    from ...fcn_models.preprocessing import PREPROCESSING
    from ..torch_runner import TorchRunner, torch_device

    place = torch_device(device)
    route = TorchRunner(checkpoint.model, PREPROCESSING[checkpoint.preprocessing], device=place)
    return Segmenter(RouteRunner(route, spec_of(checkpoint), backend="pytorch", device=place))


def evaluate(
    segmenter: Segmenter, pictures: Iterable[LabeledImage], *, on_picture: Callable[[], None] = lambda: None
) -> ConfusionMatrix:
    """Count every pixel of every picture in one matrix.

    Args:
        segmenter: The network.
        pictures: RGB pictures with their labels; read one after the other.
        on_picture: Called after each.

    Raises:
        DatasetError: If a picture or a label cannot be read, or holds labels that are no classes of the network; or if
            nothing is labelled but void.
        InferenceError: If the network fails.
    """
    confusion = ConfusionMatrix(segmenter.spec.num_classes)
    count = 0
    for picture in pictures:
        confusion.update(picture.label, segmenter(_frame(picture.image, segmenter)))
        count += 1
        on_picture()
    if not confusion.counts.any():
        raise nothing_labelled(count)
    return confusion


def _frame(image: NDArray[np.uint8], segmenter: Segmenter) -> NDArray[np.uint8]:
    # A copy: PyTorch minds pictures that cannot be written.
    return np.array(image if segmenter.spec.channel_order == "rgb" else image[..., ::-1], order="C")


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def _finite(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
