"""`fcnrt train` as its users meet it: own classes in, a network that is exported, proven and run out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import scipy.io
from lightning.pytorch.utilities import rank_zero_only

from fcnrt.cli import train as command
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize
from fcnrt.training import plan

SLIM = ("--init", "none", "--width", "0.0625", "--fc-channels", "16", "--crop", "48x48", "--workers", "0")


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """Twelve pictures of a bright disc on noise under `images`, their masks, and the names of the two classes."""
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "discs" / folder).mkdir(parents=True)
    for index in range(12):
        image = random.integers(0, 60, (64, 80, 3), dtype=np.uint8)
        mask = np.zeros((64, 80), np.uint8)
        center = tuple(map(int, random.integers(24, 40, 2)))
        cv2.circle(mask, center, 20, 255, -1)
        cv2.circle(mask, center, 18, 1, -1)
        image[mask > 0] += 160
        cv2.imwrite(str(tmp_path / "discs" / "images" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "discs" / "masks" / f"{index}.png"), mask)
    (tmp_path / "classes.txt").write_text("table\ndisc #ff8800\n")
    return tmp_path / "discs"


def test_choices_are_those_of_the_library() -> None:
    assert get_args(command.PrecisionName) == get_args(plan.PrecisionName)


def test_from_own_pictures_to_a_class_map(fcnrt, discs: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", tmp_path / "discs.onnx"
    arguments = ("--data", discs, "--classes", tmp_path / "classes.txt", *SLIM, "--variant", "fcn16s", "-o", out)
    code, printed, err = fcnrt("train", *arguments, "--steps", "60", "--lr", "1e-2", "--validate-every", "30")
    assert (code, printed) == (0, f"{out / 'best.safetensors'}\n"), err
    lines = err.splitlines()
    assert lines[0] == "fcn16s · 2 classes · random weights"
    assert lines[1] == (
        "  recipe    scratch · 60 steps of 12 cut-outs of 48x48 · learning rate 0.01 · validation every 30 steps"
    )
    assert lines[2] == "  pictures  10 to learn from, 2 to validate on, all readable"
    assert lines[3].startswith("  step 30/60 · epoch 36.0 · loss 0.")
    assert lines[5] == f"  next      fcnrt export --checkpoint {out / 'best.safetensors'}"

    assert fcnrt("export", "--checkpoint", out / "best.safetensors", "-o", model).exit_code == 0
    code, _, err = fcnrt("verify", model, "--reference", out / "best.safetensors", "--data", discs / "images")
    assert code == 0, err
    code, _, err = fcnrt("run", discs / "images" / "3.png", "--model", model, "-o", tmp_path / "seg.png")
    assert code == 0
    assert "disc" in err
    with Segmenter.open(model) as segment:
        assert segment.spec.class_names == ("table", "disc")
        assert segment.spec.palette == ((0, 0, 0), (255, 136, 0))
        picture = cv2.imread(str(discs / "images" / "3.png"))[..., ::-1]
        mask = cv2.imread(str(discs / "masks" / "3.png"), cv2.IMREAD_UNCHANGED)
        found = segment(np.ascontiguousarray(picture))
    assert found.shape == mask.shape
    assert (found == mask)[mask != 255].mean() > 0.9

    # The next stage begins where this one ended.
    stage = ("--data", discs, "--classes", tmp_path / "classes.txt", "--variant", "fcn8s", "--workers", "0")
    code, _, err = fcnrt(
        "train", *stage, "--init", out / "best.safetensors", "--crop", "48x48", "--steps", "1", "-o", tmp_path / "next"
    )
    assert code == 0, err
    assert err.startswith("fcn8s · 2 classes · best.safetensors; score_pool3 at zero\n  recipe    poly · 1 step of 8")


def test_voc_and_sbd_by_lists_of_their_own(fcnrt, tmp_path: Path) -> None:
    """The paper's way: learn from SBD, validate on a list of VOC, and never on what was learned from."""
    write_voc(tmp_path / "voc", count=4, seed=0, size=ImageSize(48, 48))
    sbd, names = tmp_path / "sbd", [f"synthetic_0_{index:06}" for index in range(4)]
    for folder in ("img", "cls"):
        (sbd / folder).mkdir(parents=True)
    for name in names:
        shutil.copy(tmp_path / "voc" / "JPEGImages" / f"{name}.jpg", sbd / "img")
        truth = np.zeros(1, [("Segmentation", "O")])
        truth[0]["Segmentation"] = np.zeros((48, 48), np.uint8)
        scipy.io.savemat(sbd / "cls" / f"{name}.mat", {"GTcls": truth})
    (sbd / "train.txt").write_text("\n".join(names))
    (tmp_path / "seg11valid.txt").write_text(f"{names[1]}\n")
    options = ("--data", tmp_path / "voc", "--sbd", sbd, "--val-split", tmp_path / "seg11valid.txt", "--steps", "1")
    code, _, err = fcnrt("train", *options, *SLIM, "-o", tmp_path / "out")
    assert code == 0, err
    assert err.startswith("fcn8s · 21 classes · random weights\n")
    assert "  pictures  3 to learn from, 1 to validate on, all readable; none shows aeroplane, bicycle, bird" in err


def test_portraits_know_their_classes(fcnrt, tmp_path: Path) -> None:
    for index in range(3):
        picture = np.full((50, 60, 3), 40 * index, np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
        cv2.imwrite(str(tmp_path / f"{index}_matte.png"), np.tile(np.arange(60, dtype=np.uint8) * 4, (50, 1)))
    code, _, err = fcnrt("train", "--data", tmp_path, "--steps", "1", *SLIM, "-o", tmp_path / "out")
    assert code == 0, err
    assert err.startswith("fcn8s · 2 classes · random weights\n")
    code, out, _ = fcnrt("info", tmp_path / "out" / "best.safetensors")
    assert "background" in out
    assert "person" in out


def test_of_several_processes_the_first_alone_checks_and_talks(
    fcnrt, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[tuple[str, bool]] = []

    @contextmanager
    def recorded(label: str, *, shown: bool = True) -> Iterator[Callable[[float, str], None]]:
        bars.append((label, shown))
        yield lambda fraction, text: None

    monkeypatch.setattr(command, "fraction_bar", recorded)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    arguments = ("train", "--data", discs, "--classes", tmp_path / "classes.txt", *SLIM, "-o", tmp_path / "out")
    assert fcnrt(*arguments, "--steps", "1") == (0, "", "")
    assert bars == [("training", False)]


def test_interrupted(fcnrt, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_line", interrupt)  # called once the first validation is written
    arguments = ("train", "--data", discs, "--classes", tmp_path / "classes.txt", *SLIM, "-o", tmp_path / "out")
    code, out, err = fcnrt(*arguments, "--epochs", "1")
    assert (code, out) == (130, "")
    assert "  resume    the same command with --resume goes on from the last validation\n" in err


def test_resuming(fcnrt, discs: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", discs, "--classes", tmp_path / "classes.txt", *SLIM, "-o", tmp_path / "out")
    assert fcnrt(*arguments, "--epochs", "1").exit_code == 0
    code, _, err = fcnrt(*arguments, "--epochs", "2")
    assert code == 1
    assert err == f"error: {tmp_path / 'out'} holds a training already; go on with --resume, or give another folder\n"
    code, _, err = fcnrt(*arguments, "--epochs", "2", "--resume")
    assert code == 0, err
    assert "step 2/2 · epoch 2.4" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "1", "--steps", "1"), "give --epochs or --steps, not both"),
        (("--lr", "inf"), "inf is no learning rate; give a number, 0 or more"),
        (("--crop", "48"), "'48' is not a size; write HEIGHTxWIDTH"),
        (("--init", "vgg16-imagenet", "--width", "0.5"), "--width and --fc-channels go with --init none"),
        (("--recipe", "magic"), "'magic' is not one of"),
        (("--width", "0"), "width 0.0 would leave a layer without channels"),
    ],
)
def test_wrong_usage(fcnrt, discs: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    known = ("train", "--data", discs, "--classes", tmp_path / "classes.txt", "--init", "none")
    code, _, err = fcnrt(*known, *arguments, "-o", tmp_path / "out")
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line_before_anything_is_written(fcnrt, discs: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    known = ("train", "--data", discs, *SLIM, "-o", tmp_path / "out")

    def refused(*arguments: object) -> str:
        code, out, err = fcnrt(*known, *arguments)
        assert (code, out) == (1, "")
        assert not (tmp_path / "out").exists()
        return err.splitlines()[-1]

    assert "discs (images and masks) does not tell its classes; name them with --classes FILE" in refused()
    assert "cannot read" in refused("--classes", tmp_path / "nowhere.txt")
    assert "has no split 'test'" in refused("--classes", classes, "--val-split", "test")
    assert "no such checkpoint" in refused(
        "--classes", classes, "--init", "nowhere.pth", "--width", 1, "--fc-channels", 4096
    )
    classes.write_text("table\n")
    assert "classes.txt names fewer than 2 classes; the background is one of them" in refused("--classes", classes)
    classes.write_text("table\ndisc\nsquare\n")
    err = fcnrt(*known, "--classes", classes, "--steps", 1, "--train-split", "val").err
    assert (
        "  pictures  2 to learn from, 2 to validate on, all readable; 2 of these are learned from, too: scores" in err
    )
    assert "; none shows square\n" in err
    (tmp_path / "out" / "last.ckpt").unlink()
    err = fcnrt(*known, "--classes", classes).err
    assert err == (
        f"error: {tmp_path / 'out'} holds a best.safetensors that would be replaced; give another folder, or move it "
        "away\n"
    )
    shutil.rmtree(tmp_path / "out")
    cv2.imwrite(str(discs / "masks" / "7.png"), np.full((64, 80), 9, np.uint8))
    code, _, err = fcnrt(*known, "--classes", classes)
    assert code == 1
    assert "7.png holds label 9; labels are 0 to 2 for 3 classes, and 255 for void" in err


def test_without_lightning_it_says_what_to_install(
    fcnrt, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fcnrt.training import requirements

    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "lightning" else object())
    code, _, err = fcnrt("train", "--data", discs)
    assert code == 1
    assert err == 'error: training needs lightning, which is not installed. Run: pip install "fcnrt[train]"\n'
