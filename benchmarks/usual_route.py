"""The peer: a network exported and run the way it is usually done, pre- and post-processing in numpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..export.decision import decide
from ..export.quiet_exporter import quiet_exporter
from ..fcn_models.preprocessing import Preprocessing
from ..runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Normalised images, float32 (N, 3, H, W), to logits, float32 (N, score_channels, H, W)."""


def export_usual_route(model: nn.Module, path: Path) -> Path:
    """Write a network as ``torch.onnx.export`` does by itself: float NCHW in, logits out, any batch, height and width.

    Args:
        model: Network, normalised image (N, 3, H, W) to logits (N, score_channels, H, W).
        path: File to write, ``.onnx``; its weights may come to lie in a second file beside it.

    Returns:
        `path`.
    """
    import torch  # running the file does not need it

    with quiet_exporter():
        torch.onnx.export(
            model.eval(),
            (torch.zeros(2, 3, 97, 131),),
            path,
            dynamo=True,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=(dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC),),
            verbose=False,
        )
    return path


class UsualRoute:
    """A `Route` through a file of `export_usual_route`, with pre- and post-processing in numpy.

    Args:
        path: The file.
        preprocessing: What the network was trained with.
        infer: Computes logits, float32 (N, score_channels, H, W), of normalised images, float32 (N, 3, H, W); ONNX
            Runtime on the CPU with default options if left out.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, *, infer: Infer | None = None) -> None:
        self._infer = infer or _onnxruntime_with_defaults(path)
        # As it is usually written: pixels in 0..1, mean and standard deviation in the same unit.
        self._mean = np.array(preprocessing.mean, np.float32) / 255
        self._std = 1 / (np.array(preprocessing.scale, np.float32) * 255)
        self._reverse = preprocessing.channel_order == "bgr"

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class map, uint8 (H, W), of an RGB frame, uint8 (H, W, 3); or of a batch, (N, H, W, 3)."""
        frames = frame if frame.ndim == 4 else frame[np.newaxis]
        class_map = decide(self._infer(self._input(frames))).astype(np.uint8)
        return class_map if frame.ndim == 4 else class_map[0]

    def network_alone(self, frames: NDArray[np.uint8]) -> Callable[[], object]:
        """A call of the network alone: from the normalised frames to logits."""
        return partial(self._infer, self._input(frames))

    def _input(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._reverse:
            frames = frames[..., ::-1]
        x = (frames.astype(np.float32) / 255 - self._mean) / self._std
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))  # (N, 3, H, W)


def _onnxruntime_with_defaults(path: Path) -> Infer:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"image": x})[0]


def openvino_on_cpu(path: Path) -> Infer:
    """OpenVINO in float32, otherwise with default options, as another engine for `UsualRoute`.

    Raises:
        MissingDependencyError: If OpenVINO is not installed.
    """
    try:
        openvino = import_module("openvino")
    except ImportError as exc:
        raise MissingDependencyError(
            "measuring OpenVINO needs openvino, which is not installed. Run: pip install openvino"
        ) from exc
    # By itself it computes in bfloat16 where the processor can, whose 8 bits change classes: another precision.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.compile_model(str(path), "CPU", options).create_infer_request()
    return lambda x: request.infer({"image": x})[0]
