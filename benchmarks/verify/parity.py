"""Is the deployed model still the PyTorch model? Every stage of a deployment, frame by frame, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...datasets.confusion import ConfusionMatrix
from ...export.reference import require_finite
from ...runtime.errors import InferenceError
from ...runtime.spec import ImageSize, Precision
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
    """

    name: str
    segment: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    precision: Precision
    checkpoint_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Parity:
    """The verdict over a deployment.

    Attributes:
        hops: The way from PyTorch to the deployed model, in order; each was compared with PyTorch itself.
        reference_accuracy: PyTorch against the ground truth; None without ground truth.
        class_names: One name per class.
    """

    hops: tuple[Hop, ...]
    reference_accuracy: ConfusionMatrix | None
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
        HopTally(f"{last} -> {stage.name}", stage.precision, names, stage.checkpoint_sha256)
        for last, stage in zip(before, stages, strict=False)
    ]
    accuracy: ConfusionMatrix | None = None
    for frame in frames:
        progress(frame.name)
        logits = reference.logits(frame.image)
        require_finite(logits, frame.name)
        half_logits = reference.half_logits(frame.image)
        if frame.label is not None:
            accuracy = accuracy or ConfusionMatrix(len(names))
            accuracy.update(frame.label, logits.argmax(0))
        for stage, tally in zip(stages, tallies, strict=True):
            try:
                class_map = stage.segment(frame.image)
            except InferenceError as exc:
                tally.add_failure(frame.name, ImageSize(*frame.image.shape[:2]), str(exc))
                continue
            tally.add(Evidence(frame.name, frame.image, class_map), logits, label=frame.label, half_logits=half_logits)
    return Parity(
        hops=tuple(tally.finish(accuracy) for tally in tallies), reference_accuracy=accuracy, class_names=names
    )
