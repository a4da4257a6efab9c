"""Flip margins: by how much the reference preferred its class to the one that was chosen instead.

A pixel whose two best classes are nearly tied may fall either way without anything being wrong; one that was decided
clearly may not. The margin tells the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...export.ties import tie_gap
from ...runtime.spec import Precision

BIN_EDGES: NDArray[np.float64] = 10.0 ** np.arange(-6, 0.51, 0.5)
"""Edges of the histogram's bins: margins as shares of the frame's largest logit. Smaller ones fall into the first bin,
larger ones into the last."""

# Backends sum in another order than the emulation, which may double what a rounding amounts to.
_HALF_SAFETY = 2


def tie_limit(
    logits: NDArray[np.float32], precision: Precision, half_logits: NDArray[np.float32] | None = None
) -> float:
    """The largest margin, in logits, that rounding explains on this frame.

    Args:
        logits: The reference's, float32 (classes, H, W).
        precision: What the network was computed in.
        half_logits: The same with half precision emulated. They show how far rounding really moves the logits of
            this network, which is usually less than what is allowed in general.
    """
    general = tie_gap(logits, precision)
    if precision == "fp32" or half_logits is None:
        return general
    error = float(np.abs(half_logits - logits).max())
    if not np.isfinite(error):  # overflow: it explains nothing
        return general
    return min(general, 2 * _HALF_SAFETY * error)


def count_margins(shares: NDArray[np.floating]) -> NDArray[np.int64]:
    """Margins, as shares of the largest logit, counted in the bins of `BIN_EDGES`."""
    clipped = np.clip(shares, BIN_EDGES[0], BIN_EDGES[-1])
    return np.histogram(clipped, BIN_EDGES)[0].astype(np.int64)
