"""The pictures of a training in the order of its steps, shared out among its processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from ..datasets.labeled_image import LabeledImage
from .augmentation import Augmentation, as_tensors

Sample = tuple[torch.Tensor, torch.Tensor, str]
Key = tuple[int, int]


class PictureData(LightningDataModule):
    """Batches of training pictures, and one validation picture after the other at its own size.

    The training pictures are one stream: all of them in a random order, again in another, and so on, cut into batches
    of one size. Place and random changes of each depend on the seed and its number in the stream alone, so that a
    resumed training sees what an uninterrupted one would have seen.

    Args:
        train: Pictures to learn from.
        val: Pictures to validate on.
        augmentation: Changes the training pictures.
        batch_size: Pictures per step and process.
        steps: Steps of the whole training.
        round_steps: Steps from one validation to the next.
        seed: Decides on the stream.
        workers: Processes that read pictures; 0: the training reads them itself.
    """

    def __init__(
        self,
        train: Sequence[LabeledImage],
        val: Sequence[LabeledImage],
        *,
        augmentation: Augmentation,
        batch_size: int,
        steps: int,
        round_steps: int,
        seed: int,
        workers: int,
    ) -> None:
        super().__init__()
        self._train, self._val = train, val
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._steps, self._round_steps = steps, round_steps
        self._seed = seed
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Sample]:
        """The batches of the round that begins now."""
        assert self.trainer is not None
        first, processes = self.trainer.global_step, self.trainer.world_size
        last = min(first + self._round_steps, self._steps)
        together = processes * self._batch_size  # pictures per step
        keys = stream(first * together, last * together, len(self._train), self._seed)
        shares = [keys[start : start + self._batch_size] for start in range(0, len(keys), self._batch_size)]
        own = [key for share in shares[self.trainer.global_rank :: processes] for key in share]
        return self._loader(_Pictures(self._train, self._augmentation), own, self._batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """This process's share of the validation pictures, none of them twice."""
        assert self.trainer is not None
        own = [(index, 0) for index in range(self.trainer.global_rank, len(self._val), self.trainer.world_size)]
        return self._loader(_Pictures(self._val, None), own, 1)

    def _loader(self, pictures: Dataset[Sample], keys: Sequence[Key], batch_size: int) -> DataLoader[Sample]:
        return DataLoader(
            pictures,
            batch_size=batch_size,
            sampler=keys,
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
            # Of its own: otherwise it draws from the dropout's random numbers, at one time or another.
            generator=torch.Generator(),
        )


def stream(start: int, stop: int, count: int, seed: int) -> list[Key]:
    """Which pictures are seen, from the one with number `start` of the whole training to the one before `stop`.

    Args:
        start: Number of the first.
        stop: Number behind the last.
        count: Pictures that there are; each is seen once before any is seen again.
        seed: Decides on the order.

    Returns:
        Index and seed of each.
    """
    keys: list[Key] = []
    for lap in range(start // count, -(-stop // count)):
        random = np.random.default_rng([seed, lap])
        order, seeds = random.permutation(count), random.integers(2**62, size=count)
        low, high = max(start - lap * count, 0), min(stop - lap * count, count)
        keys += [(int(order[place]), int(seeds[place])) for place in range(low, high)]
    return keys


class _Pictures(Dataset[Sample]):
    """Pictures by index and seed."""

    def __init__(self, pictures: Sequence[LabeledImage], augmentation: Augmentation | None) -> None:
        self._pictures = pictures
        self._augmentation = augmentation

    def __getitem__(self, key: Key) -> Sample:
        index, seed = key
        picture = self._pictures[index]
        image, label = as_tensors(picture) if self._augmentation is None else self._augmentation(picture, seed)
        return image, label, picture.name
