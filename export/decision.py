"""From logits to classes: the highest logit's, or where a pixel has one logit only, the side of zero that it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_ArrayT = TypeVar("_ArrayT", "torch.Tensor", "NDArray[Any]")


def decide(logits: _ArrayT) -> _ArrayT:
    """The class of each pixel, (N, H, W), integers or booleans.

    Of equal logits the first class wins. A single logit means class 1 above zero; zero and NaN are class 0.

    Args:
        logits: (N, classes, H, W), or (N, 1, H, W) of a network with one score for two classes; PyTorch's or numpy's.
    """
    return logits.argmax(1) if logits.shape[1] > 1 else (logits > 0).squeeze(1)


def per_class(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of every class, (..., classes, H, W): themselves, or of a single logit z the two -z/2 and z/2.

    Their softmax is the sigmoid of z, their arg-max is what `decide` says of z, and they are |z| apart: whatever
    compares logits of classes needs to know no more about networks with one score.

    Args:
        logits: float32 (..., classes, H, W) or (..., 1, H, W).
    """
    if logits.shape[-3] > 1:
        return logits
    half = logits / np.float32(2)
    return np.concatenate([-half, half], -3)
