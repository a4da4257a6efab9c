from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from fcnrt.fcn_models.checkpoint import save_checkpoint
from fcnrt.fcn_models.fcn import Variant
from fcnrt.fcn_models.network import NetworkConfig
from fcnrt.fcn_models.registry import build
from fcnrt.fcn_models.upsampling import is_bilinear
from fcnrt.runtime.errors import CheckpointError
from fcnrt.training.start import Start, from_checkpoint

NAMES = ("background", "square")
PALETTE = ((0, 0, 0), (1, 2, 3))
VGG16_CONVS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def save(start: Start, path: Path) -> Path:
    save_checkpoint(
        start.network,
        path,
        preprocessing="caffe_bgr",
        class_names=start.class_names,
        palette=start.palette,
        notes={},
        dtype="float32",
    )
    return path


def with_random_scores(start: Start) -> Start:
    torch.manual_seed(1)
    for name in start.network.score_layers:
        torch.nn.init.normal_(start.network.get_submodule(name).weight)
    return start


def test_random_weights_depend_on_the_seed_alone(make_start) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    networks = [make_start(seed=seed).network for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (network.conv3_2.weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("variant", ["fcn32s", "fcn16s", "fcn8s"])
def test_scores_begin_at_zero_and_upsampling_is_bilinear_and_fixed(variant: Variant, make_start) -> None:
    network = make_start(variant).network
    assert type(network.dropout) is torch.nn.Dropout  # of single values as in the paper, not of whole channels
    for name in network.score_layers:
        assert not network.get_submodule(name).weight.any()
    for name in network.upsampling_layers:
        layer = network.get_submodule(name)
        assert is_bilinear(layer)
        assert not layer.weight.requires_grad


@pytest.mark.parametrize(("stage", "next_stage"), [("fcn32s", "fcn16s"), ("fcn16s", "fcn8s"), ("fcn32s", "fcn8s")])
def test_a_stage_begins_as_the_previous_one_ended(
    stage: Variant, next_stage: Variant, make_start, tmp_path: Path
) -> None:
    previous = with_random_scores(make_start(stage))
    path = save(previous, tmp_path / "net.safetensors")
    start = from_checkpoint(path, next_stage, NAMES, PALETTE)
    assert start.preprocessing == "caffe_bgr"  # what the weights want, not what is usual
    assert start.palette == PALETTE
    assert start.trained_scores == len(previous.network.score_layers)
    assert "score_pool4 at zero" in start.origin or "score_pool3 at zero" in start.origin
    coarse, fine = previous.network.eval(), start.network.eval()
    images = torch.randn(1, 3, 165, 200)
    with torch.no_grad():
        # Inside, where no border is near. Two steps of 2 and 16 interpolate almost as one of 32 does, not quite.
        expected, found = (network(images)[..., 48:-48, 48:-48] for network in (coarse, fine))
        assert (found - expected).abs().mean() < 0.1 * expected.std()
        assert torch.equal(fine.score_fr.weight, coarse.score_fr.weight)


def test_upsampling_that_was_trained_elsewhere_is_bilinear_again(make_start, tmp_path: Path) -> None:
    source = make_start("fcn8s")
    for name in source.network.upsampling_layers:
        source.network.get_submodule(name).weight.mul_(1.5)
    network = from_checkpoint(save(source, tmp_path / "net.safetensors"), "fcn8s", NAMES, PALETTE).network
    for name in network.upsampling_layers:
        assert is_bilinear(network.get_submodule(name))


def test_other_classes_begin_at_zero(make_start, tmp_path: Path) -> None:
    path = save(with_random_scores(make_start("fcn8s")), tmp_path / "net.safetensors")
    for names in (("background", "circle"), ("a", "b", "c")):
        palette = tuple((index, 0, 0) for index in range(len(names)))
        start = from_checkpoint(path, "fcn8s", names, palette)
        assert start.trained_scores == 0
        assert start.network.config.num_classes == len(names)
        for name in start.network.score_layers:
            assert not start.network.get_submodule(name).weight.any()
        assert torch.equal(start.network.fc7.weight, make_start("fcn8s").network.fc7.weight)


def test_fc6_and_fc7_come_from_the_classifier_of_vgg16(make_start, tmp_path: Path) -> None:
    donor = make_start("fcn32s").network
    convolutions = [layer for name, layer in donor.named_children() if name.startswith("conv")]
    state = {}
    for index, layer in zip(VGG16_CONVS, convolutions, strict=True):
        state[f"features.{index}.weight"], state[f"features.{index}.bias"] = layer.weight, layer.bias
    for index, layer in ((0, donor.fc6), (3, donor.fc7)):
        # As torchvision stores them: fully connected, (out, in * height * width).
        state[f"classifier.{index}.weight"], state[f"classifier.{index}.bias"] = layer.weight.flatten(1), layer.bias
    state["classifier.6.weight"], state["classifier.6.bias"] = torch.zeros(1000, 16), torch.zeros(1000)
    torch.save({name: tensor.detach().clone() for name, tensor in state.items()}, tmp_path / "vgg16.pth")
    start = from_checkpoint(tmp_path / "vgg16.pth", "fcn16s", NAMES, PALETTE)
    assert (start.trained_scores, start.preprocessing) == (0, "imagenet_rgb")
    assert torch.equal(start.network.fc6.weight, donor.fc6.weight)
    assert torch.equal(start.network.fc7.weight, donor.fc7.weight)
    assert not start.network.score_fr.weight.any()
    assert is_bilinear(start.network.upscore16)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    network = build(NetworkConfig(variant="unet", num_classes=2, width=1 / 32))
    path = tmp_path / "unet.safetensors"
    save_checkpoint(
        network, path, preprocessing="unit_rgb", class_names=NAMES, palette=PALETTE, notes={}, dtype="float32"
    )
    with pytest.raises(CheckpointError, match=r"unet\.safetensors is a unet; fcn8s can start from VGG16 or an FCN"):
        from_checkpoint(path, "fcn8s", NAMES, PALETTE)


def test_one_score_for_two_classes_is_left_out(make_start, tmp_path: Path) -> None:
    start = make_start("fcn32s")
    torch.manual_seed(0)
    config = dataclasses.replace(start.network.config, sigmoid=True)
    network = build(config)
    names = ("background", "foreground")
    path = save(dataclasses.replace(start, network=network, class_names=names, palette=PALETTE), tmp_path / "one.st")
    begun = from_checkpoint(path, "fcn16s", names, PALETTE)
    assert not begun.network.config.sigmoid
    assert begun.network.score_fr.weight.shape[0] == 2
    assert not begun.network.score_fr.weight.any()
    assert begun.trained_scores == 0
    assert "score_fr" in begun.origin
    assert torch.equal(begun.network.conv3_2.weight, network.conv3_2.weight)
