"""`RunFolder`: everything a training writes, once per validation."""

from __future__ import annotations

import copy
import csv
import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from ..datasets.labeled_image import LabeledImage
from ..fcn_models.checkpoint import save_checkpoint
from ..fcn_models.checkpoint_file import TRAINING_KEY
from ..runtime.atomic import atomic_path
from ..runtime.errors import OutputError, TrainingError
from .augmentation import as_tensors
from .batch_norm import fold_batch_norm
from .module import FCNTraining, Round
from .plots import plot_history, plot_samples
from .start import Start

LAST, BEST = "last.safetensors", "best.safetensors"
STATE = "last.ckpt"
HISTORY, CURVES, SAMPLES = "history.csv", "history.png", "samples.png"

_SAMPLE_COUNT = 4

Settings = Mapping[str, "str | int | float | list[str]"]


def check_folder(folder: Path, *, resume: bool) -> None:
    """Check that a folder holds a training to resume, or none if it is to begin there.

    Raises:
        TrainingError: If not.
    """
    is_there = (folder / STATE).is_file()
    if resume and not is_there:
        raise TrainingError(f"{folder} holds no training to resume (no {STATE}); leave --resume out")
    if is_there and not resume:
        raise TrainingError(f"{folder} holds a training already; go on with --resume, or give another folder")
    replaced = next((name for name in (BEST, LAST) if (folder / name).exists()), None)
    if replaced is not None and not is_there:
        raise TrainingError(f"{folder} holds a {replaced} that would be replaced; give another folder, or move it away")


class RunFolder(Checkpoint):
    """Writes weights, the state to resume from, and the report of a training into a folder.

    Args:
        folder: Where to write.
        start: What is trained.
        val: Validation pictures; a few of them, always the same, are drawn with what is predicted.
        settings: What must not change when the training is resumed.
        on_round: Called after each round with what it found, and whether that is the best so far.
    """

    def __init__(
        self,
        folder: Path,
        start: Start,
        val: Sequence[LabeledImage],
        *,
        settings: Settings,
        on_round: Callable[[Round, bool], None],
    ) -> None:
        self._folder = folder
        self._start = start
        step = max(1, len(val) // _SAMPLE_COUNT)
        self._samples = [val[index] for index in range(0, len(val), step)][:_SAMPLE_COUNT]
        self._settings = settings
        self._on_round = on_round
        self.history: list[Round] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files of the round that ends; its validation is over."""
        assert isinstance(pl_module, FCNTraining)
        assert pl_module.round is not None
        found = pl_module.round
        is_best = all(found.mean_iou > earlier.mean_iou for earlier in self.history)
        self.history.append(found)
        if trainer.is_global_zero:
            self._write_weights(pl_module, found)
            if is_best:
                with atomic_path(self._folder / BEST) as path:
                    shutil.copyfile(self._folder / LAST, path)
            self._write_history()
        # All processes take part. The state comes behind the weights, which it says have been written, and before the
        # pictures: whatever goes wrong with those, the training can go on.
        unfinished = self._folder / f".{STATE}"
        try:
            trainer.save_checkpoint(unfinished)
        except OSError as exc:
            raise OutputError(f"cannot write {self._folder / STATE}: {exc.strerror or exc}") from exc
        if trainer.is_global_zero:
            unfinished.replace(self._folder / STATE)
            plot_history(self.history, self._folder / CURVES)
            if is_best:
                self._draw_samples(pl_module, found)
            if trainer.logger is not None:
                values = dataclasses.asdict(found)
                trainer.logger.log_metrics({name: values[name] for name in values if name != "step"}, step=found.step)
            self._on_round(found, is_best)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the history and the settings to a trainer's state."""
        rounds = [dataclasses.asdict(entry) for entry in self.history]
        checkpoint[TRAINING_KEY] = {"settings": dict(self._settings), "history": rounds}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take the history over from a trainer's state."""
        self.history = [Round(**entry) for entry in checkpoint[TRAINING_KEY]["history"]]

    def check_resumable(self) -> tuple[int, int]:
        """Check that the state in the folder is one of this training.

        Returns:
            Steps and rounds that were taken.

        Raises:
            TrainingError: If it is damaged, or if it was made with other settings.
        """
        path = self._folder / STATE
        try:
            record = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            settings, steps = record[TRAINING_KEY]["settings"], int(record["global_step"])
            rounds = len(record[TRAINING_KEY]["history"])
        # A damaged file can make the unpickler raise almost anything.
        except Exception as exc:
            raise TrainingError(
                f"{path} is damaged or no training's state; start again in another folder, with --init {LAST} perhaps"
            ) from exc
        changed = [
            f"{name} was {settings.get(name)} and is {value}"
            for name, value in self._settings.items()
            if settings.get(name) != value
        ]
        if changed:
            raise TrainingError(
                f"{path} was trained in another way: {'; '.join(changed)}. Resume with the same options, or start "
                f"anew with --init {self._folder / LAST} in another folder"
            )
        return steps, rounds

    def _write_weights(self, training: FCNTraining, found: Round) -> None:
        network = copy.deepcopy(training.network).cpu().eval()
        fold_batch_norm(network)
        save_checkpoint(
            network,
            self._folder / LAST,
            preprocessing=self._start.preprocessing,
            class_names=self._start.class_names,
            palette=self._start.palette,
            notes={
                "start": self._start.origin,
                "steps": str(found.step),
                "val_miou": f"{found.mean_iou:.4f}",
                **{name: str(value) for name, value in self._settings.items() if name in ("recipe", "lr", "seed")},
            },
            dtype="float32",
        )

    @torch.no_grad()
    def _draw_samples(self, training: FCNTraining, found: Round) -> None:
        training.eval()
        maps = [training.predict(as_tensors(sample)[0][None])[0] for sample in self._samples]
        training.train()
        plot_samples(
            self._samples,
            [class_map.to(torch.uint8).cpu().numpy() for class_map in maps],
            self._folder / SAMPLES,
            class_names=self._start.class_names,
            palette=self._start.palette,
            title=f"validation pictures, epoch {found.epoch:.1f}, mIoU {100 * found.mean_iou:.1f} %",
        )

    def _write_history(self) -> None:
        with atomic_path(self._folder / HISTORY) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Round)])
            writer.writeheader()
            writer.writerows(dataclasses.asdict(entry) for entry in self.history)
