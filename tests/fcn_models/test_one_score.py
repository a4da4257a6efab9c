"""Checkpoints whose score layers have one channel, as binary networks have that were trained with a sigmoid."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.fcn_models.class_file import with_classes
from fcnrt.fcn_models.native_layouts import NATIVE_LAYOUTS
from fcnrt.fcn_models.network import Network, NetworkConfig
from fcnrt.fcn_models.registry import NETWORKS, build
from fcnrt.runtime.errors import CheckpointError

WIDTHS = dict.fromkeys(NETWORKS, 1 / 16) | {"fcn8s_concat": 1 / 32}


def slim(variant: str, **classes: object) -> Network:
    torch.manual_seed(0)
    return build(NETWORKS[variant].config(variant=variant, width=WIDTHS[variant], **classes)).eval()


def save_as_its_project(model: Network, path: Path) -> Path:
    variant = model.config.variant
    renamed = next((layout for layout in NATIVE_LAYOUTS if "ResNet-18" in layout.name), None)
    assert renamed is not None
    source = renamed.source if variant == "fcn32s_resnet18" else str
    torch.save({source(name): tensor for name, tensor in model.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("variant", NETWORKS)
@torch.no_grad()
def test_every_lineage_loads_and_survives_saving(variant: str, tmp_path: Path) -> None:
    model = slim(variant, num_classes=2, sigmoid=True)
    path = save_as_its_project(model, tmp_path / "net.pth")
    checkpoint = load_checkpoint(path, variant=variant, align="same" if variant.startswith("fcn8s_atonce") else None)
    config = checkpoint.model.config
    assert (config.sigmoid, config.num_classes, config.score_channels) == (True, 2, 1)
    assert checkpoint.class_names == ("background", "foreground")
    assert len(checkpoint.palette) == 2
    image = torch.randn(1, 3, 40, 33)
    logits = checkpoint.model(image)
    assert logits.shape == (1, 1, 40, 33)
    save_checkpoint(
        checkpoint.model,
        tmp_path / "net.safetensors",
        preprocessing=checkpoint.preprocessing,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        notes={},
        dtype="float32",
    )
    again = load_checkpoint(tmp_path / "net.safetensors")
    assert again.model.config == config
    assert torch.equal(again.model(image), logits)


def test_its_two_classes_can_be_named(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save_as_its_project(slim("unet", num_classes=2, sigmoid=True), tmp_path / "net.pth"))
    names = tmp_path / "classes.txt"
    names.write_text("nothing\nperson #00ff00\n")
    named = with_classes(checkpoint, names)
    assert named.class_names == ("nothing", "person")
    assert named.palette[1] == (0, 255, 0)
    names.write_text("person\n")
    with pytest.raises(CheckpointError, match="names 1 classes; the checkpoint has 2, background included"):
        with_classes(checkpoint, names)


def test_one_score_is_for_two_classes() -> None:
    with pytest.raises(ValueError, match="a single score tells 2 classes apart, not 3"):
        NetworkConfig(variant="unet", num_classes=3, sigmoid=True)


@pytest.mark.parametrize("variant", ["fcn8s", "unet", "linknet"])
def test_more_classes_than_a_class_map_holds_are_refused_in_one_line(variant: str, tmp_path: Path) -> None:
    model = slim(variant, num_classes=2)
    state = dict(model.state_dict())
    for name in [name for name in state if name.rpartition(".")[0] in model.score_layers]:
        axis = 1 if variant == "linknet" and name.endswith("weight") else 0  # transposed
        state[name] = torch.cat([state[name]] * 129, axis)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "net.pth", variant=variant)
    message = str(caught.value)
    assert "is no usable network: num_classes must be 2 to 256 (a class map is uint8), got 258" in message
    assert "\n" not in message
