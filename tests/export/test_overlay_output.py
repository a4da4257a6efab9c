"""The output ``overlay``: the finished picture, the same as the runtime paints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.datasets.calibration import CalibrationData, drawn_calibration
from fcnrt.export import quantize_search
from fcnrt.export.engine.build import EngineOptions, build_engine
from fcnrt.export.painting import OverlayPainting
from fcnrt.export.sample_frames import sample_frame
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import ParityError
from fcnrt.runtime.images.overlay import ClassPainter
from fcnrt.runtime.onnx_header import read_onnx_header
from fcnrt.runtime.opacity import DEFAULT_OPACITY
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ChannelOrder, ImageSize, Precision

OUTPUTS = ("class_map", "overlay")
SIZES = (ImageSize(1, 1), ImageSize(1, 40), ImageSize(61, 83), ImageSize(96, 64))


def few_frames() -> CalibrationData:
    drawn = drawn_calibration()
    return dataclasses.replace(drawn, calibration=drawn.calibration[:2], validation=drawn.validation[:3], labels=None)


def every_pair() -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.uint8]], Any]:
    """A frame with each value, over classes with each colour: all 65,536 pairs, and a palette of them."""
    values = np.arange(256, dtype=np.uint8)
    frame = np.repeat(np.tile(values, (256, 1))[..., None], 3, 2)  # (256, 256, 3)
    return frame, np.repeat(values[:, None], 256, 1), tuple((int(i), int(255 - i), int(i)) for i in values)


def painted(opacity: float, channel_order: ChannelOrder = "rgb") -> Any:
    frame, class_map, palette = every_pair()
    painting = OverlayPainting(palette, opacity, channel_order)
    result = painting(torch.from_numpy(frame)[None].float(), torch.from_numpy(class_map)[None].long())
    expected = ClassPainter(palette, channel_order=channel_order).overlay(frame, class_map, opacity=opacity)
    return np.abs(result[0].numpy().astype(int) - expected)


@pytest.mark.parametrize("channel_order", ["rgb", "bgr"])
def test_the_default_opacity_gives_the_runtimes_picture_for_every_value_and_colour(channel_order: ChannelOrder) -> None:
    assert not painted(DEFAULT_OPACITY, channel_order).any()


@pytest.mark.parametrize("opacity", [0, 0.05, 0.25, 0.3, 0.5, 0.65, 0.9, 1])
def test_other_opacities_may_round_half_way_values_the_other_way(opacity: float) -> None:
    difference = painted(opacity)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_an_impossible_opacity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"opacity is 0 \(not visible\) to 1 \(covers the frame\), got 2"):
        OverlayPainting(((0, 0, 0), (1, 2, 3)), 2, "rgb")


@pytest.mark.parametrize(
    ("precision", "channel_order"), [("fp32", "rgb"), ("fp16", "bgr"), ("int8", "rgb")], ids=["fp32", "fp16", "int8"]
)
def test_frames_come_back_painted(
    precision: Precision,
    channel_order: ChannelOrder,
    make_checkpoint,
    tensorrt_rtx: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What random weights decide is nearly a tie everywhere: their accuracy in INT8 means nothing.
    monkeypatch.setattr(quantize_search, "LARGEST_DISAGREEMENT", 100)
    one_score = FCNConfig(variant="fcn8s", num_classes=2, sigmoid=True, width=1 / 16, fc_channels=16)
    fp16 = precision == "fp16"
    result = export_onnx(
        random_checkpoint(one_score) if fp16 else make_checkpoint(variant="fcn16s", align="caffe"),
        tmp_path / "net.onnx",
        outputs=OUTPUTS,
        precision=precision,
        channel_order=channel_order,
        calibration=few_frames() if precision == "int8" else None,
    )
    assert result.spec.overlay_opacity == DEFAULT_OPACITY
    assert str(read_onnx_header(result.path).outputs[1]) == "overlay uint8 [batch, height, width, 3]"
    painter = ClassPainter(result.spec.palette, channel_order=channel_order)
    with Segmenter.open(result.path, device="cpu") as segment:
        for size in SIZES:
            frame = sample_frame(size, size.height)
            prediction = segment.predict(np.stack([frame, frame[::-1]]))
            assert prediction.overlay is not None
            for index, picture in enumerate((frame, frame[::-1])):
                expected = painter.overlay(np.ascontiguousarray(picture), prediction.class_map[index])
                np.testing.assert_array_equal(prediction.overlay[index], expected)
            assert prediction.class_map.any() or size.height == 1

    # TensorRT: uint8 straight from the input and straight to the outputs, and an engine to prove it.
    graph = onnx.load(result.path).graph
    readers = [node.op_type for node in graph.node if "image" in node.input and node.op_type != "Shape"]
    assert readers == ["Cast"]
    for name in OUTPUTS:
        (maker,) = (node for node in graph.node if name in node.output)
        assert (maker.op_type, maker.attribute[0].i) == ("Cast", TensorProto.UINT8)
        assert not any(name in node.input for node in graph.node)
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    options = EngineOptions(profiles=(OptimizationProfile.parse("1x1,64x64,128x128"),))
    built = build_engine(result.path, tmp_path / "net.engine", options, machine=(library, None))
    assert built.manifest.spec.overlay_opacity == DEFAULT_OPACITY


def test_a_graph_that_paints_otherwise_is_not_kept(
    make_checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = OverlayPainting.forward
    monkeypatch.setattr(OverlayPainting, "forward", lambda self, pixels, classes: right(self, pixels.flip(2), classes))
    with pytest.raises(ParityError, match="the output overlay at 3x97 differs from the frame painted with its class"):
        export_onnx(make_checkpoint(), tmp_path / "net.onnx", outputs=OUTPUTS)
    assert not list(tmp_path.iterdir())
