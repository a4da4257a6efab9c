"""`Route`: a way from a frame to its class map, the thing whose speed is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..export.ties import flip_margins, tie_gap
from ..runtime.errors import ParityError
from ..runtime.spec import Precision
from .tolerance import TOLERANCES

Route = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""An RGB frame, uint8 (H, W, 3), to its class map, uint8 (H, W); both in memory."""


def require_agreement(
    routes: Mapping[str, Route],
    frame: NDArray[np.uint8],
    logits: NDArray[np.float32],
    *,
    precision: Precision = "fp32",
) -> None:
    """Make sure that routes which are about to be compared by speed compute the same thing.

    Args:
        routes: What to check, by name.
        frame: RGB frame, uint8 (H, W, 3).
        logits: What the PyTorch module computes for the frame, float32 (classes, H, W).
        precision: What the routes compute in.

    Raises:
        ParityError: If a route returns something else than a class map, or gives more pixels than the precision
            explains a class whose logit is more than rounding below the highest (in fp32: any pixel); or if the frame
            is of one class, which proves nothing.
    """
    expected = logits.argmax(0).astype(np.uint8)  # (H, W)
    if (expected == expected.flat[0]).all():
        raise ParityError("PyTorch finds one class in the whole frame, so no mistake of a route could be seen")
    tie = tie_gap(logits, precision)
    for name, route in routes.items():
        class_map = route(frame)
        if class_map.dtype != np.uint8 or class_map.shape != expected.shape:
            raise ParityError(
                f"{name} returns {class_map.dtype} {class_map.shape}; the frame's class map is uint8 {expected.shape}"
            )
        if int(class_map.max()) >= len(logits):
            raise ParityError(f"{name} returns class {int(class_map.max())}; there are {len(logits)} classes")
        wrong = int(np.count_nonzero(flip_margins(logits, class_map) > tie))
        if wrong > TOLERANCES[precision].fault_share * class_map.size:
            raise ParityError(
                f"{name} disagrees with PyTorch on {wrong:,} of {class_map.size:,} pixels that are no ties; its speed "
                "would mean nothing"
            )
