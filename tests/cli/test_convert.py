from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.fcn import FCN, FCNConfig


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A slim FCN-8s as wkentaro/pytorch-fcn saves it, whose first upsampling was trained."""
    torch.manual_seed(0)
    model = FCN(FCNConfig(variant="fcn8s", num_classes=3, align="caffe", width=1 / 32, fc_channels=4))
    with torch.no_grad():
        model.upscore2.weight[0, 1, 2, 2] = 0.25
    torch.save(model.state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_the_result_needs_no_options_and_computes_the_same(fcnrt, foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("sky\nroad #010203\ncar\n")
    output = tmp_path / "net.safetensors"
    code, out, err = fcnrt(
        "convert", foreign, "-o", output, "--variant", "fcn8s_atonce", "--classes", tmp_path / "names.txt"
    )
    assert (code, out) == (0, f"{output}\n")
    assert err == (
        "fcn8s_atonce · net.pth (at-once: the scales of its skips are in the score layers): "
        "wkentaro/pytorch-fcn layout, 3 classes, caffe alignment\n"
    )
    expected, converted = load_checkpoint(foreign, variant="fcn8s_atonce"), load_checkpoint(output)
    assert converted.model.config == expected.model.config
    assert (converted.preprocessing, converted.layout) == ("caffe_bgr", "fcnrt layout")
    assert (converted.class_names, converted.palette[1]) == (("sky", "road", "car"), (1, 2, 3))
    assert converted.notes["source_sha256"] == hashlib.sha256(foreign.read_bytes()).hexdigest()
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(converted.model.state_dict()[name], tensor), name


def test_wrong_output_and_wrong_input(fcnrt, foreign: Path, tmp_path: Path) -> None:
    code, _, err = fcnrt("convert", foreign, "-o", tmp_path / "net.pth2")
    assert code == 2
    assert "must end in .safetensors" in err
    (tmp_path / "text.pth").write_text("hello")
    code, _, err = fcnrt("convert", tmp_path / "text.pth", "-o", tmp_path / "out.safetensors")
    assert code == 1
    assert err.startswith("error: text.pth is not a checkpoint")
    assert not (tmp_path / "out.safetensors").exists()


def test_info_says_how_a_checkpoint_will_be_understood(fcnrt, foreign: Path) -> None:
    code, out, err = fcnrt("info", foreign, "--variant", "fcn8s")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"net.pth · fcn8s checkpoint · {foreign.stat().st_size / 1000:.1f} kB"
    assert "  layout      wkentaro/pytorch-fcn layout" in lines
    assert "  alignment   caffe (padded by 100, crops of the released nets)" in lines
    assert "  preprocess  caffe_bgr: mean colour of the Caffe models subtracted, BGR 0..255" in lines
    assert "  upsampling  upscore_pool4, upscore8: exactly bilinear, exported as interpolation" in lines
    assert "  upsampling  upscore2: learned, kept" in lines
    assert "  classes     3" in lines
    code, out, _ = fcnrt("info", foreign, "--json", "--variant", "fcn8s_atonce")
    assert code == 0
    values = json.loads(out)
    assert (values["variant"], values["align"], values["preprocessing"]) == ("fcn8s_atonce", "caffe", "caffe_bgr")


@pytest.mark.parametrize("terminal", [False, True])
def test_info_tells_a_converted_file_from_what_it_was_made_from(
    fcnrt, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    output = tmp_path / "out.safetensors"
    assert fcnrt("convert", foreign, "-o", output, "--variant", "fcn8s").exit_code == 0
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, _ = fcnrt("info", output)
    assert code == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert f"  its sha256    {hashlib.sha256(foreign.read_bytes()).hexdigest()}" in lines
    assert "  alignment     caffe (padded by 100, crops of the released nets)" in lines
    assert "  source        out.safetensors" in lines
    assert "  made from     net.pth" in lines


def test_info_asks_where_a_checkpoint_is_ambiguous(fcnrt, foreign: Path) -> None:
    code, out, err = fcnrt("info", foreign)
    assert (code, out) == (1, "")
    assert "Give the variant, fcn8s or fcn8s_atonce, or" in err


def test_what_was_asked_once_is_in_the_converted_file(fcnrt, foreign: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    code, out, err = fcnrt("convert", foreign, "-o", output)
    assert (code, out) == (1, "")
    assert "Give the variant, fcn8s or fcn8s_atonce, or write it into a file: fcnrt convert " in err
    assert not output.exists()
    assert fcnrt("convert", foreign, "-o", output, "--variant", "fcn8s")[0] == 0
    assert fcnrt("convert", output, "-o", tmp_path / "again.safetensors")[0] == 0
