"""Whether every way on a GPU still computes what PyTorch computes in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from ...datasets.confusion import ConfusionMatrix
from ...fcn_models.voc import VOC_CLASSES, VOC_VOID
from ...runtime.spec import ImageSize
from ..device_timing import Arithmetic
from ..report import Outcome, Row
from ..tolerance import TOLERANCES, Tolerance
from .models import CheckedNetwork
from .ways import FP32, OWN, Way

_SEED = 2  # of the scenes: the demo weights were trained on others
_BATCH = 8

_TOLERANCES: dict[Arithmetic, Tolerance] = {
    "fp32": TOLERANCES["fp32"],
    "tf32": TOLERANCES["fp16"],  # as many bits of mantissa
    "fp16": TOLERANCES["fp16"],
}


def measure_parity(
    network: CheckedNetwork,
    ways: Mapping[str, Way],
    device: torch.device,
    *,
    scenes: int,
    size: ImageSize,
    note: Callable[[str], None],
) -> Row:
    """Compare the class maps of every way with those of PyTorch in float32, and those of scenes with the truth.

    Args:
        network: What runs.
        ways: How, `FP32` first.
        device: Where.
        scenes: Pictures to compare on.
        size: Their size.
        note: Told what failed, in sentences; where that is `FP32` or a way of fcnrt's, its pixels count as wrong.
    """
    images, labels = _pictures(scenes, size)
    reference: NDArray[np.uint8] | None = None
    reference_iou = 0.0
    outcomes: list[Outcome] = []
    for way_name, way in ways.items():
        tolerance = _TOLERANCES[way.arithmetic]
        # What differs, not what is the same: of 99.9990 % the digits that are kept would not tell enough.
        allowed = 100 * (1 - tolerance.equal_share)
        unlike = f"% of the pixels not as {FP32}: {way_name}"
        try:
            batches = [way(images[start : start + _BATCH]) for start in range(0, scenes, _BATCH)]
            there = way.on_device(torch.from_numpy(images[:_BATCH]).to(device))().cpu().numpy()
        except Exception as exc:  # whatever fails in one way must not keep the others from it
            note(f"{way_name} failed on {network.title}: {' '.join(str(exc).split())[:200]}")
            if way_name == FP32 or way_name.startswith(OWN):  # others may lack what they need, such as a compiler
                outcomes.append(Outcome(value=100.0, meaning=unlike, at_most=allowed))
            if way_name == FP32:
                break  # with nothing to compare with
            continue
        class_maps = np.concatenate(batches)
        if reference is None:
            reference = class_maps
        else:
            differing = 100 * float(np.mean(class_maps != reference))
            outcomes.append(Outcome(value=differing, meaning=unlike, at_most=allowed))
        outcomes.append(
            Outcome(
                value=100 * float(np.mean(there != class_maps[:_BATCH])),
                meaning=f"% of the pixels another class for frames that are on the device already: {way_name}",
                at_most=allowed,
            )
        )
        if labels is not None:
            confusion = ConfusionMatrix(len(VOC_CLASSES), VOC_VOID)
            confusion.update(labels, class_maps)
            iou = 100 * confusion.mean_iou("gt_present")
            if way_name == FP32:
                reference_iou, wanted_iou = iou, None
            else:
                wanted_iou = reference_iou - tolerance.mean_iou
            outcomes.append(Outcome(value=iou, meaning=f"mIoU in points: {way_name}", at_least=wanted_iou))
    what = f"{scenes} synthetic scenes" if labels is not None else f"{scenes} pictures of noise (no OpenCV for scenes)"
    return Row(
        name=f"{network.name}-class-maps",
        title=f"{network.title}: class maps of {what} of {size}",
        scope=f"class maps of {what} of {size}, {_BATCH} in a call, against those of {FP32} on the same device",
        unit="",
        samples={},
        outcomes=tuple(outcomes),
    )


def _pictures(count: int, size: ImageSize) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Pictures (N, H, W, 3) with labels (N, H, W); without OpenCV, which draws them, patches of colour without."""
    if find_spec("cv2") is None:
        coarse = np.random.default_rng(_SEED).integers(0, 256, (count, -(-size.height // 16), -(-size.width // 16), 3))
        fine = coarse.astype(np.uint8).repeat(16, axis=1).repeat(16, axis=2)
        return np.ascontiguousarray(fine[:, : size.height, : size.width]), None
    from ...datasets.synthetic import render_scene

    scenes = [render_scene(_SEED, index, size) for index in range(count)]
    return np.stack([scene.image for scene in scenes]), np.stack([scene.label for scene in scenes])
