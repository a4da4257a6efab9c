from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch

from fcnrt.cli import export as command
from fcnrt.cli import loading
from fcnrt.export.to_onnx import DEFAULT_OPSET, OPSETS
from fcnrt.export.triton.repository import TritonBackend
from fcnrt.fcn_models.checkpoint import save_checkpoint
from fcnrt.fcn_models.fcn import FCN, Align, FCNConfig
from fcnrt.fcn_models.published import PUBLISHED
from fcnrt.fcn_models.registry import NETWORKS
from fcnrt.fcn_models.voc import voc_palette
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import Precision


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slim FCN-16s with random weights and four classes."""
    torch.manual_seed(0)
    model = FCN(FCNConfig(variant="fcn16s", num_classes=4, width=1 / 32, fc_channels=8))
    path = tmp_path_factory.mktemp("checkpoint") / "net.safetensors"
    save_checkpoint(
        model,
        path,
        preprocessing="imagenet_rgb",
        class_names=("floor", "wall", "door", "cat"),
        palette=voc_palette()[:4],
        notes={},
        dtype="float32",
    )
    return path


def test_reports_and_writes(fcnrt, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = fcnrt(
        "export", "--checkpoint", checkpoint, "--outputs", "class_map,confidence", "--triton", "models"
    )
    assert (code, out) == (0, "fcn16s.onnx\nmodels/fcn16s\n")
    assert Path("models/fcn16s/1/model.onnx").read_bytes() == Path("fcn16s.onnx").read_bytes()
    lines = err.splitlines()
    assert lines[0] == "fcn16s · net.safetensors"
    assert lines[1] == (
        "  graph     image uint8 [batch, height, width, 3] RGB -> class_map uint8 [batch, height, width], "
        "confidence uint8 [batch, height, width]"
    )
    assert lines[2].startswith("  precision fp32 · opset 20 · 0.")
    assert lines[3].startswith("  checked   9 sizes from 1x1 to 641x480 against PyTorch: ")
    with Segmenter.open("fcn16s.onnx") as segment:
        assert segment.spec.class_names == ("floor", "wall", "door", "cat")
        assert segment(np.zeros((7, 9, 3), np.uint8)).shape == (7, 9)


def test_half_precision_measures_the_given_pictures(fcnrt, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), np.full((40, 40, 3), 200, np.uint8))
    path = tmp_path / "half.onnx"
    arguments = ("--checkpoint", checkpoint, "--precision", "fp16", "-o", path)
    code, out, err = fcnrt("export", *arguments, "--calibration", tmp_path / "pictures")
    assert (code, out) == (0, f"{path}\n")
    assert "on sample images: not scaled; score and upsampling layers stay fp32" in err
    assert "in half precision, its rounding emulated: " in err
    code, _, err = fcnrt("export", *arguments, "--calibration", tmp_path / "nowhere")
    assert code == 1
    assert f"{tmp_path / 'nowhere'}: no such file or folder" in err
    (tmp_path / "empty").mkdir()
    code, _, err = fcnrt("export", *arguments, "--calibration", tmp_path / "empty")
    assert code == 1
    assert "no image in this folder (it is empty)" in err


def test_int8_says_what_it_saw_and_what_it_costs(fcnrt, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), np.full((40, 40, 3), 200, np.uint8))
    arguments = ("--checkpoint", checkpoint, "--precision", "int8", "-o", tmp_path / "int8.onnx")
    code, _, err = fcnrt("export", *arguments, "--calibration", tmp_path / "pictures")
    assert code == 0
    assert "  int8      calibrated on 1 frame (pictures): " in err
    assert "  accuracy  class maps of 1 frame held out agree with fp32's by an mIoU of " in err


def test_works_at_another_size(fcnrt, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    code, _, err = fcnrt("export", "--checkpoint", checkpoint, "--infer-size", "48", "-o", path)
    assert code == 0
    assert "  size      the network works at a short side of at most 48; class maps have the frame's size" in err
    code, out, _ = fcnrt("info", path)
    assert code == 0
    assert "a short side of 48 or less, resized inside the graph; the class map has the frame's size" in out
    with Segmenter.open(path) as segment:
        assert segment(np.zeros((70, 90, 3), np.uint8)).shape == (70, 90)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "fcn4s"], "'fcn4s' is not one of"),
        (["--precision", "int4"], "'int4' is not one of"),
        (["--opset", "9"], "Invalid value for '--opset'"),
        (["--num-classes", "1"], "Invalid value for '--num-classes'"),
        (["--outputs", "class_map,boxes"], "unknown output 'boxes'; there are class_map, confidence, logits, overlay"),
        (["--outputs", "logits"], "must name class_map"),
        (["--opacity", "0.5"], "--opacity goes with --outputs class_map,overlay"),
        (["--opacity", "2", "--outputs", "class_map,overlay"], "Invalid value for '--opacity'"),
        (["--outputs", "class_map,class_map"], "each output once"),
        (["--checkpoint", "a.pth", "--weights", "voc"], "give --checkpoint or --weights, not both"),
        (["--triton-backend", "python"], "--triton-backend goes with --triton DIR"),
        (["--calibration", "pictures"], "--calibration is for --precision int8 and fp16"),
        (["--precision", "int8", "--checkpoint", "a.pth"], "--precision int8 needs --calibration"),
        (["--infer-size", "64x"], "--infer-size 64x is no size; write HEIGHTxWIDTH"),
        (["--infer-size", "16385"], "--infer-size 16385 is too large; a side may have up to 16384 pixels"),
        (["--infer-size", "999999999999999999999x5"], "is too large; a side may have up to 16384 pixels"),
        (["-o", "net.engine"], "net.engine must end in .onnx; an engine is written beside it with --engine"),
        (["-o", "net.plan"], "net.plan must end in .onnx"),
        (["-o", "net.pth"], "net.pth must end in .onnx"),
        (["--align", "caffe"], "--align, --approximate-align and --classes go with --checkpoint or --weights"),
        (["--variant", "fcn_resnet50"], "there are no demo weights for fcn_resnet50, only for fcn32s, fcn16s, fcn8s;"),
    ],
)
def test_wrong_usage(fcnrt, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, _, err = fcnrt("export", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "fcn8s"], "error: net.safetensors has variant fcn16s, but fcn8s was asked for"),
        (["--num-classes", "21"], "error: net.safetensors has num_classes 4, but 21 was asked for"),
        (["-o", "missing/net.onnx"], "error: cannot write missing/net.onnx: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(
    fcnrt, checkpoint: Path, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = fcnrt("export", "--checkpoint", checkpoint, *arguments)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_missing_checkpoint(fcnrt, tmp_path: Path) -> None:
    code, _, err = fcnrt("export", "--checkpoint", tmp_path / "none.pth")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "none.pth" in err


def test_choices_are_those_of_the_networks() -> None:
    assert get_args(loading.VariantName) == tuple(NETWORKS)
    assert get_args(loading.AlignName) == get_args(Align)
    for name in get_args(loading.WeightsName):
        assert any(published.startswith(name) for published in PUBLISHED)
    for name in PUBLISHED:
        weights, _, variant = name.rpartition("-")
        assert name == "vgg16-imagenet" or (weights in get_args(loading.WeightsName) and variant in NETWORKS)
    assert get_args(command.TritonBackendName) == get_args(TritonBackend)
    assert get_args(command.PrecisionName) == get_args(Precision)
    assert command._OPSETS == OPSETS
    assert DEFAULT_OPSET in OPSETS


def test_published_weights_are_found_by_variant(fcnrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    (tmp_path / "weights").mkdir()
    for arguments, name in (
        (["voc"], "fcn8s_from_caffe.pth"),
        (["voc", "--variant", "fcn8s_atonce"], "fcn8s-atonce_from_caffe.npz"),
        (["voc-caffe"], "fcn8s-heavy-pascal.caffemodel"),
        (["voc-chainer", "--variant", "fcn16s"], "fcn16s_from_caffe.npz"),
        (["coco"], "fcn_resnet50_coco-1167a1af.pth"),
        (["coco", "--variant", "fcn_resnet101"], "fcn_resnet101_coco-7ecb50ca.pth"),
        (["vgg16-imagenet"], "vgg16-397923af.pth"),
    ):
        path = tmp_path / "weights" / name
        path.write_bytes(b"not what it should be")
        code, _, err = fcnrt("export", "--weights", *arguments)
        assert code == 1
        assert err.splitlines()[-1].startswith(f"error: {path} has ")
    code, _, err = fcnrt("export", "--weights", "coco", "--variant", "fcn8s")
    assert code == 1
    assert "no published weights are called 'coco-fcn8s'; there are vgg16-imagenet, voc-fcn32s" in err


def test_another_alignment_must_be_accepted_as_approximate(fcnrt, tmp_path: Path) -> None:
    model = FCN(FCNConfig(variant="fcn32s", num_classes=3, width=1 / 32, fc_channels=4))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    arguments = ("export", "--checkpoint", tmp_path / "net.pth", "-o", tmp_path / "net.onnx")
    code, _, err = fcnrt(*arguments, "--align", "same")
    assert code == 1
    assert err.splitlines()[-1] == (
        "error: net.pth was trained with caffe alignment (wkentaro/pytorch-fcn layout); with same its results would "
        "only be approximate. Leave --align out, or accept it with --approximate-align."
    )
    (tmp_path / "names.txt").write_text("sky\nroad #010203\ncar\n")
    code, _, err = fcnrt(*arguments, "--approximate-align", "--classes", tmp_path / "names.txt")
    assert code == 0
    assert "net.pth (approximate alignment: trained with caffe, used with same)" in err
    with Segmenter.open(tmp_path / "net.onnx", device="cpu") as segment:
        assert segment.spec.align == "same"
        assert segment.spec.class_names == ("sky", "road", "car")
        assert segment.spec.palette[1] == (1, 2, 3)


def test_at_once_nets_are_exported_when_asked_for_and_not_taken_for_others(fcnrt, tmp_path: Path) -> None:
    model = FCN(FCNConfig(variant="fcn8s", num_classes=3, width=1 / 32, fc_channels=4))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    code, _, err = fcnrt("export", "--checkpoint", tmp_path / "net.pth", "-o", tmp_path / "net.onnx")
    assert code == 1
    assert err.startswith("error: net.pth does not tell whether it is an FCN8s or an FCN8sAtOnce")
    assert not (tmp_path / "net.onnx").exists()
    arguments = ("--variant", "fcn8s_atonce", "--precision", "fp16")
    code, _, err = fcnrt("export", "--checkpoint", tmp_path / "net.pth", "-o", tmp_path / "net.onnx", *arguments)
    assert code == 0
    assert err.splitlines()[0] == ("fcn8s_atonce · net.pth (at-once: the scales of its skips are in the score layers)")
    with Segmenter.open(tmp_path / "net.onnx", device="cpu") as segment:
        assert (segment.spec.variant, segment.spec.align) == ("fcn8s_atonce", "caffe")
        assert segment(np.zeros((7, 9, 3), np.uint8)).shape == (7, 9)
