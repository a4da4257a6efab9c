"""How many times as much: the ratio of two series measured in pairs, with an interval that says how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 5000
_SEED = 0  # fixed: the same samples always give the same interval
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The median of the pairs' ratios, with a bootstrap interval over the pairs.

    Pairing cancels what changes slowly for both sides, such as clocks and temperature; the median ignores the rounds
    in which something else disturbed one of them. With fewer than about ten pairs the interval is little more than
    their range.

    Args:
        numerator: Positive samples.
        denominator: Positive samples, each measured beside the one of the same index.

    Raises:
        ValueError: If there are no samples, or not as many of one as of the other.
    """
    if len(numerator) != len(denominator) or not numerator:
        raise ValueError(f"a paired ratio needs pairs, got {len(numerator)} and {len(denominator)} samples")
    ratios = np.asarray(numerator, np.float64) / np.asarray(denominator, np.float64)
    choices = np.random.default_rng(_SEED).integers(0, ratios.size, (_RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(ratios[choices], axis=1), _PERCENTILES)
    return Ratio(float(np.median(ratios)), float(low), float(high))
