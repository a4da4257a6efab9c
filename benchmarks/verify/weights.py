"""The weights in a file against those that the export writes from the checkpoint, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ...export.deployable import Deployable
from ...export.to_onnx import tidy_name
from ...fcn_models.checkpoint import Checkpoint
from ...fcn_models.preprocessing import PREPROCESSING
from ...runtime.onnx_header import read_onnx_header


@dataclass(frozen=True)
class WeightFindings:
    """What was found; names are those of the checkpoint.

    Attributes:
        compared: How many weights were compared.
        not_finite: Those that hold NaN or infinity, where the checkpoint's do not.
        altered: Those with other values than the checkpoint's; empty in INT8, where values are others.
    """

    compared: int
    not_finite: tuple[str, ...]
    altered: tuple[str, ...]


def examine_weights(path: Path, checkpoint: Checkpoint) -> WeightFindings:
    """Compare the weights of an exported file with a checkpoint's.

    Args:
        path: The ONNX file.
        checkpoint: What it should have been made from.

    Raises:
        ModelFileError: If the file is not an exported one.
    """
    spec = read_onnx_header(path).spec
    deployable = Deployable(
        checkpoint.model,
        PREPROCESSING[checkpoint.preprocessing],
        precision="fp16" if spec.precision == "fp16" else "fp32",
        channel_order=spec.channel_order,
        activation_scale_log2=spec.activation_scale_log2,
    )
    expected = {tidy_name(name): tensor for name, tensor in deployable.state_dict().items()}
    compared, not_finite, altered = 0, [], []
    for initializer in onnx.load(path).graph.initializer:
        if initializer.name not in expected:
            continue
        values = onnx.numpy_helper.to_array(initializer)
        right = expected[initializer.name].numpy()
        if values.shape != right.shape:  # the graph was rewritten there
            continue
        compared += 1
        if not np.isfinite(values).all() and np.isfinite(right).all():
            not_finite.append(initializer.name)
        if spec.precision != "int8" and not np.array_equal(values, right):
            altered.append(initializer.name)
    return WeightFindings(compared, tuple(not_finite), tuple(altered))
