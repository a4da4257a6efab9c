"""Networks with one score for two classes, as trained with binary cross-entropy, through the whole export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fcnrt.export.deployable as deployable_module
from fcnrt.benchmarks.torch_runner import TorchRunner
from fcnrt.benchmarks.usual_route import UsualRoute, export_usual_route
from fcnrt.datasets.calibration import drawn_calibration
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export import quantize_search
from fcnrt.export.engine.build import EngineOptions, build_engine
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.fcn_models.registry import NETWORKS, build
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import ParityError
from fcnrt.runtime.onnx_header import read_onnx_header
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.self_test import read_self_test
from fcnrt.runtime.spec import ImageSize, Precision

# One of each kind of ending: interpolation and a crop, a convolution, a transposed convolution.
ENDINGS = {"fcn8s": 1 / 16, "unet": 1 / 16, "linknet": 1 / 8}
OUTPUTS = ("class_map", "confidence", "logits")


def one_score(variant: str) -> Checkpoint:
    """A slim network with random weights, centred so that both classes occur."""
    torch.manual_seed(2)
    values = {"fc_channels": 16} if variant == "fcn8s" else {}
    config = NETWORKS[variant].config(variant=variant, num_classes=2, sigmoid=True, width=ENDINGS[variant], **values)
    model = build(config).eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)  # type: ignore[arg-type]
    frame = torch.from_numpy(render_scene(1, 0, ImageSize(64, 96)).image).permute(2, 0, 1)[None].float()
    scores = model.get_submodule(model.score_layers[0])
    assert isinstance(scores, (nn.Conv2d, nn.ConvTranspose2d))
    with torch.no_grad():
        scores.bias -= model((frame - 118) / 58).median()
    return Checkpoint(
        model=model,
        preprocessing="imagenet_rgb",
        class_names=("background", "foreground"),
        palette=((0, 0, 0), (0, 200, 0)),
        layout="made for a test",
        source="random weights",
        sha256="ab" * 32,
    )


@pytest.mark.parametrize("variant", ENDINGS)
def test_everything_follows_from_the_one_logit(variant: str, tmp_path: Path) -> None:
    checkpoint = one_score(variant)
    result = export_onnx(checkpoint, tmp_path / "net.onnx", outputs=OUTPUTS)  # which compares it with PyTorch
    assert (result.spec.sigmoid, result.spec.num_classes, result.spec.logit_channels) == (True, 2, 1)
    header = read_onnx_header(result.path)
    assert [str(output) for output in header.outputs] == [
        "class_map uint8 [batch, height, width]",
        "confidence uint8 [batch, height, width]",
        "logits float32 [batch, 1, height, width]",
    ]
    self_test = read_self_test(result.path)
    assert self_test is not None
    assert all(set(np.unique(frame.class_map)) == {0, 1} for frame in self_test.frames)  # or it would prove little

    frame = render_scene(1, 1, ImageSize(61, 83)).image
    with Segmenter.open(result.path, device="cpu") as segment:
        prediction = segment.predict(frame)
        assert segment(frame[:1, :1]).shape == (1, 1)
    assert prediction.logits is not None
    assert prediction.confidence is not None
    logits = prediction.logits[0].astype(np.float64)
    np.testing.assert_array_equal(prediction.class_map, logits > 0)
    probability = 1 / (1 + np.exp(-logits))
    assert np.abs(prediction.confidence - 255 * np.maximum(probability, 1 - probability)).max() <= 0.5 + 1e-3
    pytorch = TorchRunner(checkpoint.model, PREPROCESSING["imagenet_rgb"])
    usual = UsualRoute(export_usual_route(checkpoint.model, tmp_path / "usual.onnx"), PREPROCESSING["imagenet_rgb"])
    for route in (pytorch, usual):
        found = route(frame)
        assert found.dtype == np.uint8
        assert (found != prediction.class_map).mean() < 1e-3
    assert pytorch.logits(frame[None]).shape == (1, 2, 61, 83)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_builds_an_engine(
    precision: Precision, tensorrt_rtx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What random weights decide is nearly a tie everywhere: their accuracy in INT8 means nothing.
    monkeypatch.setattr(quantize_search, "LARGEST_DISAGREEMENT", 100)
    calibration = None
    if precision == "int8":
        drawn = drawn_calibration()
        calibration = dataclasses.replace(
            drawn, calibration=drawn.calibration[:2], validation=drawn.validation[:3], labels=None
        )
    exported = export_onnx(
        one_score("fcn8s"), tmp_path / "net.onnx", precision=precision, outputs=OUTPUTS, calibration=calibration
    )
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    options = EngineOptions(profiles=(OptimizationProfile.parse("32x32,64x64,128x128"),))
    result = build_engine(exported.path, tmp_path / "net.engine", options, machine=(library, None))
    assert result.manifest.spec.sigmoid
    assert result.manifest.convolutions.get(precision, 0) > 0


def test_a_graph_that_decides_elsewhere_than_at_zero_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployable_module, "decide", lambda logits: (logits > 0.5).squeeze(1))
    with pytest.raises(ParityError, match=r"disagrees with PyTorch .* another class, by a logit gap of up to 0\.[1-4]"):
        export_onnx(one_score("unet"), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
