"""Networks by name, at full width without memory for their weights."""

from __future__ import annotations

import pytest
import torch

from fcnrt.fcn_models.registry import NETWORKS, build

# Weights at 21 classes, as counted in the originals; those that a deployed network has no use for are taken off.
WEIGHTS = {
    "fcn32s": 136_152_917,
    "fcn16s": 134_815_994,
    "fcn8s": 134_489_759,
    "fcn8s_atonce": 134_489_759,
    "fcn8s_vgg16_bnhead": 134_506_332,
    "fcn8s_concat": 31_899_372,
    "fcn32s_resnet18": 12_993_642,
    "fcn_resnet50": 35_322_218 - 2_365_205,  # the auxiliary head
    "fcn_resnet101": 54_314_346 - 2_365_205,
    "unet": 34_514_645,
    "linknet": 12_955_103 - 2 * 21,  # a batch normalisation that it does not use
}


@pytest.mark.parametrize("variant", NETWORKS)
def test_networks_are_as_large_as_the_originals(variant: str) -> None:
    with torch.device("meta"):
        model = build(NETWORKS[variant].config(variant=variant))
    assert sum(parameter.numel() for parameter in model.parameters()) == WEIGHTS[variant]
