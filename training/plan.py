"""`Plan`: what a user asks of a training, and what that comes to for these pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..runtime.errors import TrainingError
from ..runtime.spec import ImageSize
from .recipe import Recipe
from .start import Start

PrecisionName = Literal["fp32", "bf16", "fp16"]

_STRIDE = 32  # pixels per value, in each direction, behind the five poolings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a training; what is None comes from the recipe.

    Attributes:
        recipe: How to train.
        epochs: How often each picture is seen; None if the steps are given.
        steps: Steps to take; None if the epochs are given.
        validate_every: Steps from one validation to the next; None: once per epoch.
        batch_size: Pictures per step and device.
        lr: Learning rate.
        crop: Size of the cut-outs.
        seed: Decides on everything random.
        precision: What the convolutions compute in; weights are float32.
        devices: Devices of each machine.
        machines: Machines, each of which must have been given the same command by a launcher.
        workers: Processes per device that read pictures.
    """

    recipe: Recipe
    epochs: int | None = None
    steps: int | None = None
    validate_every: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    crop: ImageSize | None = None
    seed: int = 0
    precision: PrecisionName = "fp32"
    devices: int = 1
    machines: int = 1
    workers: int = 0

    def resolved(self, start: Start, picture_count: int) -> Resolved:
        """The plan with nothing left open.

        Raises:
            TrainingError: If pictures of different sizes were to share a batch, or if a batch is too small for batch
                normalisation.
        """
        recipe = self.recipe
        batch_size, crop = self.batch_size or recipe.batch_size, self.crop or recipe.crop
        if crop is None and batch_size > 1:
            raise TrainingError(
                f"a batch of {batch_size} pictures must be of one size: give --crop HxW, or --batch-size 1"
            )
        if recipe.batch_norm and crop is not None and batch_size == 1 and max(crop.height, crop.width) <= _STRIDE:
            raise TrainingError(
                f"one cut-out of {crop} is a single value to the last layers, and batch normalisation needs more; take "
                "a larger --crop or --batch-size"
            )
        per_epoch = picture_count / (batch_size * self.devices * self.machines)
        steps = self.steps or max(1, round((self.epochs or 1) * per_epoch))
        previous_stages = min(start.trained_scores, len(start.network.score_layers) - 1)
        factor = recipe.lr_per_trained_score**previous_stages
        return Resolved(
            batch_size=batch_size,
            crop=crop,
            lr=recipe.lr * factor if self.lr is None else self.lr,
            steps=steps,
            steps_per_epoch=per_epoch,
            round_steps=min(steps, self.validate_every or max(1, round(per_epoch))),
        )


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A plan for these pictures and this start.

    Attributes:
        batch_size: Pictures per step and device.
        crop: Size of the cut-outs; None: whole pictures.
        lr: Learning rate.
        steps: Steps to take.
        steps_per_epoch: Steps in which each picture is seen once, as a fraction.
        round_steps: Steps from one validation to the next.
    """

    batch_size: int
    crop: ImageSize | None
    lr: float
    steps: int
    steps_per_epoch: float
    round_steps: int
