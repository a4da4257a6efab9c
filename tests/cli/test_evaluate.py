from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcnrt.datasets.voc_writer import write_voc
from fcnrt.export.demo import demo_model
from fcnrt.fcn_models.weights import bundled
from fcnrt.runtime.spec import ImageSize


def _write_data(folder: Path, *, wrong: int = 0) -> None:
    """Two pictures in different sizes, labelled as the tiny model sees them, but for some pixels."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, size in enumerate([(20, 30), (31, 17)]):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        label = image.argmax(-1).astype(np.uint8)
        label.ravel()[:wrong] = (label.ravel()[:wrong] + 1) % 3
        label.ravel()[wrong : wrong + 7] = 255
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(label).save(folder / "masks" / f"{number}.png")
    (folder / "all.txt").write_text("0\n1\n")


def test_an_exported_model(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    _write_data(tmp_path / "data", wrong=50)
    code, out, _ = fcnrt(
        "evaluate",
        tiny_model,
        "--data",
        tmp_path / "data",
        "--split",
        tmp_path / "data" / "all.txt",
        "--json",
        tmp_path / "a.json",
        "--plot",
        tmp_path / "a.png",
    )
    assert code == 0
    pixels = 20 * 30 + 31 * 17 - 14
    first, *_, last = out.splitlines()
    assert first.startswith("tiny.onnx · onnxruntime on cpu · 2 pictures of ")
    assert f"pixel accuracy {100 * (1 - 100 / pixels):.2f} %" in last
    document = json.loads((tmp_path / "a.json").read_text())
    assert np.sum(document["confusion"]) == pixels
    assert np.trace(document["confusion"]) == pixels - 100
    assert document["class_names"] == ["red", "green", "blue"]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"


def test_a_checkpoint_and_its_export_are_told_alike(fcnrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_voc(tmp_path / "scenes", count=2, seed=3, size=ImageSize(64, 96))
    results = {}
    for network in (demo_model(), bundled("fcn8s")):
        code, _, err = fcnrt(
            "evaluate", network, "--data", "scenes", "--split", "trainval", "--json", f"{network.suffix}.json"
        )
        assert (code, err) == (0, "")
        results[network.suffix] = json.loads(Path(f"{network.suffix}.json").read_text())
    model, checkpoint = results.values()
    differing = np.abs(np.subtract(model["confusion"], checkpoint["confusion"])).sum()
    assert differing <= 2  # one pixel may be a tie
    assert re.fullmatch(
        r"fcn8s.*\.onnx · onnxruntime on cpu · 2 pictures of scenes \(PASCAL VOC, trainval\)", model["title"]
    )
    assert checkpoint["title"].startswith("fcn8s.safetensors · pytorch on cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "none"], "none: no such folder; --data takes the folder of a data set"),
        (["--data", "data", "--split", "test"], "has no split 'test'"),
        (["--data", "data", "--json", "none/a.json"], "cannot write none/a.json: there is no folder none"),
        (["--data", "data", "--json", "data"], "cannot write data: it is a folder"),
        (["--data", "data", "--json", "a" * 300], "aaa: File name too long"),
    ],
)
def test_bad_input_is_one_line(
    fcnrt, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_data(tmp_path / "data")
    code, out, err = fcnrt("evaluate", tiny_model, *options)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_without_matplotlib_it_says_so_before_the_long_work(
    fcnrt, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_data(tmp_path / "data")
    monkeypatch.setattr("fcnrt.benchmarks.evaluate.confusion_plot.find_spec", lambda name: None)
    output = tmp_path / "a.json"
    code, out, err = fcnrt(
        "evaluate", tiny_model, "--data", tmp_path / "data", "--json", output, "--plot", tmp_path / "a.png"
    )
    assert (code, out, output.exists()) == (1, "", False)
    assert err == "error: a plot needs Matplotlib, which is not installed. Run: pip install matplotlib\n"


def test_a_file_that_cannot_be_written_costs_no_figures(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    _write_data(tmp_path / "data")
    output = tmp_path / f"{'a' * 245}.json"  # a name that leaves no room for that of the temporary file
    code, out, err = fcnrt("evaluate", tiny_model, "--data", tmp_path / "data", "--json", output)
    assert code == 1
    assert "mIoU 100.00 %" in out
    assert "error: cannot write" in err


def test_classes_of_other_names_are_noted(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("ann", "bob"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.full((20, 30), 255, np.uint8)).save(tmp_path / f"{name}_matte.png")
    code, _, err = fcnrt("evaluate", tiny_model, "--data", tmp_path)
    assert code == 0
    assert err == (
        "note: class 0 is 'background' in portraits and mattes and 'red' to the network; classes are compared by their "
        "indices\n"
    )


def test_labels_that_are_no_classes_are_named(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    _write_data(tmp_path / "data")
    Image.fromarray(np.full((20, 30), 9, np.uint8)).save(tmp_path / "data" / "masks" / "0.png")
    code, _, err = fcnrt("evaluate", tiny_model, "--data", tmp_path / "data", "--split", tmp_path / "data" / "all.txt")
    assert code == 1
    assert "0.png" in err
    assert "9" in err


def test_labels_that_are_all_void_are_refused_before_anything_is_written(
    fcnrt, tiny_model: Path, tmp_path: Path
) -> None:
    _write_data(tmp_path / "data")
    for mask in (tmp_path / "data" / "masks").iterdir():
        with Image.open(mask) as label:
            void = Image.new("L", label.size, 255)
        void.save(mask)
    output = tmp_path / "a.json"
    code, out, err = fcnrt("evaluate", tiny_model, "--data", tmp_path / "data", "--json", output)
    assert (code, out, output.exists()) == (1, "", False)
    assert err == "error: no pixel of 1 picture is labelled: all of them are void (255)\n"


def test_a_model_needs_no_checkpoint_options(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    code, _, err = fcnrt("evaluate", tiny_model, "--data", tmp_path, "--align", "same")
    assert code == 2
    assert "are for checkpoints; tiny.onnx says all that" in " ".join(err.replace("│", "").split())


def test_a_checkpoint_on_a_device_that_is_not_there(fcnrt, tmp_path: Path) -> None:
    _write_data(tmp_path / "data")
    code, _, err = fcnrt("evaluate", bundled("fcn32s"), "--data", tmp_path / "data", "--device", "cuda:77")
    assert code == 1
    assert "error: PyTorch has no cuda:77 here" in err


def test_a_plot_is_a_png(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    code, _, err = fcnrt("evaluate", tiny_model, "--data", tmp_path, "--plot", tmp_path / "matrix.pdf")
    assert code == 2
    assert "matrix.pdf must end in .png" in err
    assert not (tmp_path / "matrix.pdf").exists()
