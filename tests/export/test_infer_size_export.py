from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fcnrt.benchmarks.verify.stages import open_deployment
from fcnrt.datasets.calibration import CalibrationData
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.engine.build import EngineOptions, build_engine
from fcnrt.export.reference import reference_logits
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.infer_size import at_infer_size
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize


def scene(text: str) -> np.ndarray:
    return render_scene(4, 2, ImageSize.parse(text)).image.copy()


FRAMES = CalibrationData((scene("90x90"),), (scene("80x90"),), None, "scenes")


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ("96x160", {"outputs": ("class_map", "logits"), "channel_order": "bgr"}),
        ("64", {"precision": "fp16"}),
        ("96x96", {"precision": "int8", "calibration": FRAMES}),
    ],
    ids=["fp32", "fp16", "int8"],
)
def test_the_file_computes_what_pytorch_computes_at_that_size(
    make_checkpoint, tmp_path: Path, size: str, options: dict[str, Any]
) -> None:
    checkpoint = at_infer_size(make_checkpoint(), size)
    path = tmp_path / "net.onnx"
    result = export_onnx(checkpoint, path, **options)  # compares at many sizes, and refuses what differs
    assert result.spec.infer_size == size
    frame = scene("200x301")
    expected = reference_logits(checkpoint.model, PREPROCESSING["imagenet_rgb"], frame[None])[0].argmax(0)
    with Segmenter.open(path, device="cpu") as segment:
        assert segment.spec.infer_size == size
        class_map = segment(frame if segment.spec.channel_order == "rgb" else np.ascontiguousarray(frame[..., ::-1]))
    allowed = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}[result.spec.precision]  # random weights: much is nearly a tie
    assert (class_map != expected).mean() <= allowed
    names = {node.name for node in onnx.load(path).graph.node}
    assert {"conv1_1", "fc7", "score_fr"} <= names  # the checkpoint's names, as without a size
    with open_deployment(path, checkpoint, device="cpu") as deployment:
        assert deployment.stages[-1].segment(frame).shape == (200, 301)


def test_tensorrt_builds_it(make_checkpoint, tensorrt_rtx, tmp_path: Path) -> None:
    library = TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    profile = OptimizationProfile.parse("32x32,128x128,256x320")
    for size, precision in (("96x160", "fp32"), ("64", "fp16")):
        path = tmp_path / f"{size}.onnx"
        export_onnx(at_infer_size(make_checkpoint(), size), path, precision=precision)
        result = build_engine(
            path, path.with_suffix(".engine"), EngineOptions(profiles=(profile,)), machine=(library, None)
        )
        assert result.manifest.spec.infer_size == size
