"""The outputs besides the class map, and what they must be: they follow from the logits, the frame and its class map.

Needs numpy alone, as the self-test does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .spec import ImageSize, ModelSpec, OutputName

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .segmenter import Prediction

_EVERY = 8  # rows and columns of which one of the expected confidence is kept: a 64th of the class map's size


@dataclass(frozen=True, eq=False)
class ExpectedOutputs:
    """What PyTorch computes for a frame besides the class map, in short.

    Attributes:
        logit_limit: How far a logit may be off.
        logit_means: Mean of each channel of the logits, float64 (channels,).
        confidence: Every eighth pixel of every eighth row, uint8.
    """

    logit_limit: float
    logit_means: NDArray[np.float64]
    confidence: NDArray[np.uint8]

    @classmethod
    def of(cls, logits: NDArray[np.float32], logit_limit: float) -> ExpectedOutputs:
        """What follows from PyTorch's logits, float32 (channels, H, W)."""
        confidence = expected_confidence(logits)[::_EVERY, ::_EVERY].round().astype(np.uint8)
        return cls(logit_limit, logits.mean((1, 2), dtype=np.float64), confidence)

    @staticmethod
    def sampled(size: ImageSize) -> tuple[int, int]:
        """Rows and columns that are kept of a confidence of a size."""
        return -(-size.height // _EVERY), -(-size.width // _EVERY)


def expected_confidence(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """255 times the probability of each pixel's class, not rounded, float64 (H, W).

    Args:
        logits: float32 (classes, H, W), or (1, H, W) of a network with one score for two classes.
    """
    if len(logits) == 1:
        total = 1 + np.exp(-np.abs(logits[0]), dtype=np.float64)
    else:
        total = np.exp(logits - logits.max(0), dtype=np.float64).sum(0)  # the most probable class has odds of 1
    return np.asarray(255 / total, np.float64)


def output_faults(
    prediction: Prediction,
    frame: NDArray[np.uint8],
    spec: ModelSpec,
    *,
    logits: NDArray[np.float32] | None,
    logit_limit: float = 0.0,
) -> dict[OutputName, NDArray[np.bool_]]:
    """Where each output besides the class map is not what it must be, bool (H, W); without those nothing is known of.

    Args:
        prediction: What the network returns for the frame.
        frame: uint8 (H, W, 3), in the network's order of channels.
        spec: What the model says about itself.
        logits: What the prediction's must be, float32 (channels, H, W), and its confidence must follow from; None if
            that is not known.
        logit_limit: How far a logit may be off.
    """
    faults: dict[OutputName, NDArray[np.bool_]] = {}
    if prediction.confidence is not None and logits is not None:
        limit = confidence_limit(logit_limit)
        faults["confidence"] = _apart(prediction.confidence, expected_confidence(logits), limit)
    if prediction.logits is not None and logits is not None:
        faults["logits"] = np.asarray(_apart(prediction.logits, logits, logit_limit).any(0))
    if prediction.overlay is not None and spec.overlay_opacity is not None:
        painted = _painted(frame, prediction.class_map, spec, spec.overlay_opacity)
        faults["overlay"] = np.asarray(_apart(prediction.overlay, painted, 1).any(-1))
    return faults


def self_test_faults(
    prediction: Prediction,
    frame: NDArray[np.uint8],
    spec: ModelSpec,
    *,
    firm: NDArray[np.bool_],
    expected: ExpectedOutputs | None,
) -> dict[OutputName, NDArray[np.bool_]]:
    """As `output_faults`, where PyTorch's logits are not at hand: held against each other, and against what is kept.

    Args:
        prediction: What the network returns for the frame.
        frame: uint8 (H, W, 3), in the network's order of channels.
        spec: What the model says about itself.
        firm: Where the class is clear, bool (H, W).
        expected: What was kept; None if nothing was.
    """
    faults = output_faults(prediction, frame, spec, logits=prediction.logits)
    if prediction.logits is not None:
        logits = prediction.logits
        decided = logits.argmax(0) if len(logits) > 1 else logits[0] > 0
        faults["logits"] = (decided != prediction.class_map) & firm
        if expected is not None:
            means = logits.mean((1, 2), dtype=np.float64)
            other = means.shape != expected.logit_means.shape
            faults["logits"] |= other or _apart(means, expected.logit_means, expected.logit_limit).any()
    if prediction.confidence is not None and expected is not None:
        sample = prediction.confidence[::_EVERY, ::_EVERY]
        wrong = faults.setdefault("confidence", np.zeros(firm.shape, np.bool_))
        wrong[::_EVERY, ::_EVERY] |= _apart(sample, expected.confidence, confidence_limit(expected.logit_limit))
    return faults


def confidence_limit(logit_limit: float) -> float:
    """How far a confidence may be off, of 255, if its logits may be off by `logit_limit`."""
    # Half a step of rounding on both sides; and with the log-odds, which move by up to twice the limit, a probability
    # moves by a quarter of that at most.
    return 1 + 255 * logit_limit / 2


def _apart(ours: NDArray[Any], theirs: NDArray[Any], limit: float) -> NDArray[np.bool_]:
    """Where the two are farther apart than the limit; NaN is far from everything."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return np.asarray(~(np.abs(np.subtract(ours, theirs, dtype=np.float64)) <= limit))


def _painted(
    frame: NDArray[np.uint8], class_map: NDArray[np.uint8], spec: ModelSpec, opacity: float
) -> NDArray[np.float64]:
    """What `ClassPainter.overlay` paints, not rounded."""
    colors = np.zeros((256, 3), np.float64)
    colors[: spec.num_classes] = spec.palette
    if spec.channel_order == "bgr":
        colors = colors[:, ::-1]
    weight = np.where(class_map > 0, opacity, 0.0)[..., np.newaxis]
    painted: NDArray[np.float64] = frame * (1 - weight) + colors[class_map] * weight
    return painted
