"""Train the bundled demo weights: slim FCN-32s, FCN-16s and FCN-8s on synthetic scenes, on a CPU.

    python -m fcnrt.training.demo --out fcn_models/demo_weights

The stages follow the paper: FCN-16s starts from the trained FCN-32s, FCN-8s from the trained FCN-16s, each with a
zero-initialised score layer for its new skip. Upsampling stays fixed bilinear.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from ..benchmarks.confusion import ConfusionMatrix
from ..datasets.synthetic import render_scene
from ..export.reference import normalize, reference_logits
from ..fcn_models.checkpoint import load_checkpoint, save_checkpoint
from ..fcn_models.fcn import FCN, FCNConfig, Variant
from ..fcn_models.network import Network
from ..fcn_models.preprocessing import PREPROCESSING
from ..fcn_models.voc import VOC_CLASSES, VOC_VOID, voc_palette
from ..runtime.spec import ImageSize
from .batch_norm import add_batch_norm, fold_batch_norm

_log = logging.getLogger(__name__)

_TRAIN_SEED, _HELD_OUT_SEED = 1, 2
_HELD_OUT_SIZE = ImageSize(320, 320)
_STAGES: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
_PREPROCESSING = PREPROCESSING["imagenet_rgb"]

Scenes = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How large the networks are and how long they are trained.

    Attributes:
        width: Multiplier of the trunk's channels; 0.25 gives 16 to 128.
        fc_channels: Channels of fc6 and fc7.
        steps: Optimiser steps of each stage, FCN-32s first.
        peak_lr: Peak learning rate of each stage (one cycle, AdamW).
        batch_size: Scenes per step.
        sizes: Sizes the scenes are drawn at; every batch has one of them, so that the networks see several scales.
        scenes_per_size: Training scenes drawn at each size.
        held_out: Scenes of another seed that the result is measured on.
    """

    width: float = 0.25
    fc_channels: int = 128
    steps: tuple[int, int, int] = (1700, 700, 1500)
    peak_lr: tuple[float, float, float] = (2e-3, 1e-3, 1.2e-3)
    batch_size: int = 12
    sizes: tuple[ImageSize, ...] = (ImageSize(192, 192), ImageSize(256, 256), ImageSize(320, 320))
    scenes_per_size: int = 2000
    held_out: int = 200


def train_demo(out: Path, schedule: Schedule, *, seed: int = 0) -> dict[str, float]:
    """Train the three networks one from the other and write them, with the results, into a directory.

    Args:
        out: Directory for ``{variant}.safetensors`` and ``results.json``; made if missing.
        schedule: Sizes and lengths.
        seed: Seed of initialisation and sampling.

    Returns:
        mIoU (0..1) of each variant on the held-out scenes, measured from the written file.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    start = time.monotonic()
    sets = [_render(_TRAIN_SEED, schedule.scenes_per_size, i, size) for i, size in enumerate(schedule.sizes)]
    batches = _batches(sets, schedule.batch_size, rng)
    truth = _render(_HELD_OUT_SEED, schedule.held_out, 0, _HELD_OUT_SIZE)
    _log.info("scenes drawn in %.0f s", time.monotonic() - start)

    results: dict[str, float] = {}
    previous: FCN | None = None
    for variant, steps, peak_lr in zip(_STAGES, schedule.steps, schedule.peak_lr, strict=True):
        model = _next_stage(variant, schedule, previous)
        _fit(model, batches, steps, peak_lr, truth)
        previous = model
        path = out / f"{variant}.safetensors"
        _save(model, path, steps, seed)
        results[variant] = _mean_iou(load_checkpoint(path).model, truth)
        _log.info("%s: mIoU %.4f after %.0f s", variant, results[variant], time.monotonic() - start)
    _write_results(out / "results.json", results, schedule, seed, time.monotonic() - start)
    return results


def _render(seed: int, count: int, set_index: int, size: ImageSize) -> Scenes:
    """`count` scenes as uint8 (count, H, W, 3) and labels (count, H, W)."""
    images = np.empty((count, size.height, size.width, 3), np.uint8)
    labels = np.empty((count, size.height, size.width), np.uint8)
    with ProcessPoolExecutor() as pool:
        draw = partial(render_scene, seed, size=size)
        indices = range(set_index * count, (set_index + 1) * count)
        for i, scene in enumerate(pool.map(draw, indices, chunksize=50)):
            images[i], labels[i] = scene.image, scene.label
    return images, labels


def _batches(sets: Sequence[Scenes], batch_size: int, rng: np.random.Generator) -> Iterator[Scenes]:
    """Endless random batches, each from one set; image and label are mirrored together."""
    while True:
        images, labels = sets[int(rng.integers(len(sets)))]
        chosen = rng.choice(len(images), batch_size, replace=False)
        mirror = slice(None, None, -1 if rng.integers(2) else 1)
        yield np.ascontiguousarray(images[chosen][:, :, mirror]), np.ascontiguousarray(labels[chosen][:, :, mirror])


def _next_stage(variant: Variant, schedule: Schedule, previous: FCN | None) -> FCN:
    model = FCN(FCNConfig(variant=variant, width=schedule.width, fc_channels=schedule.fc_channels))
    # Slim layers have little to spare: half of 128 channels missing slows training more than it regularises.
    model.dropout.p = 0.1
    add_batch_norm(model)
    if previous is not None:
        model.load_state_dict(previous.state_dict() | _new_layers(model, previous), strict=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("upscore"))
    return model.to(memory_format=torch.channels_last)


def _new_layers(model: FCN, previous: FCN) -> dict[str, torch.Tensor]:
    """What the next stage adds: zero score layers, so that it starts where the previous stage ended."""
    known = previous.state_dict().keys()
    return {
        name: torch.zeros_like(value) if name.startswith("score") else value
        for name, value in model.state_dict().items()
        if name not in known
    }


def _fit(model: FCN, batches: Iterator[Scenes], steps: int, peak_lr: float, truth: Scenes) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=peak_lr, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_lr, total_steps=steps + 1, pct_start=0.15)
    model.train()
    start, recent = time.monotonic(), []
    for step in range(1, steps + 1):
        images, labels = next(batches)
        logits = _logits(model, images)
        loss = cross_entropy(logits, torch.from_numpy(labels).long(), ignore_index=VOC_VOID)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
        recent.append(loss.item())
        if step % 50 == 0:
            rate = (time.monotonic() - start) / step
            _log.info("%s step %d/%d loss %.4f (%.2f s/step)", model.config.variant, step, steps, np.mean(recent), rate)
            recent.clear()
        if step % 400 == 0:
            model.eval()
            _log.info(
                "%s mIoU %.4f on 50 scenes", model.config.variant, _mean_iou(model, (truth[0][:50], truth[1][:50]))
            )
            model.train()
    model.eval()


def _logits(model: FCN, images: NDArray[np.uint8]) -> torch.Tensor:
    """Logits of raw frames; the convolutions run in bfloat16, which is half the time on CPUs that have it."""
    height, width = images.shape[1:3]
    with torch.autocast("cpu", torch.bfloat16):
        scores = model.scores(normalize(images, _PREPROCESSING))
    return model.final_upsampling(scores.float())[:, :, :height, :width]  # type: ignore[no-any-return]


def _mean_iou(model: Network, scenes: Scenes) -> float:
    confusion = ConfusionMatrix(model.config.num_classes, VOC_VOID)
    for image, label in zip(*scenes, strict=True):
        prediction = reference_logits(model, _PREPROCESSING, image[None]).argmax(1)[0]
        confusion.update(label, prediction)
    return confusion.mean_iou()


def _save(model: FCN, path: Path, steps: int, seed: int) -> None:
    plain = copy.deepcopy(model)
    fold_batch_norm(plain)
    save_checkpoint(
        plain,
        path,
        preprocessing="imagenet_rgb",
        class_names=VOC_CLASSES,
        palette=voc_palette()[: len(VOC_CLASSES)],
        notes={"trained_on": "synthetic scenes", "steps": str(steps), "seed": str(seed)},
        dtype="float16",
    )


def _write_results(path: Path, results: dict[str, float], schedule: Schedule, seed: int, seconds: float) -> None:
    document = {
        "command": "python -m fcnrt.training.demo --out fcn_models/demo_weights",
        "seed": seed,
        "mean_iou": {variant: round(value, 4) for variant, value in results.items()},
        "held_out": f"{schedule.held_out} scenes of seed {_HELD_OUT_SEED} at {_HELD_OUT_SIZE}, void ignored",
        "steps": dict(zip(_STAGES, schedule.steps, strict=True)),
        "batch_size": schedule.batch_size,
        "width": schedule.width,
        "fc_channels": schedule.fc_channels,
        "minutes": round(seconds / 60, 1),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory for the weights and results.json")
    parser.add_argument("--seed", type=int, default=0, help="seed of initialisation and sampling")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_demo(arguments.out, Schedule(), seed=arguments.seed)


if __name__ == "__main__":
    main()
