"""`LabeledImage`: a picture with the class of every pixel, the one element that all data sets here consist of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """A picture and its label image.

    Attributes:
        image: Picture, uint8 (H, W, 3), RGB.
        label: Class index of each pixel, uint8 (H, W); 255 (void) belongs to no class and is not scored.
        name: Name without extension, unique in its data set.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    name: str
