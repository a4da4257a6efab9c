"""The 21 classes and the palette of PASCAL VOC."""

from __future__ import annotations

VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Class names; index = value of a pixel in a label image."""

VOC_VOID = 255
"""Label of pixels that belong to no class (object outlines); ignored in training and evaluation."""


def voc_palette() -> tuple[tuple[int, int, int], ...]:
    """The 256 RGB colours (0..255) of VOC label images, by the rule of the VOC development kit.

    The bits 0, 1, 2 of a label become the highest bit of red, green and blue, the next three bits the second highest,
    and so on, so that neighbouring labels get colours far apart.
    """
    return tuple(_spread_bits(label) for label in range(256))


def _spread_bits(label: int) -> tuple[int, int, int]:
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (label & 1) << bit
        green |= (label >> 1 & 1) << bit
        blue |= (label >> 2 & 1) << bit
        label >>= 3
    return red, green, blue
