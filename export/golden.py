"""Making the self-test that an exported file carries: golden frames and the classes PyTorch finds in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..fcn_models.checkpoint import Checkpoint
from ..fcn_models.preprocessing import PREPROCESSING
from ..runtime.errors import ParityError
from ..runtime.segmenter import open_the_file_itself
from ..runtime.self_test import GoldenFrame, SelfTest, golden_frame, run_self_test
from ..runtime.spec import ImageSize, Precision
from .reference import reference_logits, require_finite
from .ties import tie_gap

# Multiples of 32 and not, higher than wide and wider than high: what is wrong with sizes shows. The second one is the
# smallest whose 4x4 cells reach every weight of fc6 (7x7); with larger ones the paper's width takes seconds.
_SIZES = tuple(ImageSize.parse(text) for text in ("40x71", "128x101"))
_ENGINE_SIZES = (ImageSize.parse("256x288"),)  # engines are seldom built for less than 256x256
_CANDIDATES = 4  # frames per size, of which the one with the most varied class map is kept

_FLOOR: dict[Precision, float] = {"fp32": 1.0, "fp16": 0.999, "int8": 0.99}


def make_self_test(checkpoint: Checkpoint, precision: Precision) -> SelfTest:
    """The self-test of a network exported in `precision`; expected class maps are those of the PyTorch module.

    Raises:
        ParityError: If the module's logits are NaN or infinite.
    """
    frames = []
    for size in _SIZES + _ENGINE_SIZES:
        candidates = [_golden(checkpoint, precision, seed, size) for seed in range(_CANDIDATES)]
        chosen = max(candidates, key=_variety)
        frames.append(dataclasses.replace(chosen, for_engines=size in _ENGINE_SIZES))
    return SelfTest(tuple(frames), _FLOOR[precision])


def require_self_test_passed(path: Path, self_test: SelfTest) -> None:
    """Run the self-test of a file that was just written: one that fails at home proves nothing elsewhere.

    Raises:
        ParityError: If it fails.
    """
    with open_the_file_itself(path) as segment:
        result = run_self_test(segment, self_test, channel_order=segment.spec.channel_order)
    if result.conclusive and not result.passed:  # weights to start a training from score nothing yet: ties only
        raise ParityError(
            f"the exported graph fails its own self-test: {result.faults:,} of {result.firm_pixels:,} pixels "
            "that are no ties have another class than in PyTorch. The file was not kept."
        )


def _golden(checkpoint: Checkpoint, precision: Precision, seed: int, size: ImageSize) -> GoldenFrame:
    frame = golden_frame(seed, size)
    logits = reference_logits(checkpoint.model, PREPROCESSING[checkpoint.preprocessing], frame[None])[0]
    require_finite(logits, f"a generated frame of {size}")
    second, first = np.partition(logits, -2, axis=0)[-2:]
    firm: NDArray[np.bool_] = first - second > tie_gap(logits, precision)
    return GoldenFrame(seed, size, logits.argmax(0).astype(np.uint8), firm)


def _variety(frame: GoldenFrame) -> float:
    """Entropy of the classes among the firm pixels: one class everywhere would prove little."""
    counts = np.bincount(frame.class_map[frame.firm])
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())
