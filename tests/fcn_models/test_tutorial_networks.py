"""Networks of tutorials and books: each is written here anew as its author runs it, and must be computed exactly.

Most of the originals take certain multiples only; at those, rounding up and cropping changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import max_pool2d

from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.runtime.errors import CheckpointError

CLASSES = 5


def vgg_layer(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(len(channels) - 1):
        layers += [nn.Conv2d(channels[i], channels[i + 1], 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2, 2))


class BNHead(nn.Module):
    """FCN-8s with batch normalisation in its head; every upsampling ends in batch normalisation and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict(
            {
                "layer1": vgg_layer(3, 4, 4),
                "layer2": vgg_layer(4, 8, 8),
                "layer3": vgg_layer(8, 16, 16, 16),
                "layer4": vgg_layer(16, 32, 32, 32),
                "layer5": vgg_layer(32, 32, 32, 32),
            }
        )
        fc6 = nn.Sequential(nn.Conv2d(32, 20, 7, padding=3), nn.BatchNorm2d(20), nn.ReLU(), nn.Dropout(0.1))
        fc7 = nn.Sequential(nn.Conv2d(20, 20, 1), nn.BatchNorm2d(20), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.ModuleDict({"fc6": fc6, "fc7": fc7})
        self.layer3_conv = nn.Conv2d(16, CLASSES, 1)
        self.layer4_conv = nn.Conv2d(32, CLASSES, 1)
        self.layer5_conv = nn.Conv2d(20, CLASSES, 1)

        def up(kernel: int, stride: int, padding: int) -> nn.Sequential:
            deconvolution = nn.ConvTranspose2d(CLASSES, CLASSES, kernel, stride, padding)
            return nn.Sequential(deconvolution, nn.BatchNorm2d(CLASSES), nn.ReLU())

        self.transpose_conv1, self.transpose_conv2, self.transpose_conv3 = up(4, 2, 1), up(4, 2, 1), up(16, 8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool3 = self.backbone["layer3"](self.backbone["layer2"](self.backbone["layer1"](x)))
        pool4 = self.backbone["layer4"](pool3)
        h = self.layer5_conv(self.head["fc7"](self.head["fc6"](self.backbone["layer5"](pool4))))
        h = self.transpose_conv1(h) + self.layer4_conv(pool4)
        h = self.transpose_conv2(h) + self.layer3_conv(pool3)
        return self.transpose_conv3(h)


def d2l() -> nn.Module:
    """Made as in the book: torchvision's ResNet-18 without its last two parts, and two layers behind it."""
    net = nn.Sequential(*list(torchvision.models.resnet18(weights=None).children())[:-2])
    net.add_module("final_conv", nn.Conv2d(512, CLASSES, kernel_size=1))
    net.add_module("transpose_conv", nn.ConvTranspose2d(CLASSES, CLASSES, kernel_size=64, padding=16, stride=32))
    return net


class Concat(nn.Module):
    """FCN8 whose skips are concatenated; ReLU comes before batch normalisation."""

    def __init__(self) -> None:
        super().__init__()

        def stage(*channels: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for i in range(len(channels) - 1):
                convolution = nn.Conv2d(channels[i], channels[i + 1], 3, padding=1)
                layers += [convolution, nn.ReLU(), nn.BatchNorm2d(channels[i + 1])]
            return nn.Sequential(*layers, nn.MaxPool2d(2))

        self.stage1, self.stage2 = stage(3, 3), stage(3, 8)
        self.stage3, self.stage4, self.stage5 = stage(8, 12, 12, 8), stage(8, 16, 16), stage(16, CLASSES)
        joined = 8 + 16 + CLASSES
        self.upsample_2 = nn.ConvTranspose2d(16, 16, 4, 2, 1)
        self.upsample_4 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 4, 0)
        self.upsample_81 = nn.ConvTranspose2d(joined, joined, 4, 4, 0)
        self.upsample_82 = nn.ConvTranspose2d(joined, joined, 4, 2, 1)
        self.final = nn.Sequential(nn.Conv2d(joined, CLASSES, 7, padding=3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool3 = self.stage3(self.stage2(self.stage1(x)))
        pool4 = self.stage4(pool3)
        h = torch.cat([pool3, self.upsample_2(pool4), self.upsample_4(self.stage5(pool4))], dim=1)
        return self.final(self.upsample_82(self.upsample_81(h)))


class PortraitUNet(nn.Module):
    """U-Net without batch normalisation, with the padding that the tutorial forgot."""

    def __init__(self) -> None:
        super().__init__()

        def convolutions(inputs: int, outputs: int) -> nn.Module:
            block = nn.Module()
            block.conv_relu = nn.Sequential(
                *(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()),
            )
            return block

        def double(inputs: int) -> nn.Sequential:
            deconvolution = nn.ConvTranspose2d(inputs, inputs // 2, 3, stride=2, padding=1, output_padding=1)
            return nn.Sequential(deconvolution, nn.ReLU())

        def up(channels: int) -> nn.Module:
            block = convolutions(2 * channels, channels)
            block.upconv = double(channels)
            return block

        for i, (inputs, outputs) in enumerate(((3, 4), (4, 8), (8, 16), (16, 32), (32, 64)), 1):
            self.add_module(f"down{i}", convolutions(inputs, outputs))
        self.up, self.up1, self.up2, self.up3 = double(64), up(32), up(16), up(8)
        self.conv_2 = convolutions(8, 4)
        self.last = nn.Conv2d(4, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.down1.conv_relu(x)]
        for i in range(2, 6):
            features.append(self.get_submodule(f"down{i}").conv_relu(max_pool2d(features[-1], 2)))
        h = self.up(features.pop())
        for block in (self.up1, self.up2, self.up3):
            h = block.upconv(block.conv_relu(torch.cat([features.pop(), h], dim=1)))
        return self.last(self.conv_2.conv_relu(torch.cat([features.pop(), h], dim=1)))


class PortraitLinkNet(nn.Module):
    """LinkNet all of whose encoders halve; the last batch normalisation is there and not used."""

    def __init__(self) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            block = nn.Module()
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2)
            block.conv_bn_relu = nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
            return block

        def deconv(inputs: int, outputs: int, kernel: int = 3, padding: int = 1) -> nn.Module:
            block = nn.Module()
            block.deconv = nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, output_padding=padding)
            block.bn = nn.BatchNorm2d(outputs)
            return block

        self.input_conv = conv(3, 8, 7, 2)
        for i, (inputs, outputs) in enumerate(((8, 8), (8, 16), (16, 32), (32, 64)), 1):
            encoder = nn.Module()
            encoder.conv1, encoder.conv2 = conv(inputs, outputs, 3, 2), conv(outputs, outputs)
            encoder.conv3, encoder.conv4 = conv(outputs, outputs), conv(outputs, outputs)
            encoder.shortcut = conv(inputs, outputs, 3, 2)
            self.add_module(f"encode{i}", encoder)
        for i, (inputs, outputs) in enumerate(((8, 8), (16, 8), (32, 16), (64, 32)), 1):
            decoder = nn.Module()
            decoder.conv1, decoder.conv2 = conv(inputs, inputs // 4, 1), conv(inputs // 4, outputs, 1)
            decoder.deconv = deconv(inputs // 4, inputs // 4)
            self.add_module(f"decode{i}", decoder)
        self.deconv_out1, self.conv_out = deconv(8, 4), conv(4, 4)
        self.deconv_out2 = deconv(4, CLASSES, 2, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def upsample(block: nn.Module, h: torch.Tensor) -> torch.Tensor:
            return block.bn(block.deconv(h)).relu()

        h, features = max_pool2d(self.input_conv.conv_bn_relu(x), 2), []
        for i in range(1, 5):
            encoder = self.get_submodule(f"encode{i}")
            first = encoder.conv2.conv_bn_relu(encoder.conv1.conv_bn_relu(h))
            h = encoder.conv3.conv_bn_relu(first + encoder.shortcut.conv_bn_relu(h))
            h = encoder.conv4.conv_bn_relu(h) + first
            features.append(h)
        h = 0
        for i in range(4, 0, -1):
            decoder = self.get_submodule(f"decode{i}")
            h = decoder.conv1.conv_bn_relu(h + features.pop())
            h = decoder.conv2.conv_bn_relu(upsample(decoder.deconv, h))
        return self.deconv_out2.deconv(self.conv_out.conv_bn_relu(upsample(self.deconv_out1, h)))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, str, str, tuple[str, str]]] = {
    # how to make it, the multiples it takes, layout, pre-processing, two layers of one shape
    "fcn8s_vgg16_bnhead": (
        *(BNHead, 32, "FCN-8s with batch normalisation in its head", "imagenet_rgb"),
        ("transpose_conv1.0", "transpose_conv2.0"),
    ),
    "fcn32s_resnet18": (
        *(d2l, 1, "Dive into Deep Learning FCN-32s on ResNet-18", "imagenet_rgb"),
        ("5.1.conv1", "5.1.conv2"),
    ),
    "fcn8s_concat": (Concat, 32, "FCN8 that concatenates its skips", "raw_rgb", ("stage4.3", "stage4.3")),
    "unet": (PortraitUNet, 16, "U-Net of the portrait tutorial", "unit_rgb", ("down3.conv_relu.2", "up2.conv_relu.2")),
    "linknet": (
        *(PortraitLinkNet, 64, "LinkNet of the portrait tutorial", "unit_rgb"),
        ("encode2.conv3.conv_bn_relu.0", "encode2.conv4.conv_bn_relu.0"),
    ),
}


@pytest.mark.parametrize("variant", NETWORKS)
@torch.no_grad()
def test_computes_the_same(enliven, tmp_path: Path, variant: str) -> None:
    make, multiple, layout, preprocessing, twins = NETWORKS[variant]
    torch.manual_seed(0)
    original, path = make().eval(), tmp_path / "net.pth"
    enliven(original)
    state = original.state_dict()
    torch.save(state, path)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.layout, checkpoint.preprocessing) == (layout, preprocessing)
    assert (checkpoint.model.config.variant, checkpoint.model.config.align) == (variant, "native")
    assert checkpoint.model.config.num_classes == CLASSES
    swapped = dict(state)
    swapped[f"{twins[0]}.weight"], swapped[f"{twins[1]}.weight"] = (
        state[f"{twins[1]}.weight"],
        state[f"{twins[0]}.weight"],
    )
    if twins[0] == twins[1]:  # no two layers of one shape: its own weights, turned
        swapped[f"{twins[0]}.weight"] = state[f"{twins[0]}.weight"].flip(0)
    torch.save(swapped, tmp_path / "swapped.pth")
    wrong = load_checkpoint(tmp_path / "swapped.pth").model
    for rows, columns in ((1, 1), (1, 2), (2, 1), (3, 2), (2, 3)):
        height, width = rows * multiple, columns * multiple
        if multiple == 1:
            height, width = 31 * rows + 2, 47 * columns
        image = torch.randn(1, 3, height, width)
        expected = original(image)[:, :, :height, :width]
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(checkpoint.model(image), expected, atol=atol, rtol=1e-4)
        assert (wrong(image) - expected).abs().max() > 100 * atol  # the comparison can tell


@pytest.mark.parametrize("variant", NETWORKS)
def test_survives_saving_in_fcnrts_own_layout(enliven, tmp_path: Path, variant: str) -> None:
    original = NETWORKS[variant][0]().eval()
    enliven(original)
    torch.save(original.state_dict(), tmp_path / "net.pth")
    checkpoint = load_checkpoint(tmp_path / "net.pth")
    save_checkpoint(
        checkpoint.model,
        tmp_path / "net.safetensors",
        preprocessing=checkpoint.preprocessing,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        notes={},
        dtype="float32",
    )
    again = load_checkpoint(tmp_path / "net.safetensors", variant=variant)
    assert again.model.config == checkpoint.model.config
    for name, tensor in checkpoint.model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(again.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("variant", NETWORKS)
def test_missing_and_surplus_tensors_are_named(tmp_path: Path, variant: str) -> None:
    state = NETWORKS[variant][0]().state_dict()
    last = [key for key in state if not key.startswith("deconv_out2.bn")][-1]
    if last.endswith("num_batches_tracked"):
        last = last.replace("num_batches_tracked", "running_var")
    del state[last]
    state["aux.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=rf"does not fit {variant}; missing: {last}; not part of it: aux\.weight"):
        load_checkpoint(tmp_path / "net.pth")


def test_unet_as_it_is_retyped_in_public_repositories(enliven, tmp_path: Path) -> None:
    original = PortraitUNet()
    enliven(original)
    state = original.state_dict()
    torch.save(state, tmp_path / "net.pth")
    torch.save({name.replace("upconv", "upconv_relu"): value for name, value in state.items()}, tmp_path / "again.pth")
    expected, found = (load_checkpoint(tmp_path / name) for name in ("net.pth", "again.pth"))
    assert found.layout == expected.layout
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor), name
