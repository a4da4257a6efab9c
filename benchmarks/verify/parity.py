"""Is the deployed model still the PyTorch model? Every stage of a deployment, frame by frame, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...export.decision import per_class
from ...export.reference import require_finite
from ...runtime.channel_order import in_channel_order
from ...runtime.errors import InferenceError
from ...runtime.further_outputs import output_faults
from ...runtime.segmenter import Prediction, Segmenter
from ...runtime.spec import ImageSize, OutputName, Precision
from .flip_margins import tie_limit
from .hop import Evidence, Hop, HopTally
from .reference import Reference


@dataclass(frozen=True, eq=False)
class ParityFrame:
    """A frame to compare on.

    Attributes:
        name: What reports call it.
        image: uint8 (H, W, 3), RGB.
        label: True classes, uint8 (H, W), 255 where nothing is known; None if there is no ground truth.
    """

    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Stage:
    """One form of the network on its way from PyTorch to the deployed machine.

    Attributes:
        name: What reports call it: ``fp32 graph``, ``engine``.
        segment: RGB frame, uint8 (H, W, 3), to class map, uint8 (H, W).
        precision: What it computes in.
        checkpoint_sha256: Hash of the checkpoint that it says it was made from; None if it does not say.
        onnx: Its ONNX file; None if it has none.
        further: What to ask instead of `segment` if there are outputs besides the class map, which are compared too.
    """

    name: str
    segment: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    precision: Precision
    checkpoint_sha256: str | None = None
    onnx: Path | None = None
    further: Segmenter | None = None


@dataclass(frozen=True, eq=False)
class Parity:
    """The verdict over a deployment.

    Attributes:
        hops: The way from PyTorch to the deployed model, in order; each was compared with PyTorch itself.
        class_names: One name per class.
    """

    hops: tuple[Hop, ...]
    class_names: tuple[str, ...]

    @property
    def broken(self) -> Hop | None:
        """The first hop after which the model is no longer PyTorch's; None if there is none."""
        return next((hop for hop in self.hops if hop.objections), None)

    @property
    def passed(self) -> bool:
        """Whether the deployed model is still the PyTorch model."""
        return self.broken is None


def check_parity(
    reference: Reference,
    stages: Sequence[Stage],
    frames: Iterable[ParityFrame],
    *,
    progress: Callable[[str], None] = lambda name: None,
) -> Parity:
    """Run every stage on every frame and compare it with PyTorch.

    Args:
        reference: The PyTorch module.
        stages: Its descendants, in the order in which they were made from each other.
        frames: What to compare on; they are taken one at a time.
        progress: Told the name of each frame as it begins.

    Raises:
        ParityError: If PyTorch's own logits are NaN or infinite on a frame.
    """
    names = reference.checkpoint.class_names
    before = ["PyTorch", *(stage.name for stage in stages)]
    tallies = [
        HopTally(f"{last} -> {stage.name}", stage.precision, names, stage.checkpoint_sha256, stage.onnx)
        for last, stage in zip(before, stages, strict=False)
    ]
    for frame in frames:
        progress(frame.name)
        logits = reference.logits(frame.image)
        require_finite(logits, frame.name)
        half_logits = reference.half_logits(frame.image)
        for stage, tally in zip(stages, tallies, strict=True):
            try:
                prediction = _predict(stage, frame.image)
            except InferenceError as exc:
                tally.add_failure(frame.name, ImageSize(*frame.image.shape[:2]), str(exc))
                continue
            evidence = Evidence(frame.name, frame.image, prediction.class_map)
            tally.add(evidence, logits, label=frame.label, half_logits=half_logits)
            if stage.further is not None and prediction.class_map.shape == logits.shape[1:]:
                limit = tie_limit(logits, stage.precision, half_logits) / 2  # two logits move, each by half of it
                tally.add_outputs(_output_faults(stage.further, frame.image, prediction, logits, limit))
    return Parity(hops=tuple(tally.finish() for tally in tallies), class_names=names)


def _predict(stage: Stage, rgb: NDArray[np.uint8]) -> Prediction:
    if stage.further is None:
        return Prediction(stage.segment(rgb))
    return stage.further.predict(in_channel_order(rgb, stage.further.spec.channel_order))


def _output_faults(
    segmenter: Segmenter,
    rgb: NDArray[np.uint8],
    prediction: Prediction,
    logits: NDArray[np.float32],
    limit: float,
) -> dict[OutputName, NDArray[np.bool_]]:
    spec = segmenter.spec
    if prediction.logits is not None:
        prediction = replace(prediction, logits=per_class(prediction.logits))
    frame = in_channel_order(rgb, spec.channel_order)
    return output_faults(prediction, frame, spec, logits=logits, logit_limit=limit)
