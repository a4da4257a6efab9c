"""What one step of training computes, and how a round of steps is judged."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch.nn.functional import cross_entropy

from ..datasets.confusion import ConfusionMatrix
from ..export.reference import normalize_images
from ..fcn_models.fcn import FCN
from ..fcn_models.preprocessing import Preprocessing
from ..fcn_models.voc import VOC_VOID
from ..runtime.errors import TrainingError
from .recipe import Recipe, lr_factor, make_optimizer


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a validation found, and the training since the one before.

    Attributes:
        step: Steps taken from the beginning of the training.
        epoch: How often the training pictures were seen, as a fraction.
        lr: Learning rate of the last step.
        train_loss: Mean cross entropy of the pixels that were trained on, as they were met.
        val_loss: Mean cross entropy of all labelled pixels of the validation pictures.
        pixel_accuracy: Share of them whose class is right, 0..1.
        mean_accuracy: Mean over the classes of that share.
        mean_iou: Mean over the classes of intersection over union, from one matrix of all pictures.
        seconds: Time the training and the validation took.
    """

    step: int
    epoch: float
    lr: float
    train_loss: float
    val_loss: float
    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    seconds: float


class FCNTraining(LightningModule):
    """A network with its loss, its optimiser and its score.

    Args:
        network: The network; its frozen parameters stay as they are.
        preprocessing: What it wants done to pixels first.
        recipe: How to train.
        lr: Learning rate.
        steps: Steps of the whole training.
        steps_per_epoch: Steps in which each picture is seen once, as a fraction.
        seed: Decides on the dropout.
    """

    def __init__(
        self,
        network: FCN,
        preprocessing: Preprocessing,
        recipe: Recipe,
        *,
        lr: float,
        steps: int,
        steps_per_epoch: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self._preprocessing = preprocessing
        self._recipe = recipe
        self._lr, self._steps, self._steps_per_epoch = lr, steps, steps_per_epoch
        self._seed = seed
        self.round: Round | None = None

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, its learning rate set anew at each step."""
        optimizer = make_optimizer(self._recipe, self.network, self._lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(self._recipe.schedule, min(step / self._steps, 1.0))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen: of many classes the upsampling is a thousand times as large as all the rest."""
        for name in self._frozen():
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what is frozen, which the network has already."""
        checkpoint["state_dict"].update(self._frozen())

    def _frozen(self) -> dict[str, torch.Tensor]:
        return {name: value.detach() for name, value in self.named_parameters() if not value.requires_grad}

    def on_train_epoch_start(self) -> None:
        """Begin a round, with random numbers that do not depend on how the training got here."""
        torch.manual_seed(hash((self._seed, self.global_step, self.global_rank)) % 2**63)
        self._train_loss = self._train_pixels = 0.0
        self._started = time.monotonic()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor, list[str]], _: int) -> torch.Tensor:
        """The loss of a batch: images, uint8 (N, 3, H, W), labels, uint8 (N, H, W), and names."""
        images, labels, names = batch
        total, pixels = _loss(self._logits(images), labels)
        value = total.item()
        self._check_finite(value, f"in step {self.global_step + 1}, on {', '.join(names)}")
        self._train_loss += value
        self._train_pixels += pixels
        # A batch may be all void; the mean of no pixels would be NaN.
        return total if self._recipe.loss == "sum" else total / max(pixels, 1)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._confusion = ConfusionMatrix(self.network.config.num_classes, VOC_VOID)
        self._val_loss = self._val_pixels = 0.0

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor, list[str]], _: int) -> None:
        """Count the pixels of a picture at its own size."""
        images, labels, _names = batch
        logits = self._logits(images)
        total, pixels = _loss(logits, labels)
        self._val_loss += total.item()
        self._val_pixels += pixels
        self._confusion.update(labels.cpu().numpy(), logits.argmax(1).cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Sum up what all processes counted."""
        sums = [self._train_loss, self._train_pixels, self._val_loss, self._val_pixels]
        if self.trainer.world_size > 1:
            reduce = self.trainer.strategy.reduce
            sums = reduce(torch.tensor(sums, dtype=torch.float64, device=self.device), reduce_op="sum").tolist()
            counts = torch.from_numpy(self._confusion.counts).to(self.device)
            self._confusion.counts = reduce(counts, reduce_op="sum").cpu().numpy()
        train_loss, train_pixels, val_loss, val_pixels = sums
        # Before anything is written: all pixels of such a network get the first class, which may be the best so far.
        self._check_finite(val_loss, f"in the validation after step {self.global_step}")
        self.round = Round(
            step=self.global_step,
            epoch=self.global_step / self._steps_per_epoch,
            lr=self._lr * lr_factor(self._recipe.schedule, (self.global_step - 1) / self._steps),
            train_loss=train_loss / max(train_pixels, 1),
            val_loss=val_loss / max(val_pixels, 1),
            pixel_accuracy=self._confusion.pixel_accuracy(),
            mean_accuracy=self._confusion.mean_accuracy(),
            mean_iou=self._confusion.mean_iou(),
            seconds=time.monotonic() - self._started,
        )

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Class of each pixel, (N, H, W), of images, uint8 (N, 3, H, W)."""
        return self._logits(images.to(self.device)).argmax(1)

    def _check_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} {where}. The learning rate {self._lr:g} is too high for these weights: try "
                f"--lr {self._lr / 10:g}"
            )

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        # Losses and scores are computed in float32, whatever precision the convolutions have.
        return self.network(normalize_images(images, self._preprocessing)).float()  # type: ignore[no-any-return]


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross entropy summed over the pixels that are not void, and their number."""
    total = cross_entropy(logits, labels.long(), ignore_index=VOC_VOID, reduction="sum")
    return total, int((labels != VOC_VOID).sum())
