"""Making the self-test that an exported file carries: golden frames and the classes PyTorch finds in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..fcn_models.checkpoint import Checkpoint
from ..fcn_models.preprocessing import PREPROCESSING
from ..runtime.errors import ParityError
from ..runtime.further_outputs import ExpectedOutputs
from ..runtime.segmenter import open_the_file_itself
from ..runtime.self_test import GoldenFrame, SelfTest, golden_frame, meaning_of, run_self_test
from ..runtime.spec import ImageSize, ModelSpec, Precision
from .decision import per_class
from .reference import network_logits, require_finite
from .ties import LOGIT_RTOL, tie_gap

# Multiples of 32 and not, higher than wide and wider than high: what is wrong with sizes shows. The second one is the
# smallest whose 4x4 cells reach every weight of fc6 (7x7); with larger ones the paper's width takes seconds.
_SIZES = tuple(ImageSize.parse(text) for text in ("40x71", "128x101"))
_ENGINE_SIZES = (ImageSize.parse("256x288"),)  # engines are seldom built for less than 256x256
# Frames per size, of which one is kept. More are not worth their time: of 64, the best shows a class or two more.
_CANDIDATES = 4

_FLOOR: dict[Precision, float] = {"fp32": 1.0, "fp16": 0.999, "int8": 0.99}


def make_self_test(checkpoint: Checkpoint, spec: ModelSpec) -> SelfTest:
    """The self-test of a network exported as `spec` says; what is expected is what the PyTorch module computes.

    Raises:
        ParityError: If the module's logits are NaN or infinite.
    """
    frames: list[GoldenFrame] = []
    seen: set[int] = set()
    for size in _SIZES + _ENGINE_SIZES:
        candidates = [_golden(checkpoint, spec, seed, size) for seed in range(_CANDIDATES)]
        chosen = max(candidates, key=lambda frame: (len(_classes(frame) - seen), _variety(frame)))
        frames.append(dataclasses.replace(chosen, for_engines=size in _ENGINE_SIZES))
        seen |= _classes(chosen)
    return SelfTest(tuple(frames), _FLOOR[spec.precision], meaning_of(spec))


def require_self_test_passed(path: Path, self_test: SelfTest) -> None:
    """Run the self-test of a file that was just written: one that fails at home proves nothing elsewhere.

    Raises:
        ParityError: If it fails.
    """
    with open_the_file_itself(path) as segment:
        result = run_self_test(segment.predict, self_test, spec=segment.spec)
    if result.class_map_passed and result.wrong_outputs:
        raise ParityError(
            f"the exported graph fails its own self-test: the output {result.wrong_outputs[0]} is not what it is in "
            "PyTorch. The file was not kept."
        )
    if result.conclusive and not result.passed:  # weights to start a training from score nothing yet: ties only
        raise ParityError(
            f"the exported graph fails its own self-test: {result.faults:,} of {result.firm_pixels:,} pixels "
            "that are no ties have another class than in PyTorch. The file was not kept."
        )


def _golden(checkpoint: Checkpoint, spec: ModelSpec, seed: int, size: ImageSize) -> GoldenFrame:
    frame = golden_frame(seed, size)
    logits = network_logits(checkpoint.model, PREPROCESSING[checkpoint.preprocessing], frame[None])[0]
    require_finite(logits, f"a generated frame of {size}")
    scores = per_class(logits)
    second, first = np.partition(scores, -2, axis=0)[-2:]
    firm: NDArray[np.bool_] = first - second > tie_gap(scores, spec.precision)
    outputs = None
    # INT8 is judged by the classes: no limit is known that logits keep to.
    if {"confidence", "logits"} & set(spec.outputs) and spec.precision != "int8":
        outputs = ExpectedOutputs.of(logits, LOGIT_RTOL[spec.precision] * float(np.abs(logits).max()))
    return GoldenFrame(seed, size, scores.argmax(0).astype(np.uint8), firm, outputs=outputs)


def _classes(frame: GoldenFrame) -> set[int]:
    return set(np.unique(frame.class_map[frame.firm]).tolist())


def _variety(frame: GoldenFrame) -> float:
    """Entropy of the classes among the firm pixels: one class everywhere would prove little."""
    counts = np.bincount(frame.class_map[frame.firm])
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())
