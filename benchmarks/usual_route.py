"""The peer: a network exported and run the way it is usually done, pre- and post-processing in numpy."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from ..fcn_models.preprocessing import Preprocessing


def export_usual_route(model: nn.Module, path: Path) -> Path:
    """Write a network as ``torch.onnx.export`` does by itself: float NCHW in, logits out, any height and width.

    Args:
        model: Network, normalised image (N, 3, H, W) to logits (N, classes, H, W).
        path: File to write, ``.onnx``; its weights may come to lie in a second file beside it.

    Returns:
        `path`.
    """
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's internals warn about themselves
            torch.onnx.export(
                model.eval(),
                (torch.zeros(1, 3, 97, 131),),
                path,
                dynamo=True,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},),
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    return path


class UsualRoute:
    """A `Route` through a file of `export_usual_route`: ONNX Runtime on the CPU with default options.

    Args:
        path: The file.
        preprocessing: What the network was trained with.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        # As it is usually written: pixels in 0..1, mean and standard deviation in the same unit.
        self._mean = np.array(preprocessing.mean, np.float32) / 255
        self._std = 1 / (np.array(preprocessing.scale, np.float32) * 255)
        self._reverse = preprocessing.channel_order == "bgr"

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class map, uint8 (H, W), of an RGB frame, uint8 (H, W, 3)."""
        if self._reverse:
            frame = frame[..., ::-1]
        x = (frame.astype(np.float32) / 255 - self._mean) / self._std
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis])  # (1, 3, H, W)
        (logits,) = self._session.run(None, {"image": x})  # (1, classes, H, W)
        return logits[0].argmax(0).astype(np.uint8)  # type: ignore[no-any-return]
