"""`train`: from a network and labelled pictures to weights, with everything a training leaves behind."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ..datasets.labeled_image import LabeledImage
from ..export.heap import keeping_free_memory
from ..export.reference import normalize_images
from ..fcn_models.preprocessing import PREPROCESSING
from ..runtime.atomic import make_folder
from ..runtime.errors import DatasetError, DeviceError, FcnrtError, TrainingError
from .augmentation import Augmentation
from .batch_norm import add_batch_norm
from .data_module import PictureData, stream
from .module import FCNTraining, Round
from .plan import Plan, PrecisionName, Resolved
from .run_folder import STATE, RunFolder, check_folder
from .start import Start

_PRECISIONS: dict[PrecisionName, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_STATISTICS_PICTURES = 16


def train(
    start: Start,
    train_pictures: Sequence[LabeledImage],
    val_pictures: Sequence[LabeledImage],
    folder: Path,
    plan: Plan,
    *,
    resume: bool = False,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_round: Callable[[Round, bool], None] = lambda found, is_best: None,
) -> list[Round]:
    """Train a network and write, after each validation, everything there is to know into a folder.

    That is `last.safetensors`, `best.safetensors` (by mean IoU), `last.ckpt` (the state to resume from),
    `history.csv`, `history.png`, `samples.png`, and TensorBoard's files if it is installed.

    Args:
        start: The network; trained in place.
        train_pictures: Pictures to learn from.
        val_pictures: Pictures to validate on, at their own sizes.
        folder: Where to write; made if missing.
        plan: How to train.
        resume: Go on from the state in the folder; the result is that of a training that was never interrupted.
        on_step: Called after each step with its number and loss, in the first process.
        on_round: Called after each validation with what it found, and whether that is the best so far.

    Returns:
        What each validation found.

    Raises:
        TrainingError: If the loss is no longer a number, if memory is short, if there are fewer validation pictures
            than devices, if there is nothing to resume, or if there is a training in the folder that is not to be
            resumed.
        DeviceError: If there are not as many devices as asked for, if they do not have the precision, or if nothing
            says where the other machines are.
        OutputError: If something cannot be written.
        DatasetError: If a picture cannot be read.
        KeyboardInterrupt: If it is interrupted or terminated; it can be resumed from its last validation.
    """
    processes = plan.devices * plan.machines
    if len(val_pictures) < processes:  # one without any would not validate, and the others wait for its sums
        raise TrainingError(
            f"{len(val_pictures)} validation pictures cannot be shared among {processes} devices; take fewer "
            "--devices, or more pictures"
        )
    resolved = plan.resolved(start, len(train_pictures))
    run = RunFolder(folder, start, val_pictures, settings=_settings(start, plan, resolved), on_round=on_round)
    steps_taken, rounds_taken = _taken(folder, run, resolved, resume=resume)
    recipe = plan.recipe
    augmentation = Augmentation(crop=resolved.crop, scales=recipe.scales, mirrored=recipe.mirrored)
    start.network.dropout.p = recipe.dropout
    if recipe.batch_norm:
        add_batch_norm(start.network, _statistics_images(start, train_pictures, augmentation, plan))
    module = FCNTraining(
        start.network.to(memory_format=torch.channels_last),
        PREPROCESSING[start.preprocessing],
        recipe,
        lr=resolved.lr,
        steps=resolved.steps,
        steps_per_epoch=resolved.steps_per_epoch,
        seed=plan.seed,
    )
    data = PictureData(
        train_pictures,
        val_pictures,
        augmentation=augmentation,
        batch_size=resolved.batch_size,
        steps=resolved.steps,
        round_steps=resolved.round_steps,
        seed=plan.seed,
        workers=plan.workers,
    )
    with _quiet_lightning(), _translated_errors(), _interruptible() as is_interrupted:
        trainer = Trainer(
            default_root_dir=folder,
            accelerator="auto",
            devices=plan.devices,
            num_nodes=plan.machines,
            # Buffers that were sent around before each forward pass would need as many validation pictures everywhere.
            strategy=DDPStrategy(broadcast_buffers=False) if processes > 1 else "auto",
            precision=_PRECISIONS[plan.precision],
            # Lightning's epochs are our rounds; the last of a training that goes on may have been a short one.
            max_epochs=rounds_taken + math.ceil((resolved.steps - steps_taken) / resolved.round_steps),
            logger=TensorBoardLogger(folder, name="tensorboard", version="") if find_spec("tensorboard") else False,
            callbacks=[run, _Steps(on_step, is_interrupted)],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            log_every_n_steps=1,
        )
        _check_devices(trainer, plan)
        make_folder(folder)
        with keeping_free_memory() if trainer.strategy.root_device.type == "cpu" else contextlib.nullcontext():
            trainer.fit(module, data, ckpt_path=folder / STATE if resume else None, weights_only=True)
    return run.history


class _Steps(Callback):
    """Tells of each step, and stops behind it if the training was interrupted."""

    def __init__(self, on_step: Callable[[int, float], None], is_interrupted: Callable[[], bool]) -> None:
        self._on_step = on_step
        self._is_interrupted = is_interrupted

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.is_global_zero:
            self._on_step(trainer.global_step, float(outputs["loss"]))
        if self._is_interrupted():
            raise KeyboardInterrupt


def _settings(start: Start, plan: Plan, resolved: Resolved) -> dict[str, str | int | float | list[str]]:
    """What makes one training another."""
    config = start.network.config
    return {
        "variant": config.variant,
        "align": config.align,
        "width": config.width,
        "fc_channels": config.fc_channels,
        "classes": list(start.class_names),
        "pre-processing": start.preprocessing,
        "recipe": plan.recipe.name,
        "lr": resolved.lr,
        "batch size": resolved.batch_size,
        "crop": str(resolved.crop),
        "precision": plan.precision,
        "devices": plan.devices * plan.machines,
        "steps between validations": resolved.round_steps,
        "seed": plan.seed,
    }


def _taken(folder: Path, run: RunFolder, resolved: Resolved, *, resume: bool) -> tuple[int, int]:
    """Steps and rounds that were taken already; checks that the folder holds what is asked for."""
    check_folder(folder, resume=resume)
    if resume:
        done, rounds = run.check_resumable()
        if done >= resolved.steps:
            raise TrainingError(
                f"{folder} has taken {done:,} steps, and {resolved.steps:,} are asked for; ask for more with --epochs "
                "or --steps"
            )
        return done, rounds
    return 0, 0


def _check_devices(trainer: Trainer, plan: Plan) -> None:
    """Refuse what Lightning would wait for without end, or quietly do in another way."""
    if plan.precision == "fp16" and trainer.strategy.root_device.type == "cpu":
        raise DeviceError("fp16 needs a GPU, and PyTorch has none here; take --precision bf16")
    strategy = trainer.strategy
    without_launcher = isinstance(strategy, DDPStrategy) and type(strategy.cluster_environment) is LightningEnvironment
    if plan.machines > 1 and without_launcher and "MASTER_ADDR" not in os.environ:
        raise DeviceError(
            f"nothing says where the other machines of {plan.machines} are; start the command on each with a launcher "
            "(torchrun, SLURM), or leave --machines out"
        )


def _statistics_images(
    start: Start, pictures: Sequence[LabeledImage], augmentation: Augmentation, plan: Plan
) -> torch.Tensor | None:
    """Images for the first statistics of a trained network's activations; None for random weights."""
    if not start.is_trained:
        return None
    keys = stream(0, _STATISTICS_PICTURES, len(pictures), plan.seed)
    images = torch.stack([augmentation(pictures[index], seed)[0] for index, seed in keys])
    return normalize_images(images, PREPROCESSING[start.preprocessing])


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advertisements and advice to itself while the block runs."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Say in our words what PyTorch and Lightning complain of while the block runs."""
    try:
        yield
    except torch.OutOfMemoryError as exc:
        raise TrainingError(
            f"the device has not enough memory: {str(exc).partition('. ')[0]}. Take a smaller --crop or --batch-size, "
            "--precision bf16, or smaller validation pictures, which are not cut"
        ) from exc
    except MisconfigurationException as exc:
        raise DeviceError(" ".join(str(exc).split())) from exc
    except DatasetError as exc:
        # A process that reads pictures wraps its whole traceback around the message.
        raise DatasetError(str(exc).rpartition("DatasetError: ")[2].strip()) from exc
    except RuntimeError as exc:
        if isinstance(exc, FcnrtError) or "DataLoader worker" not in str(exc):
            raise
        raise TrainingError(
            f"a process that reads pictures died ({str(exc).partition('. ')[0]}), mostly for want of memory or of "
            "shared memory (/dev/shm). Try fewer with --workers, 0 for none, and --resume"
        ) from exc


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C stay what it is; yields a function that tells whether it was pressed.

    Lightning turns it into an exit with code 1 and ignores it from then on, and SIGTERM into one with code 0. Python
    drops an interruption that comes while objects are deleted, as the processes that read pictures are in each round.
    """
    handler = signal.getsignal(signal.SIGINT)
    pressed = False

    def interrupt(*_: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    try:
        if handler is signal.default_int_handler:
            with contextlib.suppress(ValueError):  # not the main thread, which alone is interrupted
                signal.signal(signal.SIGINT, interrupt)
        yield lambda: pressed
    except SystemExit as exc:
        if isinstance(exc, SIGTERMException) or isinstance(exc.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from exc
        raise
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: nothing was changed
            signal.signal(signal.SIGINT, handler)
