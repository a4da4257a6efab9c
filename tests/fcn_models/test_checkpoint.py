from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.fcn_models.checkpoint_file import METADATA_KEY
from fcnrt.fcn_models.fcn import FCN, Align, FCNConfig, Variant
from fcnrt.runtime.errors import CheckpointError, OutputError

VARIANTS: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
NAMES = ("background", "cat", "dog")
PALETTE = ((0, 0, 0), (200, 10, 10), (10, 200, 10))
TensorEdit = Callable[[dict[str, torch.Tensor]], object]


def slim(variant: Variant = "fcn8s", align: Align = "same") -> FCN:
    torch.manual_seed(0)
    config = FCNConfig(variant=variant, num_classes=3, align=align, width=1 / 32, fc_channels=6)
    return FCN(config).eval()


def save(model: FCN, path: Path, **changes: object) -> Path:
    settings = {
        "preprocessing": "imagenet_rgb",
        "class_names": NAMES,
        "palette": PALETTE,
        "notes": {"trained_on": "nothing"},
        "dtype": "float32",
    }
    save_checkpoint(model, path, **(settings | changes))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("align", ["same", "caffe"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_saved_is_loaded(tmp_path: Path, variant: Variant, align: Align) -> None:
    model = slim(variant, align)
    path = save(model, tmp_path / "net.safetensors", preprocessing="caffe_bgr")
    checkpoint = load_checkpoint(path)
    assert checkpoint.model.config == model.config
    assert not checkpoint.model.training
    assert checkpoint.preprocessing == "caffe_bgr"
    assert checkpoint.class_names == NAMES
    assert checkpoint.palette == PALETTE
    assert checkpoint.notes == {"trained_on": "nothing"}
    assert (checkpoint.layout, checkpoint.source) == ("fcnrt layout", "net.safetensors")
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, tensor in model.state_dict().items():
        assert torch.equal(checkpoint.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_half_precision_rounds_weights_but_not_bilinear_upsampling(tmp_path: Path, variant: Variant) -> None:
    model = slim(variant)
    loaded = load_checkpoint(save(model, tmp_path / "net.safetensors", dtype="float16")).model
    for name, tensor in model.state_dict().items():
        expected = tensor if name.startswith("upscore") else tensor.half().float()
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_bilinear_upsampling_is_not_stored_and_learned_upsampling_is(tmp_path: Path) -> None:
    model = slim("fcn8s")
    with torch.no_grad():
        model.upscore2.weight[0, 1, 2, 2] = 0.25
    path = save(model, tmp_path / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        stored = {name for name in file.keys() if name.startswith("upscore")}  # noqa: SIM118 (not a dict)
        metadata = file.metadata()
    assert stored == {"upscore2.weight"}
    assert json.loads(metadata[METADATA_KEY])["bilinear"] == ["upscore_pool4", "upscore8"]
    assert torch.equal(load_checkpoint(path).model.upscore2.weight, model.upscore2.weight)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save(slim(), tmp_path / name).read_bytes() for name in ("a.safetensors", "b.safetensors"))
    assert first == second


def test_a_training_script_may_keep_the_description_in_a_pth(tmp_path: Path) -> None:
    model = slim("fcn16s")
    with safe_open(save(model, tmp_path / "net.safetensors"), framework="pt") as file:
        metadata = file.metadata()
    description = json.loads(metadata[METADATA_KEY]) | {"bilinear": []}
    torch.save({"state_dict": model.state_dict(), METADATA_KEY: json.dumps(description)}, tmp_path / "net.pth")
    checkpoint = load_checkpoint(tmp_path / "net.pth")
    assert (checkpoint.layout, checkpoint.class_names) == ("fcnrt layout", NAMES)
    assert torch.equal(checkpoint.model.upscore16.weight, model.upscore16.weight)


def test_paper_names_without_a_description_are_taken_for_the_port_of_caffe(tmp_path: Path) -> None:
    save_file(slim("fcn8s").state_dict(), tmp_path / "net.safetensors")
    checkpoint = load_checkpoint(tmp_path / "net.safetensors", variant="fcn8s")
    assert (checkpoint.layout, checkpoint.model.config.align) == ("wkentaro/pytorch-fcn layout", "caffe")


def test_overridden_alignment_is_called_approximate(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save(slim(), tmp_path / "net.safetensors"), align="caffe")
    assert checkpoint.model.config.align == "caffe"
    assert checkpoint.source == "net.safetensors (approximate alignment: trained with same, used with caffe)"


@pytest.mark.parametrize("own", [True, False])
def test_disagreement_with_what_was_asked_for_names_both(tmp_path: Path, own: bool) -> None:
    model = slim("fcn16s")
    path = tmp_path / "net.safetensors"
    if own:
        save(model, path)
    else:
        save_file(model.state_dict(), path)
    with pytest.raises(CheckpointError, match=r"net.safetensors has variant fcn16s, but fcn8s was asked for"):
        load_checkpoint(path, variant="fcn8s")
    with pytest.raises(CheckpointError, match=r"net.safetensors has num_classes 3, but 21 was asked for"):
        load_checkpoint(path, num_classes=21)
    assert load_checkpoint(path, variant="fcn16s", num_classes=3).model.config.variant == "fcn16s"


def test_unknown_choices_are_refused(tmp_path: Path) -> None:
    path = save(slim(), tmp_path / "net.safetensors")
    with pytest.raises(
        CheckpointError,
        match=r"variant must be one of fcn32s, fcn16s, fcn8s, fcn8s_atonce, .*, got 'fcn4s'",
    ):
        load_checkpoint(path, variant="fcn4s")
    with pytest.raises(CheckpointError, match="align must be one of same, caffe, got 'centre'"):
        load_checkpoint(path, align="centre")


def drop(*names: str) -> TensorEdit:
    return lambda state: [state.pop(name) for name in names]


def put(name: str, tensor: torch.Tensor) -> TensorEdit:
    return lambda state: state.update({name: tensor})


def nested() -> torch.Tensor:
    with warnings.catch_warnings(action="ignore"):  # PyTorch calls them a prototype
        return torch.nested.nested_tensor([torch.zeros(6, 1, 1), torch.zeros(6, 1, 1)])


NAN, INFINITE = torch.zeros(6, 16, 7, 7), torch.zeros(6)
NAN[3, 2, 1, 0], INFINITE[2] = torch.nan, -torch.inf


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop("fc7.bias"), r"does not fit fcn8s; missing: fc7\.bias$"),
        (
            drop(*(f"conv3_{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias"))),
            r"missing: conv3_1\.weight, conv3_1\.bias, conv3_2\.weight and 3 more",
        ),
        (put("aux.weight", torch.zeros(1)), r"not part of it: aux\.weight$"),
        (
            put("conv2_1.weight", torch.zeros(5, 2, 3, 3)),
            r"wrong shape: conv2_1\.weight \(5, 2, 3, 3\) instead of \(4, 2, 3, 3\)",
        ),
        (put("score_pool4.bias", torch.zeros(21)), r"wrong shape: score_pool4\.bias \(21,\) instead of \(3,\)"),
        (put("fc6.weight", NAN), r"NaN or infinite weights in fc6\.weight"),
        (put("fc7.bias", INFINITE), r"NaN or infinite weights in fc7\.bias"),
        (
            put("fc7.bias", torch.full((6,), 1e200, dtype=torch.float64)),
            r"NaN or infinite weights in fc7\.bias, as float32",
        ),
        *(
            (
                put("fc7.bias", torch.zeros(6).to(dtype)),
                rf"not dense floating-point numbers of 16, 32 or 64 bits: fc7\.bias \({dtype}\)",
            )
            for dtype in (torch.int64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu)
        ),
        (put("score_fr.weight", nested()), r"has a nested tensor, which is no network's weight: score_fr\.weight"),
        (put("conv1_1.weight", torch.zeros(())), r"wrong shape: conv1_1\.weight \(\) instead of"),
        (put("score_fr.weight", torch.zeros(0, 6, 1, 1)), r"no usable network: num_classes must be 2 to 256.*got 0"),
        (
            put("score_fr.weight", torch.zeros(300, 6, 1, 1)),
            r"no usable network: num_classes must be 2 to 256.*got 300",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, edit: TensorEdit, message: str) -> None:
    state = slim("fcn8s").state_dict()
    edit(state)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "net.pth", variant="fcn8s")


def test_doubles_that_float32_holds_are_weights_like_others(tmp_path: Path) -> None:
    model = slim("fcn8s")
    torch.save({name: tensor.double() for name, tensor in model.state_dict().items()}, tmp_path / "net.pth")
    loaded = load_checkpoint(tmp_path / "net.pth", variant="fcn8s").model
    assert torch.equal(loaded.get_submodule("fc6").get_parameter("weight"), model.fc6.weight)


def test_a_file_without_its_last_layer_is_checked_against_the_variant_asked_for(tmp_path: Path) -> None:
    state = slim("fcn8s").state_dict()
    state.pop("upscore8.weight")
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"does not tell its variant: it is incomplete"):
        load_checkpoint(tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"missing: upscore8\.weight"):
        load_checkpoint(tmp_path / "net.pth", variant="fcn8s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "checkpoint format 99; this fcnrt reads up to 1. Upgrade"),
        ({"preprocessing": "none"}, "describes itself wrongly .preprocessing must be one of"),
        ({"class_names": ["one"]}, "describes itself wrongly .1 class names for 3 classes"),
        ({"palette": [[1, 2]]}, "describes itself wrongly"),
        ({"palette": [[0, 0, 0], [0, 400, 0], [0, 0, 0]]}, "the values of a colour must be 0 to 255, got 0, 400, 0"),
        ({"config": {"variant": "fcn8s", "colour": 1}}, "describes itself wrongly"),
        ({"config": {"variant": "fcn8s", "width": float("inf")}}, "describes itself wrongly"),
        *(
            ({"config": {"variant": "fcn8s", "num_classes": 3, "width": width}}, "no layer can have so many channels")
            for width in (1e9, 1e300)
        ),
        ({"bilinear": ["conv1_1"]}, "only upsampling layers can be left out, not conv1_1"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = save(slim(), tmp_path / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()[METADATA_KEY]) | change
    save_file(slim().state_dict(), path, metadata={METADATA_KEY: json.dumps(description)})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_description_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    save_file(slim().state_dict(), tmp_path / "net.safetensors", metadata={METADATA_KEY: text})
    with pytest.raises(CheckpointError, match="describes itself wrongly"):
        load_checkpoint(tmp_path / "net.safetensors")


def test_saving_refuses_what_it_could_not_load(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    model = slim()
    model.conv1_1 = nn.Sequential(model.conv1_1, nn.BatchNorm2d(2))
    with pytest.raises(CheckpointError, match=r"not a plain FCN; fold or remove conv1_1\.0\.weight"):
        save(model, path)
    model = slim()
    nn.init.constant_(model.fc6.bias, 1e5)
    with pytest.raises(CheckpointError, match=r"as float16, has NaN or infinite weights in fc6\.bias"):
        save(model, path, dtype="float16")
    nn.init.constant_(model.fc6.bias, torch.nan)
    with pytest.raises(CheckpointError, match=r"the model has NaN or infinite weights in fc6\.bias"):
        save(model, path)
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        save(slim(), path, class_names=NAMES[:2])
    assert list(tmp_path.iterdir()) == []


def test_saving_into_no_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/net.safetensors: No such file or directory"):
        save(slim(), tmp_path / "nowhere" / "net.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_checkpoint_is_an_ordinary_file(tmp_path: Path) -> None:
    """Readable for whom the user's other files are; safetensors itself makes private ones."""
    (tmp_path / "other").touch()
    save(slim("fcn32s"), tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
