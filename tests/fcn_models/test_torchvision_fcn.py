"""torchvision's FCNs, against torchvision itself at full width."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from torchvision.models import segmentation
from torchvision.models.resnet import Bottleneck

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.layouts import recognise
from fcnrt.fcn_models.native_layouts import NativeLayout
from fcnrt.fcn_models.network import NetworkConfig
from fcnrt.fcn_models.registry import build
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.errors import CheckpointError

SIZES = [(1, 1), (33, 47), (40, 64), (17, 50), (75, 20)]


@pytest.mark.parametrize("variant", ["fcn_resnet50", "fcn_resnet101"])
@torch.no_grad()
def test_computes_what_torchvision_computes(enliven, tmp_path: Path, variant: str) -> None:
    torch.manual_seed(0)
    make = getattr(segmentation, variant)
    with torch.device("meta"):  # not initialised twice
        original = make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    original.to_empty(device="cpu").eval()
    enliven(original)
    for layer in original.modules():  # where the paths of 16 blocks are summed up, each must add little
        if isinstance(layer, Bottleneck):
            layer.bn3.weight.mul_(0.3)
    path = tmp_path / "model_29.pth"
    torch.save({"model": original.state_dict(), "args": argparse.Namespace(lr=0.02), "epoch": 29}, path)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.layout, checkpoint.preprocessing) == (f"torchvision {variant}", "imagenet_rgb")
    assert checkpoint.class_names == VOC_CLASSES
    assert not any(name.startswith("aux") for name in checkpoint.model.state_dict())
    for height, width in SIZES:
        image = torch.randn(1, 3, height, width)
        expected = original(image)["out"]
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(checkpoint.model(image), expected, atol=atol, rtol=1e-4)
        swapped = original.backbone.layer4[1].conv1, original.backbone.layer4[2].conv1
        original.backbone.layer4[2].conv1, original.backbone.layer4[1].conv1 = swapped
        assert (original(image)["out"] - expected).abs().max() > 100 * atol  # the comparison can tell
        original.backbone.layer4[1].conv1, original.backbone.layer4[2].conv1 = swapped


@pytest.mark.parametrize(("aux", "count"), [(False, 632), (True, 640)])
def test_fcn_resnet101_has_the_same_tensors(aux: bool, count: int) -> None:
    with torch.device("meta"):
        original = segmentation.fcn_resnet101(weights=None, weights_backbone=None, aux_loss=aux).state_dict()
        own = build(NetworkConfig(variant="fcn_resnet101")).state_dict()
    assert len(original) == count
    kept = {name: tensor.shape for name, tensor in original.items() if not name.startswith("aux_classifier.")}
    assert kept == {name: tensor.shape for name, tensor in own.items()}
    layout = recognise(original, "net.pth")
    assert isinstance(layout, NativeLayout)
    assert layout.config(original) == NetworkConfig(variant="fcn_resnet101")


def test_what_is_missing_or_asked_wrongly_is_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=21).state_dict()
    state = {key: torch.zeros(tensor.shape, dtype=torch.half) for key, tensor in state.items()}
    path = tmp_path / "net.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="has variant fcn_resnet50, but fcn_resnet101 was asked for"):
        load_checkpoint(path, variant="fcn_resnet101")
    with pytest.raises(CheckpointError, match="has num_classes 21, but 2 was asked for"):
        load_checkpoint(path, num_classes=2)
    with pytest.raises(CheckpointError, match=r"is a fcn_resnet50, which has one alignment only.*caffe was asked for"):
        load_checkpoint(path, align="caffe")
    del state["backbone.layer4.2.bn3.running_var"]
    state["head.weight"] = torch.zeros(1)
    torch.save(state, path)
    with pytest.raises(
        CheckpointError,
        match=r"does not fit fcn_resnet50; missing: .*layer4\.2\.bn3\.running_var; not part.* head\.weight",
    ):
        load_checkpoint(path)
