"""Train the bundled demo weights: slim FCN-32s, FCN-16s and FCN-8s on synthetic scenes, on a CPU.

    python -m fcnrt.training.demo --out fcn_models/demo_weights

The stages follow the paper, each with the recipe ``scratch`` of `fcnrt train`: FCN-16s starts from the trained FCN-32s,
FCN-8s from the trained FCN-16s.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ..datasets.confusion import ConfusionMatrix
from ..datasets.synthetic import SyntheticScenes
from ..export.reference import reference_logits
from ..fcn_models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ..fcn_models.fcn import Variant
from ..fcn_models.preprocessing import PREPROCESSING
from ..fcn_models.voc import VOC_CLASSES, VOC_VOID, voc_palette
from ..runtime.spec import ImageSize
from .plan import Plan
from .recipe import RECIPES
from .run_folder import BEST
from .start import from_checkpoint, from_scratch
from .train import train

_log = logging.getLogger(__name__)

_TRAIN_SEED, _HELD_OUT_SEED, _VALIDATION_SEED = 1, 2, 3
_TRAIN_SIZE, _HELD_OUT_SIZE = ImageSize(256, 256), ImageSize(320, 320)
_PALETTE = voc_palette()[: len(VOC_CLASSES)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How large the networks are and how long they are trained.

    Attributes:
        width: Multiplier of the trunk's channels; 0.25 gives 16 to 128.
        fc_channels: Channels of fc6 and fc7.
        steps: Steps of each stage, by variant, FCN-32s first.
        lr: Highest learning rate of each stage.
        batch_size: Scenes per step.
        scenes: Scenes to learn from.
        validated: Scenes to choose the best weights by.
        held_out: Scenes that the result is measured on.
        workers: Processes that draw scenes.
    """

    width: float = 0.25
    fc_channels: int = 128
    steps: tuple[int, int, int] = (1700, 700, 1500)
    lr: tuple[float, float, float] = (2e-3, 1e-3, 1.2e-3)
    batch_size: int = 12
    scenes: int = 6000
    validated: int = 50
    held_out: int = 200
    workers: int = 1


def train_demo(out: Path, schedule: Schedule, *, seed: int = 0) -> dict[Variant, float]:
    """Train the three networks one from the other and write them, with the results, into a directory.

    Args:
        out: Directory for ``{variant}.safetensors`` and ``results.json``; made if missing.
        schedule: Sizes and lengths.
        seed: Seed of initialisation and sampling.

    Returns:
        mIoU (0..1) of each variant on the held-out scenes, measured from the written file.
    """
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    scenes = SyntheticScenes(_TRAIN_SEED, schedule.scenes, _TRAIN_SIZE)
    validated = SyntheticScenes(_VALIDATION_SEED, schedule.validated, _HELD_OUT_SIZE)
    variants: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
    results: dict[Variant, float] = {}
    best: Path | None = None
    with tempfile.TemporaryDirectory() as folder:
        for variant, steps, lr in zip(variants, schedule.steps, schedule.lr, strict=True):
            if best is None:
                width, channels = schedule.width, schedule.fc_channels
                start = from_scratch(variant, VOC_CLASSES, _PALETTE, width=width, fc_channels=channels, seed=seed)
            else:
                start = from_checkpoint(best, variant, VOC_CLASSES, _PALETTE)
            plan = Plan(
                recipe=RECIPES["scratch"],
                steps=steps,
                validate_every=max(1, steps // 5),
                batch_size=schedule.batch_size,
                lr=lr,
                seed=seed,
                precision="bf16",  # half the time on CPUs that have it
                workers=schedule.workers,
            )
            train(
                start, scenes, validated, Path(folder, variant), plan, on_round=lambda found, _: _log.info("%s", found)
            )
            best = Path(folder, variant, BEST)
            path = out / f"{variant}.safetensors"
            _save(load_checkpoint(best), path)
            results[variant] = mean_iou(load_checkpoint(path), schedule.held_out)
            _log.info("%s: mIoU %.4f after %.0f s", variant, results[variant], time.monotonic() - began)
    _write_results(out / "results.json", results, schedule, seed, time.monotonic() - began)
    return results


def mean_iou(checkpoint: Checkpoint, count: int) -> float:
    """Mean IoU (0..1) of a network on the first `count` held-out scenes."""
    confusion = ConfusionMatrix(checkpoint.model.config.num_classes, VOC_VOID)
    for scene in SyntheticScenes(_HELD_OUT_SEED, count, _HELD_OUT_SIZE):
        logits = reference_logits(checkpoint.model, PREPROCESSING[checkpoint.preprocessing], scene.image[None])
        confusion.update(scene.label, logits.argmax(1)[0])
    return confusion.mean_iou()


def _save(checkpoint: Checkpoint, path: Path) -> None:
    save_checkpoint(
        checkpoint.model,
        path,
        preprocessing=checkpoint.preprocessing,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        notes={"trained_on": "synthetic scenes", **checkpoint.notes},
        dtype="float16",
    )


def _write_results(path: Path, results: dict[Variant, float], schedule: Schedule, seed: int, seconds: float) -> None:
    document = {
        "command": "python -m fcnrt.training.demo --out fcn_models/demo_weights",
        "seed": seed,
        "mean_iou": {variant: round(value, 4) for variant, value in results.items()},
        "held_out": f"{schedule.held_out} scenes of seed {_HELD_OUT_SEED} at {_HELD_OUT_SIZE}, void ignored",
        "steps": dict(zip(results, schedule.steps, strict=True)),
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
