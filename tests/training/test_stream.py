"""The order of the pictures: each once before any twice, the same after resuming, shared out without overlap."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace

import numpy as np

from fcnrt.training.augmentation import Augmentation
from fcnrt.training.data_module import PictureData, stream


def test_each_picture_is_seen_once_before_any_is_seen_twice() -> None:
    keys = stream(0, 30, 10, seed=3)
    laps = [[index for index, _ in keys[start : start + 10]] for start in (0, 10, 20)]
    assert [sorted(lap) for lap in laps] == [list(range(10))] * 3
    assert laps[0] != laps[1] != laps[2]
    assert len({seed for _, seed in keys}) == 30  # the same picture is changed in another way each time
    assert stream(0, 30, 10, seed=4) != keys


def test_a_part_is_a_part_of_the_whole() -> None:
    whole = stream(0, 47, 10, seed=0)
    assert len(whole) == 47
    assert whole == stream(0, 13, 10, seed=0) + stream(13, 39, 10, seed=0) + stream(39, 47, 10, seed=0)


def make_data(squares, *, step: int, rank: int = 0, processes: int = 1) -> PictureData:
    data = PictureData(
        squares,
        squares,
        augmentation=Augmentation(crop=None),
        batch_size=2,
        steps=7,
        round_steps=3,
        seed=0,
        workers=0,
    )
    data.trainer = SimpleNamespace(global_step=step, world_size=processes, global_rank=rank)  # type: ignore[assignment]
    return data


def test_rounds_are_of_the_asked_length_and_the_last_is_what_remains(squares) -> None:
    rounds = [list(make_data(squares, step=step).train_dataloader().sampler) for step in (0, 3, 6)]
    assert [len(keys) for keys in rounds] == [6, 6, 2]
    assert [*chain(*rounds)] == stream(0, 14, len(squares), 0)


def test_processes_share_each_batch_and_the_validation(squares) -> None:
    data = [make_data(squares, step=3, rank=rank, processes=2) for rank in (0, 1)]
    first, second = (list(one.train_dataloader().sampler) for one in data)
    together = stream(12, 24, len(squares), 0)
    assert [*first[:2], *second[:2], *first[2:4], *second[2:4]] == together[:8]
    validated = [[index for index, _ in one.val_dataloader().sampler] for one in data]
    assert sorted(chain(*validated)) == list(range(5))  # none twice: twice counted, it would change the score


def test_validation_pictures_come_whole_and_unchanged(squares) -> None:
    for picture, (images, labels, names) in zip(squares, make_data(squares, step=0).val_dataloader(), strict=True):
        np.testing.assert_array_equal(images[0].permute(1, 2, 0), picture.image)
        np.testing.assert_array_equal(labels[0], picture.label)
        assert names == (picture.name,)
