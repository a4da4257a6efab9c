from __future__ import annotations

import pytest
import torch
from torch import nn

from fcnrt.fcn_models.fcn import FCN, STRIDES, Align, FCNConfig, Variant

VARIANTS: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
ALIGNS: tuple[Align, ...] = ("same", "caffe")


def slim(variant: Variant, align: Align = "same", num_classes: int = 4) -> FCN:
    torch.manual_seed(0)
    config = FCNConfig(variant=variant, num_classes=num_classes, align=align, width=1 / 32, fc_channels=8)
    return FCN(config).eval()


@pytest.mark.parametrize(
    ("variant", "parameters"), [("fcn32s", 136_152_917), ("fcn16s", 134_815_994), ("fcn8s", 134_489_759)]
)
def test_full_width_has_the_published_number_of_parameters(variant: Variant, parameters: int) -> None:
    with torch.device("meta"):
        model = FCN(FCNConfig(variant=variant))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_layers_have_the_papers_names() -> None:
    trunk = [f"conv{stage}_{i}" for stage, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
    head = ["fc6", "fc7", "score_fr"]
    tails = {
        "fcn32s": ["upscore"],
        "fcn16s": ["score_pool4", "upscore2", "upscore16"],
        "fcn8s": ["score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8"],
    }
    for variant in VARIANTS:
        names = {name.split(".")[0] for name, _ in slim(variant).named_parameters()}
        assert names == {*trunk, *head, *tails[variant]}


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_output_has_the_inputs_size(variant: Variant, align: Align) -> None:
    model = slim(variant, align)
    heights = range(1, 70) if align == "same" else (*range(1, 34), 63, 64, 65)
    with torch.no_grad():
        for height in heights:
            width = 1 + (height * 37) % 67  # every residue of 32 in the other direction too
            assert model(torch.zeros(1, 3, height, width)).shape == (1, 4, height, width)


def identity(model: FCN) -> None:
    """Make every layer pass its first channel on, so that the network shows where it puts a pixel."""
    with torch.no_grad():
        for layer in model.children():
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
                assert layer.bias is not None
                layer.bias.zero_()
                centre = layer.kernel_size[0] // 2
                layer.weight[0, 0, centre, centre] = 1


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize(
    ("variant", "stream", "shift"),
    [
        ("fcn32s", "score_fr", 15.5),
        ("fcn16s", "score_fr", 15.5),
        ("fcn16s", "score_pool4", 7.5),
        ("fcn8s", "score_fr", 15.5),
        ("fcn8s", "score_pool4", 7.5),
        ("fcn8s", "score_pool3", 3.5),
    ],
)
def test_streams_are_aligned_with_the_image(variant: Variant, stream: str, shift: float, align: Align) -> None:
    # A ramp of column indices, max-pooled over cells of 2^k columns, is the cell's last column: the centre plus
    # (2^k - 1) / 2. Painted back at the cell's centre it must be the ramp plus that, at every column and size.
    model = slim(variant, align)
    identity(model)
    with torch.no_grad():
        for name in ("score_fr", "score_pool4", "score_pool3"):
            if hasattr(model, name) and name != stream:
                getattr(model, name).weight.zero_()
        for height, width in ((256, 320), (101, 333), (97, 256)):
            ramp = torch.arange(width, dtype=torch.float32).expand(1, 3, height, width)
            interior = model(ramp)[0, 0, height // 2, 48 : width - 48]
            torch.testing.assert_close(interior, ramp[0, 0, 0, 48 : width - 48] + shift, rtol=0, atol=1e-3)


def test_both_alignments_share_their_weights() -> None:
    for variant in VARIANTS:
        slim(variant, "caffe").load_state_dict(slim(variant, "same").state_dict())


def test_strides() -> None:
    for variant in VARIANTS:
        model = slim(variant)
        scores = model.scores(torch.zeros(1, 3, 64, 96))
        assert scores.shape[2:] == (64 // STRIDES[variant], 96 // STRIDES[variant])
        assert model.config.stride == STRIDES[variant]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"variant": "fcn4s"}, "variant must be one of fcn32s, fcn16s, fcn8s, fcn8s_atonce, got 'fcn4s'"),
        ({"variant": "fcn8s", "align": "centre"}, "align must be one of same, caffe, got 'centre'"),
        ({"variant": "fcn8s", "num_classes": 1}, "num_classes must be 2 to 256"),
        ({"variant": "fcn8s", "num_classes": 257}, "num_classes must be 2 to 256"),
        ({"variant": "fcn8s", "fc_channels": 0}, "fc_channels must be at least 1, got 0"),
        ({"variant": "fcn8s", "width": 0.001}, "would leave a layer without channels"),
    ],
)
def test_impossible_configurations_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FCNConfig(**values)  # type: ignore[arg-type]
