"""How pixels become a network's input. Exported graphs contain this; nobody has to do it outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PreprocessingName = Literal["imagenet_rgb", "caffe_bgr", "unit_rgb", "raw_rgb"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``(pixel - mean) * scale`` per channel, pixels in 0..255.

    Attributes:
        channel_order: Order of the channels that the network was trained on.
        mean: Subtracted from each channel, in `channel_order`, in pixel units (0..255).
        scale: Multiplied with each channel afterwards, in `channel_order`.
    """

    channel_order: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


PREPROCESSING: dict[PreprocessingName, Preprocessing] = {
    # torchvision's ImageNet statistics, moved from 0..1 to pixel units.
    "imagenet_rgb": Preprocessing(
        channel_order="rgb",
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        scale=(1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255)),
    ),
    # The mean colour of the Caffe models (infer.py of fcn.berkeleyvision.org).
    "caffe_bgr": Preprocessing(
        channel_order="bgr",
        mean=(104.00698793, 116.66876762, 122.67891434),
        scale=(1.0, 1.0, 1.0),
    ),
    "unit_rgb": Preprocessing(channel_order="rgb", mean=(0.0, 0.0, 0.0), scale=(1 / 255, 1 / 255, 1 / 255)),
    "raw_rgb": Preprocessing(channel_order="rgb", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)),
}
