"""Checkpoints of networks that are built here layer by layer as their project does: the tensors keep their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from .fcn_bn_head import BNHeadConfig
from .network import NetworkConfig, classes_of
from .preprocessing import PreprocessingName

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class NativeLayout:
    """One project's checkpoints.

    Attributes:
        name: What messages call it.
        markers: Tensors that only files of this kind have together.
        preprocessing: Pre-processing its networks were trained with.
        config: The architecture, by the shapes of the tensors.
        renamed: Beginning of a tensor's name in the file for the beginning of its name in the network, where they
            differ.
        ignored: Beginnings of the names of tensors that a deployed network has no use for.
    """

    name: str
    markers: tuple[str, ...]
    preprocessing: PreprocessingName
    config: Callable[[Tensors], NetworkConfig]
    renamed: Mapping[str, str] | None = None
    ignored: tuple[str, ...] = ()

    def source(self, key: str) -> str:
        """Name in the file of a tensor of the network."""
        for own, theirs in (self.renamed or {}).items():
            if key.startswith(own):
                return theirs + key[len(own) :]
        return key


def outputs_of(tensors: Tensors, layer: str, default: int) -> int:
    """Output channels of a convolution; `default` if the file does not have it, which is found out later."""
    weight = tensors.get(f"{layer}.weight")
    return default if weight is None or weight.ndim == 0 else weight.shape[0]


def _by_layers(variant: str, first: str, channels: int, scores: str) -> Callable[[Tensors], NetworkConfig]:
    """A reader of the architecture: the first layer tells the width, the one that makes the scores the classes.

    Args:
        variant: Name of the architecture.
        first: A layer of the file.
        channels: Output channels of that layer at full width.
        scores: The layer that makes the class scores.
    """
    return lambda tensors: NetworkConfig(
        variant=variant,
        **classes_of(outputs_of(tensors, scores, 21)),
        width=outputs_of(tensors, first, channels) / channels,
    )


def _bn_head(tensors: Tensors) -> NetworkConfig:
    return BNHeadConfig(
        variant="fcn8s_vgg16_bnhead",
        **classes_of(outputs_of(tensors, "layer5_conv", 21)),
        width=outputs_of(tensors, "backbone.layer1.0", 64) / 64,
        fc_channels=outputs_of(tensors, "head.fc6.0", 4096),
    )


def _linknet(tensors: Tensors) -> NetworkConfig:
    scores = tensors.get("deconv_out2.deconv.weight")  # transposed: (inputs, outputs, 2, 2)
    return NetworkConfig(
        variant="linknet",
        **classes_of(scores.shape[1] if scores is not None and scores.ndim > 1 else 21),
        width=outputs_of(tensors, "input_conv.conv_bn_relu.0", 64) / 64,
    )


# Order matters: the first match counts.
NATIVE_LAYOUTS = (
    NativeLayout(
        name="torchvision fcn_resnet101",
        markers=("backbone.conv1.weight", "classifier.0.weight", "backbone.layer3.22.conv1.weight"),
        preprocessing="imagenet_rgb",
        config=_by_layers("fcn_resnet101", "backbone.conv1", 64, "classifier.4"),
        ignored=("aux_classifier.",),
    ),
    NativeLayout(
        name="torchvision fcn_resnet50",
        markers=("backbone.conv1.weight", "classifier.0.weight"),
        preprocessing="imagenet_rgb",
        config=_by_layers("fcn_resnet50", "backbone.conv1", 64, "classifier.4"),
        ignored=("aux_classifier.",),
    ),
    NativeLayout(
        name="FCN-8s with batch normalisation in its head",
        markers=("backbone.layer1.0.weight", "head.fc6.0.weight"),
        preprocessing="imagenet_rgb",
        config=_bn_head,
    ),
    NativeLayout(
        name="Dive into Deep Learning FCN-32s on ResNet-18",
        markers=("0.weight", "4.0.conv1.weight", "transpose_conv.weight"),
        preprocessing="imagenet_rgb",
        config=_by_layers("fcn32s_resnet18", "0", 64, "final_conv"),
        # The book makes one sequence of the classifier's parts.
        renamed={
            "backbone.conv1.": "0.",
            "backbone.bn1.": "1.",
            **{f"backbone.layer{stage}.": f"{stage + 3}." for stage in (1, 2, 3, 4)},
        },
    ),
    NativeLayout(
        name="FCN8 that concatenates its skips",
        markers=("stage1.0.weight", "upsample_81.weight"),
        preprocessing="raw_rgb",
        config=_by_layers("fcn8s_concat", "stage1.0", 96, "final.0"),
    ),
    NativeLayout(
        name="U-Net of the portrait tutorial",
        markers=("down1.conv_relu.0.weight", "up1.upconv_relu.0.weight"),
        preprocessing="unit_rgb",
        config=_by_layers("unet", "down1.conv_relu.0", 64, "last"),
        # The name that the tutorial's code has in several public repositories.
        renamed={f"up{level}.upconv.": f"up{level}.upconv_relu." for level in (1, 2, 3)},
    ),
    NativeLayout(
        name="U-Net of the portrait tutorial",
        markers=("down1.conv_relu.0.weight",),
        preprocessing="unit_rgb",
        config=_by_layers("unet", "down1.conv_relu.0", 64, "last"),
    ),
    NativeLayout(
        name="LinkNet of the portrait tutorial",
        markers=("input_conv.conv_bn_relu.0.weight",),
        preprocessing="unit_rgb",
        config=_linknet,
        ignored=("deconv_out2.bn.",),  # the original has it and does not use it
    ),
)
