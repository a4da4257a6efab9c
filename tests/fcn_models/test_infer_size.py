from __future__ import annotations

import pytest
import torch
from torch import nn

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.infer_size import AtInferSize, at_infer_size, infer_size_of, parse_infer_size
from fcnrt.fcn_models.network import Network, NetworkConfig
from fcnrt.runtime.spec import ImageSize


class Watched(Network):
    """Notes the sizes it is given; every pixel's logits are its three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.config = NetworkConfig(variant="watched", num_classes=3)
        self.first = nn.Conv2d(3, 3, 1)
        self.score_layers, self.upsampling_layers = ("first",), ()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(image.shape[2:]))
        return image


@pytest.mark.parametrize(
    ("size", "frame", "inside"),
    [
        ("64x96", (100, 50), (64, 96)),
        ("64x96", (1, 1), (64, 96)),
        ("64", (128, 256), (64, 128)),
        ("64", (256, 128), (128, 64)),
        ("64", (100, 150), (64, 96)),
        ("64", (101, 150), (64, 95)),
        ("64", (64, 70), (64, 70)),
        ("64", (10, 500), (10, 500)),  # a small frame is left as it is: enlarging only costs time
    ],
)
def test_network_works_at_the_size_and_logits_have_the_frames(
    size: str, frame: tuple[int, int], inside: tuple[int, int]
) -> None:
    network = Watched()
    logits = AtInferSize(network, parse_infer_size(size))(torch.rand(2, 3, *frame))
    assert network.sizes == [inside]
    assert logits.shape == (2, 3, *frame)


def test_the_frames_own_size_changes_nothing() -> None:
    image = torch.rand(1, 3, 24, 40)
    assert torch.equal(AtInferSize(Watched(), ImageSize(24, 40))(image), image)
    assert torch.equal(AtInferSize(Watched(), 24)(image), image)


def test_bilinear_with_half_pixel_centres() -> None:
    image = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    halved = AtInferSize(Watched(), ImageSize(2, 1))(image)
    assert torch.equal(halved, torch.full((1, 3, 2, 2), 2.0))


def test_a_checkpoint_keeps_everything_else() -> None:
    checkpoint = random_checkpoint(FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=8))
    at_size = at_infer_size(checkpoint, "64x96")
    assert at_infer_size(checkpoint, None) is checkpoint
    assert (infer_size_of(checkpoint.model), infer_size_of(at_size.model)) == (None, "64x96")
    assert infer_size_of(at_infer_size(checkpoint, "64").model) == "64"
    assert at_size.class_names == checkpoint.class_names
    for name in (*at_size.model.score_layers, *at_size.model.upsampling_layers):
        at_size.model.get_submodule(name)
    assert at_size.model.first_layer is checkpoint.model.first_layer


@pytest.mark.parametrize("text", ["", "0", "64x", "x64", "64x0", "-3", "64 x 64", "big"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write HEIGHTxWIDTH.* or one number for the|must be at least"):
        parse_infer_size(text)
