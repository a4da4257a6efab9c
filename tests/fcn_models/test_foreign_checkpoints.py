"""Checkpoints of other projects: each project's network is written here anew, after its own code's conventions, and the
loaded network must compute what it computes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.fcn import Variant
from fcnrt.fcn_models.voc import VOC_CLASSES, voc_palette
from fcnrt.runtime.errors import CheckpointError

VARIANTS: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
C1, C2, C3, C4, FC, CLASSES = 2, 4, 8, 16, 12, 5  # the paper's 64, 128, 256, 512, 4096 and 21, slim


def vgg_block(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2, 2))


class TutorialFCN(nn.Module):
    """Pytorch_FCN: torchvision's VGG16 in five parts with pools that round down; every convolution keeps the size."""

    def __init__(self, variant: str, classes: int = CLASSES) -> None:
        super().__init__()
        self.variant = variant
        self.features1 = vgg_block(3, C1, C1)
        self.features2 = vgg_block(C1, C2, C2)
        self.features3 = vgg_block(C2, C3, C3, C3)
        self.features4 = vgg_block(C3, C4, C4, C4)
        self.features5 = vgg_block(C4, C4, C4, C4)
        self.fc6 = nn.Conv2d(C4, FC, 7, padding=3)
        self.fc7 = nn.Conv2d(FC, FC, 1)

        def up(stride: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(classes, classes, 2 * stride, stride, stride // 2, bias=False)

        if variant == "fcn32s":
            self.score = nn.Conv2d(FC, classes, 1)
            self.upsample = up(32)
        if variant == "fcn16s":
            self.score_fr = nn.Conv2d(FC, classes, 1)
            self.score_pool4 = nn.Conv2d(C4, classes, 1)
            self.upsample2, self.upsample16 = up(2), up(16)
        if variant == "fcn8s":
            self.score_fr = nn.Conv2d(FC, classes, 1)
            self.score_pool4 = nn.Conv2d(C4, classes, 1)
            self.score_pool3 = nn.Conv2d(C3, classes, 1)
            self.upsample2_1, self.upsample2_2, self.upsample8 = up(2), up(2), up(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool3 = self.features3(self.features2(self.features1(x)))
        pool4 = self.features4(pool3)
        h = self.fc7(self.fc6(self.features5(pool4)).relu()).relu()
        if self.variant == "fcn32s":
            return self.upsample(self.score(h))
        if self.variant == "fcn16s":
            return self.upsample16(self.upsample2(self.score_fr(h)) + self.score_pool4(pool4))
        h = self.upsample2_1(self.score_fr(h)) + self.score_pool4(pool4)
        return self.upsample8(self.upsample2_2(h) + self.score_pool3(pool3))


class ImageNetVGG16(nn.Module):
    """torchvision's vgg16, slim."""

    def __init__(self) -> None:
        super().__init__()
        blocks = ((3, C1, C1), (C1, C2, C2), (C2, C3, C3, C3), (C3, C4, C4, C4), (C4, C4, C4, C4))
        self.features = nn.Sequential(*(layer for block in blocks for layer in vgg_block(*block)))
        self.classifier = nn.Sequential(
            *(nn.Linear(C4 * 7 * 7, FC), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(FC, FC), nn.ReLU(), nn.Dropout()),
            nn.Linear(FC, 1000),
        )


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def same_logits(path: Path, foreign: nn.Module, height: int, width: int, **options: str) -> None:
    image = torch.randn(2, 3, height, width)
    with torch.no_grad():
        expected = foreign(image)
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(load_checkpoint(path, **options).model(image), expected, atol=atol, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tutorial_fcn_computes_the_same_where_its_pools_do(enliven, tmp_path: Path, variant: Variant) -> None:
    foreign = TutorialFCN(variant)
    enliven(foreign)
    torch.save(foreign.state_dict(), tmp_path / "net.pth")
    for height, width in ((32, 32), (64, 96), (96, 64), (32, 160), (128, 128)):
        same_logits(tmp_path / "net.pth", foreign, height, width)
    foreign.features4[2], foreign.features4[4] = foreign.features4[4], foreign.features4[2]
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):  # the comparison can tell
        same_logits(tmp_path / "net.pth", foreign, 64, 96)


def test_port_of_caffe_brings_padding_and_preprocessing_of_caffe(port_of_caffe, tmp_path: Path) -> None:
    torch.save(port_of_caffe("fcn8s", classes=21).state_dict(), tmp_path / "fcn8s_from_caffe.pth")
    checkpoint = load_checkpoint(tmp_path / "fcn8s_from_caffe.pth", variant="fcn8s")
    assert (checkpoint.model.config.variant, checkpoint.model.config.align) == ("fcn8s", "caffe")
    assert checkpoint.preprocessing == "caffe_bgr"
    assert checkpoint.layout == "wkentaro/pytorch-fcn layout"
    assert checkpoint.source == "fcn8s_from_caffe.pth"
    assert checkpoint.class_names == VOC_CLASSES
    assert checkpoint.palette == voc_palette()[:21]
    assert not checkpoint.model.training


def test_tutorial_fcn_brings_same_padding_and_imagenet_preprocessing(tmp_path: Path) -> None:
    torch.save(TutorialFCN("fcn16s").state_dict(), tmp_path / "fcn16s_best.pth")
    checkpoint = load_checkpoint(tmp_path / "fcn16s_best.pth")
    assert (checkpoint.model.config.variant, checkpoint.model.config.align) == ("fcn16s", "same")
    assert checkpoint.preprocessing == "imagenet_rgb"
    assert checkpoint.layout == "Pytorch_FCN layout"
    assert len(checkpoint.class_names) == len(set(checkpoint.class_names)) == len(checkpoint.palette) == CLASSES


@pytest.mark.parametrize("numpy_core", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_training_checkpoints_with_a_numpy_score_load(tmp_path: Path, numpy_core: bytes) -> None:
    foreign = TutorialFCN("fcn8s")
    optimizer = torch.optim.SGD(foreign.parameters(), lr=0.1, momentum=0.9)
    foreign(torch.zeros(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "model_state_dict": foreign.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler_state_dict": torch.optim.lr_scheduler.StepLR(optimizer, 10).state_dict(),
        "best_miou": np.float64(0.2855),
    }
    path = tmp_path / "fcn8s_latest.pth"
    # The format without ZIP keeps the pickle as it is, so that it can be turned into what another NumPy would write.
    torch.save(content, path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    assert b"numpy._core.multiarray" in written or b"numpy.core.multiarray" in written
    path.write_bytes(
        written.replace(b"numpy._core.multiarray", numpy_core).replace(b"numpy.core.multiarray", numpy_core)
    )
    same_logits(path, foreign.eval(), 32, 32)


def test_training_checkpoint_in_the_zip_format_loads(port_of_caffe, tmp_path: Path) -> None:
    foreign = port_of_caffe("fcn16s")
    content = {"arch": "FCN16s", "model_state_dict": foreign.state_dict(), "best_mean_iu": np.float64(0.6)}
    torch.save(content, tmp_path / "model_best.pth.tar")
    same_logits(tmp_path / "model_best.pth.tar", foreign, 40, 40)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_state_dict_is_found_in_a_training_checkpoint_and_freed_of_data_parallel(
    port_of_caffe, tmp_path: Path, key: str
) -> None:
    foreign = port_of_caffe("fcn32s")
    state = {f"module.{name}": tensor for name, tensor in foreign.state_dict().items()}
    torch.save({"epoch": 1, key: state}, tmp_path / "net.pth")
    same_logits(tmp_path / "net.pth", foreign, 40, 40)


def test_half_precision_becomes_single(port_of_caffe, tmp_path: Path) -> None:
    foreign = port_of_caffe("fcn8s").half()
    torch.save(foreign.state_dict(), tmp_path / "net.pth")
    model = load_checkpoint(tmp_path / "net.pth", variant="fcn8s").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    same_logits(tmp_path / "net.pth", foreign.float(), 40, 40, variant="fcn8s")


def test_weights_do_not_change_with_the_file(port_of_caffe, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(port_of_caffe("fcn8s").state_dict(), path)
    model = load_checkpoint(path, variant="fcn8s").model
    before = model.fc6.weight.clone()
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert torch.equal(model.fc6.weight, before)


def test_loading_leaves_the_random_generator_alone(port_of_caffe, tmp_path: Path) -> None:
    torch.save(port_of_caffe("fcn8s").state_dict(), tmp_path / "net.pth")
    state = torch.get_rng_state()
    load_checkpoint(tmp_path / "net.pth", variant="fcn8s")
    assert torch.equal(torch.get_rng_state(), state)


def test_alignment_can_be_overridden_and_is_then_called_approximate(port_of_caffe, tmp_path: Path) -> None:
    torch.save(port_of_caffe("fcn8s").state_dict(), tmp_path / "net.pth")
    checkpoint = load_checkpoint(tmp_path / "net.pth", variant="fcn8s", align="same")
    assert checkpoint.model.config.align == "same"
    assert checkpoint.source == "net.pth (approximate alignment: trained with caffe, used with same)"
    assert load_checkpoint(tmp_path / "net.pth", variant="fcn8s", align="caffe").source == "net.pth"


@pytest.mark.parametrize("variant", VARIANTS)
def test_vgg16_is_transplanted(tmp_path: Path, variant: Variant) -> None:
    foreign = ImageNetVGG16().eval()
    torch.save(foreign.state_dict(), tmp_path / "vgg16-397923af.pth")
    checkpoint = load_checkpoint(tmp_path / "vgg16-397923af.pth", variant=variant, num_classes=7)
    model = checkpoint.model
    assert (model.config.variant, model.config.num_classes, model.config.align) == (variant, 7, "same")
    assert checkpoint.preprocessing == "imagenet_rgb"
    assert checkpoint.source == "vgg16-397923af.pth: ImageNet initialisation, not a trained FCN"

    images = torch.randn(2, 3, 224, 224)
    seen: dict[str, torch.Tensor] = {}
    model.fc6.register_forward_pre_hook(lambda _, inputs: seen.update(trunk=inputs[0]))
    with torch.no_grad():
        logits = model(images)
        trunk = foreign.features(images)  # (2, C4, 7, 7)
        torch.testing.assert_close(seen["trunk"], trunk)
        fc6 = nn.functional.conv2d(trunk, model.fc6.weight, model.fc6.bias).relu()
        fc7 = nn.functional.conv2d(fc6, model.fc7.weight, model.fc7.bias)
        torch.testing.assert_close(fc7[:, :, 0, 0], foreign.classifier[:4](trunk.flatten(1)))
    assert torch.equal(logits, torch.zeros(2, 7, 224, 224))  # the score layers are zero, as in the paper

    # With scores of one everywhere, bilinear upsampling leaves ones away from the border.
    with torch.no_grad():
        model.score_fr.bias.fill_(1)
        assert torch.allclose(model(images)[:, :, 96:128, 96:128], torch.ones(()), atol=1e-6)


def test_vgg16_has_21_classes_unless_told(tmp_path: Path) -> None:
    torch.save(ImageNetVGG16().state_dict(), tmp_path / "vgg16.pth")
    assert load_checkpoint(tmp_path / "vgg16.pth", variant="fcn32s").class_names == VOC_CLASSES
    with pytest.raises(CheckpointError, match=r"num_classes must be 2 to 256.*got 0"):
        load_checkpoint(tmp_path / "vgg16.pth", variant="fcn32s", num_classes=0)


def test_vgg16_needs_a_variant(tmp_path: Path) -> None:
    torch.save(ImageNetVGG16().state_dict(), tmp_path / "vgg16.pth")
    with pytest.raises(CheckpointError, match=r"does not tell its variant.*Give the variant: fcn32s, fcn16s, fcn8s"):
        load_checkpoint(tmp_path / "vgg16.pth")
