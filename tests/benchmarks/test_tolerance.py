"""What half precision does to the demo networks, measured, against what is tolerated."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from fcnrt.benchmarks.tolerance import TOLERANCES
from fcnrt.benchmarks.verify.flip_margins import tie_limit
from fcnrt.benchmarks.verify.reference import Reference
from fcnrt.datasets.confusion import ConfusionMatrix
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.ties import LOGIT_RTOL, flip_margins
from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.weights import bundled
from fcnrt.runtime.spec import ImageSize, Precision

ADDED_AT_ONCE = 16  # products that a tensor core adds up before it rounds to half precision
MARGIN = 3  # what is tolerated is at least so many times what is seen here


def add_up_in_half(layer: nn.Conv2d) -> Callable[[torch.Tensor], torch.Tensor]:
    """The layer's forward with a float16 accumulator, as tensor cores have that add up in half precision."""
    weight = layer.weight

    def forward(x: torch.Tensor) -> torch.Tensor:
        (top, left), (rows, columns) = layer.padding, layer.kernel_size
        x = pad(x, (left, left, top, top))
        height, width = x.shape[2] - rows + 1, x.shape[3] - columns + 1
        total = torch.zeros(x.shape[0], weight.shape[0], height, width)
        for row, column, first in np.ndindex(rows, columns, -(-weight.shape[1] // ADDED_AT_ONCE)):
            channels = slice(first * ADDED_AT_ONCE, (first + 1) * ADDED_AT_ONCE)
            window = x[:, channels, row : row + height, column : column + width]
            tap = weight[:, channels, row : row + 1, column : column + 1]
            total = (total + conv2d(window, tap)).half().float()
        return (total + layer.bias[:, None, None]).half().float()

    return forward


@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
def test_half_precision_stays_far_within_what_is_tolerated(variant: str) -> None:
    checkpoint = load_checkpoint(bundled(variant))
    reference, hardest = Reference(checkpoint, half=True), Reference(checkpoint, half=True)
    for name, layer in hardest._half_model.named_modules():
        if isinstance(layer, nn.Conv2d) and not name.startswith("score"):
            layer.forward = add_up_in_half(layer)
    exact, half = ConfusionMatrix(21), ConfusionMatrix(21)
    differing = faults = pixels = 0
    for index in range(4):
        scene = render_scene(2, index, ImageSize(256, 256))
        frame = scene.image.copy()
        logits, rounded = reference.logits(frame), hardest.half_logits(frame)
        expected, found = logits.argmax(0).astype(np.uint8), rounded.argmax(0).astype(np.uint8)
        limit = tie_limit(logits, "fp16", reference.half_logits(frame))
        differing += np.count_nonzero(found != expected)
        faults += np.count_nonzero(flip_margins(logits, found) > limit)
        pixels += found.size
        exact.update(scene.label, expected)
        half.update(scene.label, found)
        assert np.abs(rounded - logits).max() < LOGIT_RTOL["fp16"] / MARGIN * np.abs(logits).max()
    tolerance = TOLERANCES["fp16"]
    assert 0 < differing < (1 - tolerance.equal_share) / MARGIN * pixels
    assert faults < tolerance.fault_share / MARGIN * pixels
    assert abs(half.mean_iou("gt_present") - exact.mean_iou("gt_present")) < tolerance.mean_iou / 100 / MARGIN
    assert np.nanmin(half.iou() - exact.iou()) > -tolerance.class_iou / 100 / MARGIN


def test_every_precision_has_a_tolerance() -> None:
    assert set(TOLERANCES) == set(get_args(Precision))
    assert (TOLERANCES["fp32"].mean_iou, TOLERANCES["fp16"].mean_iou) == (0.05, 0.2)
    assert TOLERANCES["fp32"].equal_share == 0.99999
