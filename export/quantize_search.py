"""Which layers run in INT8: all that can, less those that cost too much accuracy, measured in mIoU."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from ..datasets.calibration import CalibrationData, spread
from ..datasets.confusion import ConfusionMatrix
from ..runtime.channel_order import in_channel_order
from ..runtime.errors import ParityError
from ..runtime.spec import ChannelOrder
from .quantize import as_tensorrt_reads, calibrate, open_graph, quantizable_layers, quantize

LARGEST_LOSS = 0.5
"""Points of mIoU that INT8 may cost, against the float32 graph, where labels say what is right."""

LARGEST_DISAGREEMENT = 2.0
"""Points that the mIoU between the class maps of both may be below 100, where nobody knows what is right. Pixels that
change sides lie along outlines, where the float32 graph is wrong about as often: of the demo networks, class maps 0.5
to 0.8 points apart lose less than 0.05 points of mIoU."""

_FRAMES_PER_LAYER = 8  # on which each layer is tried alone; the result is judged on all


@dataclass(frozen=True, kw_only=True)
class QuantizationReport:
    """What was quantised, and what it costs.

    Attributes:
        source: What it was calibrated on, in words.
        calibrated: Frames calibrated on.
        validated: Other frames, on which the loss was measured.
        classes_seen: Classes that the float32 graph found in the calibration frames, bool (classes,).
        layers: Layers in INT8.
        kept_float: Layers that were put back to float32 because of what they cost, the costliest first.
        float_miou: mIoU of the float32 graph on the validation frames in percent; None without labels.
        loss: Points lost: of mIoU, or without labels of the mIoU between both graphs' class maps.
    """

    source: str
    calibrated: int
    validated: int
    classes_seen: NDArray[np.bool_]
    layers: tuple[str, ...]
    kept_float: tuple[str, ...]
    float_miou: float | None
    loss: float


def quantize_within_limit(
    graph: onnx.ModelProto,
    data: CalibrationData,
    *,
    score_layers: Collection[str],
    num_classes: int,
    channel_order: ChannelOrder,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[onnx.ModelProto, QuantizationReport]:
    """The graph in INT8, as far as it costs no more than `LARGEST_LOSS`.

    If all layers together cost more, each is tried alone, and the costliest are put back to float32 one after the
    other. Both ways in which backends read the graph are measured, and the worse counts.

    Args:
        graph: The exported graph, float32.
        data: Frames to calibrate on and to validate on.
        score_layers: Layers that stay float32 in any case.
        num_classes: Number of classes.
        channel_order: Order in which the graph takes the channels.
        progress: Called with a word for each step as it begins.

    Raises:
        ParityError: If no layer can run in INT8.
    """
    layers = quantizable_layers(graph, score_layers)
    progress("calibrating")
    ordered = [in_channel_order(frame, channel_order) for frame in data.calibration]
    calibration = calibrate(graph, layers, ordered, num_classes)
    progress("measuring what INT8 costs")
    judge = _Judge(
        graph, [in_channel_order(frame, channel_order) for frame in data.validation], data.labels, num_classes
    )
    limit = LARGEST_DISAGREEMENT if data.labels is None else LARGEST_LOSS

    def loss_with(chosen: Sequence[str]) -> float:
        return judge.loss(quantize(graph, calibration.ranges, chosen))

    kept_float: list[str] = []
    loss = loss_with(layers)
    if loss > limit:
        costs: dict[str, float] = {}
        for index, layer in enumerate(layers):
            progress(f"too much: trying each layer alone ({index + 1} of {len(layers)})")
            costs[layer] = judge.disagreement(quantize(graph, calibration.ranges, [layer]))
        for layer in sorted(layers, key=lambda name: costs[name], reverse=True):
            kept_float.append(layer)
            chosen = [name for name in layers if name not in kept_float]
            progress(f"too much: {len(chosen)} of {len(layers)} layers in INT8")
            loss = loss_with(chosen)
            if loss <= limit:
                break
    chosen = [name for name in layers if name not in kept_float]
    if not chosen:
        raise ParityError(
            f"no layer of this network runs in INT8 within {limit} points of mIoU. Calibrate on more frames of the "
            "kind it will see, or export with --precision fp16 or fp32. The file was not kept."
        )
    report = QuantizationReport(
        source=data.source,
        calibrated=len(data.calibration),
        validated=len(data.validation),
        classes_seen=calibration.classes_seen,
        layers=tuple(chosen),
        kept_float=tuple(kept_float),
        float_miou=judge.float_miou,
        loss=loss,
    )
    return quantize(graph, calibration.ranges, chosen), report


class _Judge:
    """Measures what a quantised graph loses against the float32 graph it was made from.

    Attributes:
        float_miou: mIoU of the float32 graph in percent; None without labels.
    """

    def __init__(
        self,
        graph: onnx.ModelProto,
        frames: Sequence[NDArray[np.uint8]],
        labels: Sequence[NDArray[np.uint8]] | None,
        num_classes: int,
    ) -> None:
        self._frames, self._labels, self._num_classes = frames, labels, num_classes
        self._expected = _class_maps(graph, frames)
        self.float_miou = None if labels is None else self._miou(labels, self._expected)

    def loss(self, quantized: onnx.ModelProto) -> float:
        """Points of mIoU that it loses, read in either way; without labels the `disagreement`."""
        return max(self._loss(_class_maps(form, self._frames)) for form in (quantized, as_tensorrt_reads(quantized)))

    def disagreement(self, quantized: onnx.ModelProto) -> float:
        """Points that the mIoU between the class maps of both is below 100, on a few frames and quickly."""
        few = spread(range(len(self._frames)), _FRAMES_PER_LAYER)
        class_maps = _class_maps(quantized, [self._frames[index] for index in few])
        return 100 - self._miou([self._expected[index] for index in few], class_maps, ignore_index=-1)

    def _loss(self, class_maps: Sequence[NDArray[np.uint8]]) -> float:
        if self._labels is None:
            return 100 - self._miou(self._expected, class_maps, ignore_index=-1)
        assert self.float_miou is not None
        return self.float_miou - self._miou(self._labels, class_maps)

    def _miou(
        self, truth: Sequence[NDArray[np.uint8]], found: Sequence[NDArray[np.uint8]], ignore_index: int = 255
    ) -> float:
        matrix = ConfusionMatrix(self._num_classes, ignore_index=ignore_index)
        for label, class_map in zip(truth, found, strict=True):
            matrix.update(label, class_map)
        return 100 * matrix.mean_iou("gt_present")


def _class_maps(graph: onnx.ModelProto, frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    run = open_graph(graph)
    return [run(frame)[0][0] for frame in frames]
