"""Checkpoints of networks that are built here layer by layer as their project does: the tensors keep their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from .network import NetworkConfig
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


def _fcn_resnet(variant: str) -> Callable[[Tensors], NetworkConfig]:
    return lambda tensors: NetworkConfig(
        variant=variant,
        num_classes=outputs_of(tensors, "classifier.4", 21),
        width=outputs_of(tensors, "backbone.conv1", 64) / 64,
    )


# Order matters: the first match counts.
NATIVE_LAYOUTS = (
    NativeLayout(
        name="torchvision fcn_resnet101",
        markers=("backbone.conv1.weight", "classifier.0.weight", "backbone.layer3.22.conv1.weight"),
        preprocessing="imagenet_rgb",
        config=_fcn_resnet("fcn_resnet101"),
        ignored=("aux_classifier.",),
    ),
    NativeLayout(
        name="torchvision fcn_resnet50",
        markers=("backbone.conv1.weight", "classifier.0.weight"),
        preprocessing="imagenet_rgb",
        config=_fcn_resnet("fcn_resnet50"),
        ignored=("aux_classifier.",),
    ),
)
