"""Whole trainings, of networks so slim that they take seconds."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from PIL import Image

from fcnrt.datasets.confusion import ConfusionMatrix
from fcnrt.datasets.labeled_image import LabeledImage
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.reference import reference_logits
from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.fcn_models.voc import VOC_CLASSES, voc_palette
from fcnrt.runtime.errors import DatasetError, DeviceError, OutputError, TrainingError
from fcnrt.runtime.spec import ImageSize
from fcnrt.training.module import Round
from fcnrt.training.plan import Plan
from fcnrt.training.recipe import RECIPES
from fcnrt.training.start import from_checkpoint, from_scratch
from fcnrt.training.train import train

CALM = dataclasses.replace(RECIPES["scratch"], scales=(1.0, 1.0), mirrored=False, dropout=0.0)
# Two epochs of five pictures, validated once.
PLAN = Plan(recipe=RECIPES["scratch"], epochs=2, validate_every=5, batch_size=2, crop=ImageSize(32, 48), lr=3e-3)


def score(path: Path, pictures: list[LabeledImage]) -> ConfusionMatrix:
    """What the written network makes of the pictures, counted without any of the training's code."""
    checkpoint = load_checkpoint(path)
    confusion = ConfusionMatrix(len(checkpoint.class_names))
    for picture in pictures:
        logits = reference_logits(checkpoint.model, PREPROCESSING[checkpoint.preprocessing], picture.image[None])
        confusion.update(picture.label, logits.argmax(1)[0])
    return confusion


def test_learns_four_scenes_by_heart(tmp_path: Path) -> None:
    """The proof that loss, gradients, labels and pictures belong together: a small network can know four scenes."""
    size = ImageSize(128, 128)
    scenes = [render_scene(0, index, size) for index in range(4)]
    start = from_scratch("fcn8s", VOC_CLASSES, voc_palette()[:21], width=1 / 8, fc_channels=64, seed=0)
    plan = Plan(recipe=CALM, steps=160, validate_every=160, batch_size=4, crop=size, lr=8e-3)
    history = train(start, scenes, scenes, tmp_path, plan)
    assert history[-1].mean_iou > 0.95
    # The file, with its batch normalisation folded away, is as good as what was validated.
    confusion = score(tmp_path / "best.safetensors", scenes)
    assert confusion.mean_iou() == pytest.approx(history[-1].mean_iou, abs=1e-3)
    assert confusion.pixel_accuracy() == pytest.approx(history[-1].pixel_accuracy, abs=1e-3)


def test_everything_is_written(tmp_path: Path, squares, make_start) -> None:
    steps: list[tuple[int, float]] = []
    rounds: list[tuple[Round, bool]] = []
    history = train(
        make_start("fcn16s"),
        squares,
        squares[:3],
        tmp_path / "new" / "folder",
        dataclasses.replace(PLAN, epochs=3, validate_every=None),
        on_step=lambda step, loss: steps.append((step, loss)),
        on_round=lambda found, is_best: rounds.append((found, is_best)),
    )
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "history.csv",
        "history.png",
        "last.ckpt",
        "last.safetensors",
        "samples.png",
    ]
    # Three epochs of five pictures in pairs: 7.5 steps, made 8, validated about once per epoch.
    assert [step for step, _ in steps] == list(range(1, 9))
    assert [(found.step, found.epoch) for found in history] == [(2, 0.8), (4, 1.6), (6, 2.4), (8, 3.2)]
    assert [found for found, _ in rounds] == history
    best = max(history, key=lambda found: found.mean_iou)
    assert [found for found, is_best in rounds if is_best][-1] == best
    with (folder / "history.csv").open() as file:
        written = [Round(**{key: type_(row[key]) for key, type_ in _types().items()}) for row in csv.DictReader(file)]
    assert written == history
    for name, found in (("last", history[-1]), ("best", best)):
        checkpoint = load_checkpoint(folder / f"{name}.safetensors")
        assert (checkpoint.model.config.variant, checkpoint.class_names) == ("fcn16s", ("background", "square"))
        assert checkpoint.palette == ((0, 0, 0), (12, 0, 0))
        assert checkpoint.notes["steps"] == str(found.step)
        assert score(folder / f"{name}.safetensors", squares[:3]).mean_iou() == pytest.approx(found.mean_iou, abs=2e-3)
    for picture in ("history.png", "samples.png"):
        with Image.open(folder / picture) as image:
            assert min(image.size) > 300
            assert len(np.unique(np.asarray(image.convert("L")))) > 50


def _types() -> dict[str, type]:
    return {field.name: int if field.name == "step" else float for field in dataclasses.fields(Round)}


@pytest.mark.parametrize("recipe", ["scratch", "poly"])
def test_a_resumed_training_is_one_that_was_never_interrupted(recipe: str, tmp_path: Path, squares, make_start) -> None:
    """Two epochs, Ctrl-C, and two more are four epochs, bit by bit: order, changes, dropout, momentum and schedule."""
    plan = dataclasses.replace(PLAN, recipe=RECIPES[recipe], epochs=4)
    whole = train(make_start(), squares, squares, tmp_path / "whole", plan)

    def interrupt(found: Round, is_best: bool) -> None:
        if found.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_start(), squares, squares, tmp_path / "halves", plan, on_round=interrupt)
    assert load_checkpoint(tmp_path / "halves" / "last.safetensors").notes["steps"] == "5"
    resumed = train(make_start(seed=9), squares, squares, tmp_path / "halves", plan, resume=True)
    assert [dataclasses.replace(found, seconds=0) for found in resumed] == [
        dataclasses.replace(found, seconds=0) for found in whole
    ]
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "halves" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_that_python_drops_stops_behind_the_step(tmp_path: Path, squares, make_start) -> None:
    """One that comes while an object is deleted, say a reader of pictures at the end of a round, is raised nowhere."""
    steps: list[int] = []

    def drop(step: int, loss: float) -> None:
        steps.append(step)
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_start(), squares, squares, tmp_path, PLAN, on_step=drop)
    assert steps == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_picture_that_fails_costs_nothing_that_was_learned(
    tmp_path: Path, squares, make_start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OutputError("cannot write samples.png")

    monkeypatch.setattr("fcnrt.training.run_folder.plot_samples", fail)
    with pytest.raises(OutputError, match=r"cannot write samples\.png"):
        train(make_start(), squares, squares, tmp_path, PLAN)
    with pytest.raises(TrainingError, match="has taken 5 steps"):
        train(make_start(), squares, squares, tmp_path, PLAN, resume=True)


def test_a_terminated_training_is_no_finished_one(tmp_path: Path, squares, make_start) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            make_start(),
            squares,
            squares,
            tmp_path,
            PLAN,
            on_step=lambda step, loss: signal.raise_signal(signal.SIGTERM),
        )
    assert not (tmp_path / "last.ckpt").exists()


def test_a_longer_training_goes_on_behind_a_short_last_round(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, recipe=CALM, epochs=None, steps=4, validate_every=3)
    train(make_start(), squares, squares, tmp_path, plan)
    history = train(make_start(), squares, squares, tmp_path, dataclasses.replace(plan, steps=9), resume=True)
    assert [found.step for found in history] == [3, 4, 7, 9]


def test_the_state_holds_nothing_but_values(tmp_path: Path, squares, make_start) -> None:
    """np.float64 in a checkpoint, as of a best score, cannot be loaded by a PyTorch that reads no code."""
    train(make_start(), squares, squares, tmp_path, PLAN)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["global_step"] == 5
    assert state["fcnrt"]["settings"]["recipe"] == "scratch"
    assert not any("upscore" in name for name in state["state_dict"])  # fixed, and of many classes a gigabyte


def test_a_state_that_holds_the_upsampling_is_resumed_too(tmp_path: Path, squares, make_start) -> None:
    """As earlier ones do."""
    train(make_start(), squares, squares, tmp_path, PLAN)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    frozen = {
        f"network.{name}": value for name, value in make_start().network.state_dict().items() if "upscore" in name
    }
    assert frozen
    state["state_dict"].update(frozen)
    torch.save(state, tmp_path / "last.ckpt")
    history = train(make_start(), squares, squares, tmp_path, dataclasses.replace(PLAN, epochs=3), resume=True)
    assert [found.step for found in history] == [5, 8]


def test_only_the_same_training_is_resumed(tmp_path: Path, squares, make_start) -> None:
    with pytest.raises(TrainingError, match=r"holds no training to resume \(no last\.ckpt\); leave --resume out"):
        train(make_start(), squares, squares, tmp_path, PLAN, resume=True)
    train(make_start(), squares, squares, tmp_path, PLAN)
    with pytest.raises(TrainingError, match="holds a training already; go on with --resume, or give another folder"):
        train(make_start(), squares, squares, tmp_path, PLAN)
    with pytest.raises(TrainingError, match="has taken 5 steps, and 5 are asked for; ask for more"):
        train(make_start(), squares, squares, tmp_path, PLAN, resume=True)
    with pytest.raises(TrainingError, match=r"another way: variant was fcn8s and is fcn16s; lr was 0\.003 and is 0\.5"):
        train(make_start("fcn16s"), squares, squares, tmp_path, dataclasses.replace(PLAN, lr=0.5), resume=True)
    other_init = dataclasses.replace(make_start(), preprocessing="caffe_bgr")
    with pytest.raises(TrainingError, match="another way: pre-processing was imagenet_rgb and is caffe_bgr"):
        train(other_init, squares, squares, tmp_path, dataclasses.replace(PLAN, epochs=3), resume=True)
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04")
    with pytest.raises(TrainingError, match=r"last\.ckpt is damaged or no training's state"):
        train(make_start(), squares, squares, tmp_path, PLAN, resume=True)


def test_loss_that_is_no_number(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, recipe=RECIPES["paper"], lr=1e30, crop=None, batch_size=1)
    with pytest.raises(
        TrainingError,
        match=r"loss became (nan|inf) in step \d+, on square\d\. The learning rate 1e\+30 is too .*--lr 1e\+29",
    ):
        train(make_start(), squares, squares, tmp_path, plan)


def test_a_network_of_nan_is_never_the_best(tmp_path: Path, squares, make_start) -> None:
    """Its pixels all get the first class, which would be the highest score of a first validation."""
    plan = dataclasses.replace(PLAN, recipe=RECIPES["poly"], lr=1e30, epochs=None, steps=1)
    with pytest.raises(
        TrainingError, match=r"loss became nan in the validation after step 1\. The learning rate 1e\+30"
    ):
        train(make_start(), squares, squares, tmp_path, plan)
    assert list(tmp_path.iterdir()) == []


def test_memory_that_is_short(tmp_path: Path, squares, make_start) -> None:
    def fail(step: int, loss: float) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(TrainingError, match=r"not enough memory: CUDA out of memory\. Take a smaller --crop"):
        train(make_start(), squares, squares, tmp_path, PLAN, on_step=fail)


class Vanishing(list[LabeledImage]):
    """Pictures whose file is gone when it is read."""

    def __getitem__(self, index: object) -> LabeledImage:  # type: ignore[override]
        raise DatasetError("cannot read photos/3.jpg: gone")


FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12 and 3.13, in DataLoader


@FORKS
@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanishes_is_named_in_one_line(tmp_path: Path, squares, make_start, workers: int) -> None:
    with pytest.raises(DatasetError) as caught:
        plan = dataclasses.replace(PLAN, recipe=RECIPES["poly"], workers=workers)
        train(make_start(), Vanishing(squares), squares, tmp_path, plan)
    assert str(caught.value) == "cannot read photos/3.jpg: gone"


class Dying(list[LabeledImage]):
    """Pictures that the process does not survive."""

    def __getitem__(self, index: object) -> LabeledImage:  # type: ignore[override]
        os._exit(9)


@FORKS
def test_a_reader_that_dies(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, recipe=RECIPES["poly"], workers=1)
    with pytest.raises(
        TrainingError, match=r"a process that reads pictures died .*Try fewer with --workers, 0 for none"
    ):
        train(make_start(), Dying(squares), squares, tmp_path, plan)


def test_a_folder_that_vanishes(tmp_path: Path, squares, make_start) -> None:
    folder = tmp_path / "out"
    with pytest.raises(OutputError, match=r"cannot write .*out/last\.safetensors: No such file or directory"):
        plan = dataclasses.replace(PLAN, validate_every=2)
        train(make_start(), squares, squares, folder, plan, on_round=lambda found, is_best: shutil.rmtree(folder))


def test_more_devices_than_there_are(tmp_path: Path, squares, make_start) -> None:
    def fail(step: int, loss: float) -> None:
        raise MisconfigurationException("You requested gpu: [0, 1]\n But your machine only has: [0]")

    with pytest.raises(DeviceError, match=r"You requested gpu: \[0, 1\] But your machine only has: \[0\]"):
        train(make_start(), squares, squares, tmp_path, PLAN, on_step=fail)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"precision": "fp16"}, "fp16 needs a GPU, and PyTorch has none here; take --precision bf16"),
        (
            {"machines": 2},
            r"nothing says where the other machines of 2 are; start .* with a launcher \(torchrun, SLURM\)",
        ),
    ],
)
def test_what_lightning_would_change_or_wait_for(
    tmp_path: Path, squares, make_start, monkeypatch: pytest.MonkeyPatch, asked: dict[str, object], message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match=message):
        train(make_start(), squares, squares, tmp_path / "out", dataclasses.replace(PLAN, **asked))
    assert not (tmp_path / "out").exists()


def test_more_devices_than_validation_pictures(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, devices=2, machines=3)
    with pytest.raises(TrainingError, match="5 validation pictures cannot be shared among 6 devices; take fewer --dev"):
        train(make_start(), squares, squares, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_batches_need_one_size(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, recipe=RECIPES["paper"], crop=None)
    with pytest.raises(TrainingError, match="a batch of 2 pictures must be of one size: give --crop HxW"):
        train(make_start(), squares, squares, tmp_path, plan)


def test_a_batch_too_small_for_batch_normalisation(tmp_path: Path, squares, make_start) -> None:
    plan = dataclasses.replace(PLAN, batch_size=1, crop=ImageSize(32, 32), epochs=None, steps=1)
    with pytest.raises(TrainingError, match="one cut-out of 32x32 is a single value to the last layers"):
        train(make_start(), squares, squares, tmp_path, plan)
    train(make_start(), squares, squares, tmp_path, dataclasses.replace(plan, crop=ImageSize(32, 33)))


def test_void_counts_in_nothing(tmp_path: Path, squares, make_start) -> None:
    """Neither in losses nor in scores; and a picture of void only is no reason for NaN."""
    empty = dataclasses.replace(squares[0], label=np.full_like(squares[0].label, 255), name="empty")
    plan = dataclasses.replace(PLAN, recipe=dataclasses.replace(CALM, batch_norm=False), steps=3, epochs=None, lr=0.0)
    plan = dataclasses.replace(plan, batch_size=1, validate_every=3)
    (alone,) = train(make_start(), [empty, *squares[:2]], squares, tmp_path / "alone", plan)
    (with_empty,) = train(make_start(), [empty, *squares[:2]], [*squares, empty], tmp_path / "with", plan)
    # Scores of zero: every class has the probability one half at every pixel, and the loss is its logarithm everywhere.
    assert alone.train_loss == pytest.approx(math.log(2), rel=1e-6)
    assert dataclasses.replace(alone, seconds=0) == dataclasses.replace(with_empty, seconds=0)
    valid = sum((picture.label != 255).sum() for picture in squares)
    background = sum((picture.label == 0).sum() for picture in squares)
    assert alone.pixel_accuracy == background / valid


def test_scores_and_losses_do_not_depend_on_the_batches(tmp_path: Path, squares, make_start) -> None:
    """Averages of batches would: of losses by the number of pixels, of scores by what is in each batch."""
    first = train(make_start(), squares, squares, tmp_path / "first", dataclasses.replace(PLAN, steps=2, epochs=None))
    start = from_checkpoint(
        tmp_path / "first" / "last.safetensors", "fcn8s", ("background", "square"), ((0, 0, 0),) * 2
    )
    calm = dataclasses.replace(CALM, batch_norm=False)
    plan = Plan(recipe=calm, steps=5, validate_every=5, batch_size=1, crop=None, lr=0.0)
    # The crop of a recipe is for batches; whole pictures are what is validated.
    plan = dataclasses.replace(plan, recipe=dataclasses.replace(calm, crop=None))
    (found,) = train(start, squares, squares, tmp_path / "second", plan)
    assert found.train_loss == pytest.approx(found.val_loss, rel=1e-4)
    assert found.val_loss == pytest.approx(first[-1].val_loss, rel=1e-3)
    confusion = score(tmp_path / "second" / "last.safetensors", squares)
    assert (found.mean_iou, found.pixel_accuracy) == (confusion.mean_iou(), confusion.pixel_accuracy())


def test_a_right_answer_is_worth_one(tmp_path: Path, squares, make_start) -> None:
    """With one class of 21 present, a score divided by all classes would be 0.048."""
    names = tuple(f"class {index}" for index in range(21))
    blank = [
        dataclasses.replace(picture, label=np.where(picture.label == 1, 255, picture.label)) for picture in squares
    ]
    plan = dataclasses.replace(PLAN, recipe=RECIPES["paper"], crop=None, batch_size=1, steps=1, epochs=None)
    (found,) = train(make_start(names=names), blank, blank, tmp_path, plan)  # zero scores: all background
    assert (found.mean_iou, found.pixel_accuracy, found.mean_accuracy) == (1.0, 1.0, 1.0)


def test_the_papers_loss_is_a_sum_the_others_is_a_mean(tmp_path: Path, squares, make_start) -> None:
    """Over the labelled pixels of a whole picture; at zero scores each of them costs the logarithm of the classes."""
    plan = Plan(recipe=RECIPES["paper"], steps=1)
    losses: list[float] = []
    for recipe in (plan.recipe, dataclasses.replace(plan.recipe, loss="mean")):
        asked = dataclasses.replace(plan, recipe=recipe)
        folder = tmp_path / recipe.loss
        train(make_start(), squares[:1], squares, folder, asked, on_step=lambda _, loss: losses.append(loss))
    labelled = np.count_nonzero(squares[0].label != 255)
    assert losses == pytest.approx([labelled * math.log(2), math.log(2)], rel=1e-5)


def test_upsampling_stays_bilinear(tmp_path: Path, squares, make_start) -> None:
    train(make_start(), squares, squares, tmp_path, dataclasses.replace(PLAN, recipe=RECIPES["poly"], lr=0.1))
    from fcnrt.fcn_models.checkpoint_file import read_checkpoint_file

    file = read_checkpoint_file(tmp_path / "last.safetensors")
    assert not any(name.startswith("upscore") for name in file.tensors)  # only exactly bilinear ones are left out


def test_half_precision_on_a_cpu(tmp_path: Path, squares, make_start) -> None:
    history = train(make_start(), squares, squares, tmp_path, dataclasses.replace(PLAN, precision="bf16"))
    assert math.isfinite(history[-1].val_loss)
    assert load_checkpoint(tmp_path / "last.safetensors").model.conv1_1.weight.dtype == torch.float32
