from __future__ import annotations

import pytest
import torch
from torchvision import models

from fcnrt.fcn_models.layouts import PAPER, PYTORCH_FCN, VGG16, recognise
from fcnrt.runtime.errors import CheckpointError


def vgg_keys(name: str) -> list[str]:
    with torch.device("meta"):
        return list(models.get_model(name, weights=None).state_dict())


def test_torchvision_vgg16_is_recognised_and_all_its_tensors_are_known() -> None:
    keys = vgg_keys("vgg16")
    assert recognise(keys, "vgg16.pth") is VGG16
    layers = set(VGG16.layers("fcn8s").values())
    assert {key for key in keys if key.rpartition(".")[0] not in layers} == VGG16.ignored


@pytest.mark.parametrize(
    ("layout", "final", "variant"),
    [
        (PAPER, "upscore", "fcn32s"),
        (PAPER, "upscore16", "fcn16s"),
        (PAPER, "upscore8", "fcn8s"),
        (PYTORCH_FCN, "upsample", "fcn32s"),
        (PYTORCH_FCN, "upsample16", "fcn16s"),
        (PYTORCH_FCN, "upsample8", "fcn8s"),
    ],
)
def test_the_final_upsampling_tells_the_variant(layout: object, final: str, variant: str) -> None:
    first = "conv1_1.weight" if layout is PAPER else "features1.0.weight"
    keys = [first, f"{final}.weight"]
    assert recognise(keys, "net.pth") is layout
    assert recognise(keys, "net.pth").find_variant(keys) == variant


@pytest.mark.parametrize(
    ("keys", "lineage"),
    [
        (["features3.0.weight", "features4.0.weight", "score_fr.6.weight"], "zijundeng/pytorch-semantic-segmentation"),
        (["conv_block1.0.weight", "classifier.6.weight"], "meetps/pytorch-semseg"),
        (["pretrained_net.features.0.weight", "deconv1.weight", "bn1.weight"], "pochih/FCN-pytorch"),
        (vgg_keys("vgg16_bn"), "torchvision VGG with batch normalisation"),
        (vgg_keys("vgg19"), "torchvision VGG with 16 convolutions, not the 13 of VGG16"),
        (vgg_keys("vgg11"), "torchvision VGG with 8 convolutions"),
        (vgg_keys("resnet18"), "torchvision ResNet classifier"),
    ],
    ids=lambda value: value if isinstance(value, str) else "keys",
)
def test_other_lineages_are_named_and_refused(keys: list[str], lineage: str) -> None:
    with pytest.raises(
        CheckpointError, match=rf"net\.pth looks like a checkpoint of: {lineage}.*not supported; supported"
    ):
        recognise(keys, "net.pth")


def test_an_unknown_layout_shows_its_first_tensors() -> None:
    keys = [f"encoder.{i}.weight" for i in range(9)]
    with pytest.raises(
        CheckpointError, match=r"unknown layout: its 9 tensors start with encoder\.0\.weight, encoder\.1.*Known are"
    ):
        recognise(keys, "net.pth")
