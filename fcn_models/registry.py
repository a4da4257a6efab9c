"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .fcn import FCN, FCNConfig
from .fcn_bn_head import BNHeadConfig, FCNBNHead
from .fcn_concat import FCN8Concat
from .fcn_resnet import FCNResNet
from .fcn_resnet18 import FCN32sResNet18
from .linknet import LinkNet
from .network import Network, NetworkConfig
from .unet import UNet


@dataclass(frozen=True)
class Architecture:
    """How a network is described and built.

    Attributes:
        config: Class of its description.
        build: Makes the network of a description, with fresh weights.
    """

    config: Callable[..., NetworkConfig]
    build: Callable[[Any], Network]


_VGG16 = Architecture(FCNConfig, FCN)
_RESNET = Architecture(NetworkConfig, FCNResNet)
NETWORKS: dict[str, Architecture] = {
    "fcn32s": _VGG16,
    "fcn16s": _VGG16,
    "fcn8s": _VGG16,
    "fcn8s_atonce": _VGG16,
    "fcn8s_vgg16_bnhead": Architecture(BNHeadConfig, FCNBNHead),
    "fcn8s_concat": Architecture(NetworkConfig, FCN8Concat),
    "fcn32s_resnet18": Architecture(NetworkConfig, FCN32sResNet18),
    "fcn_resnet50": _RESNET,
    "fcn_resnet101": _RESNET,
    "unet": Architecture(NetworkConfig, UNet),
    "linknet": Architecture(NetworkConfig, LinkNet),
}
"""Architectures by the name of the variant."""


def config_from(values: Mapping[str, Any]) -> NetworkConfig:
    """The description with these values, among them ``variant``.

    Raises:
        ValueError: If there is no such variant, or a value is impossible.
        TypeError: If a value is missing or unknown.
    """
    variant = values.get("variant")
    if variant not in NETWORKS:
        raise ValueError(f"variant must be one of {', '.join(NETWORKS)}, got {variant!r}")
    return NETWORKS[variant].config(**values)


def build(config: NetworkConfig) -> Network:
    """The network of a description, with fresh weights."""
    return NETWORKS[config.variant].build(config)
