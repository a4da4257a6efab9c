from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcnrt.benchmarks.parity_frames import data_frames, generated_frames
from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.stages import open_deployment, source_onnx, takes_size
from fcnrt.benchmarks.verification import verify_deployment
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.errors import DatasetError, ParityError, SourceError
from fcnrt.runtime.manifest import EngineKey, EngineManifest, write_engine
from fcnrt.runtime.optimization_profile import OptimizationProfile
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return random_checkpoint(FCNConfig(variant="fcn8s", num_classes=21, width=1 / 16, fc_channels=8))


@pytest.fixture(scope="module")
def half(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    export_onnx(checkpoint, path, precision="fp16", channel_order="bgr")
    return path


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("voc") / "scenes"
    write_voc(root, count=4, seed=0, size=ImageSize(64, 96), val_fraction=0.5)
    return root


def test_half_precision_hop_by_hop_on_labelled_pictures(checkpoint: Checkpoint, half: Path, voc: Path) -> None:
    steps: list[str] = []
    found = verify_deployment(half, checkpoint, data=str(voc), device="cpu", progress=steps.append)
    assert [hop.name for hop in found.parity.hops] == [
        "PyTorch -> fp32 graph (onnxruntime on cpu)",
        "fp32 graph (onnxruntime on cpu) -> fp16, emulated",
        "fp16, emulated -> fp16 graph (onnxruntime on cpu)",
    ]
    assert [hop.precision for hop in found.parity.hops] == ["fp32", "fp16", "fp16"]
    assert found.parity.passed, [hop.objections for hop in found.parity.hops]
    assert found.diagnosis is None
    assert found.parity.reference_accuracy is not None
    assert found.parity.reference_accuracy.counts.sum() > 0.8 * 2 * 64 * 96  # void borders are not counted
    for hop in found.parity.hops:
        assert hop.frames == 18 + 2
        assert hop.miou_difference is not None
        assert abs(hop.miou_difference) < 0.002
    assert found.parity.hops[2].ties > 0
    assert "exporting in fp32" in steps


def test_targets_of_fp32_exports(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "exact.onnx"
    export_onnx(checkpoint, path)
    found = verify_deployment(path, checkpoint, device="cpu")
    (hop,) = found.parity.hops
    assert hop.equal_share >= 0.99999
    assert hop.faults == 0
    assert hop.miou_difference is not None
    assert abs(hop.miou_difference) <= 0.0005


def test_another_number_of_classes(half: Path) -> None:
    other = random_checkpoint(FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=8))
    with (
        pytest.raises(ParityError, match=r"half\.onnx has 21 classes and the reference random weights .* has 5"),
        open_deployment(half, other, device="cpu"),
    ):
        pass


def test_generated_frames(checkpoint: Checkpoint) -> None:
    frames = list(generated_frames(VOC_CLASSES))
    assert {frame.name for frame in frames} >= {"scene 1x1", "noise 1x1", "noise 375x500", "scene 0"}
    assert len({frame.name for frame in frames}) == len(frames)
    assert sum(frame.label is not None for frame in frames) == 16
    other_classes = [name.upper() for name in VOC_CLASSES]
    assert all(frame.label is None for frame in generated_frames(other_classes))


def test_pictures(tmp_path: Path) -> None:
    for name, value in (("b", 10), ("a", 20)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 5, 3), value, np.uint8))
    frames = list(data_frames(str(tmp_path), 21))
    assert [(frame.name, int(frame.image[0, 0, 0]), frame.label) for frame in frames] == [
        ("a.png", 20, None),
        ("b.png", 10, None),
    ]
    assert [frame.name for frame in data_frames(str(tmp_path), 21, limit=1)] == ["a.png"]
    assert [frame.name for frame in data_frames(str(tmp_path / "b.png"), 21)] == ["b.png"]


def test_data_that_cannot_be_used(tmp_path: Path, voc: Path) -> None:
    with pytest.raises(SourceError, match="no image in this folder"):
        next(data_frames(str(tmp_path), 21))
    with pytest.raises(DatasetError, match=r"holds label \d+; labels are 0 to 0"):
        list(data_frames(str(voc), 1))
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    with pytest.raises(SourceError, match=r"film\.mp4 is a video; give a picture"):
        next(data_frames(str(film), 21))


def test_engines_have_limits(half: Path, tmp_path: Path) -> None:
    assert takes_size(half)(ImageSize(1, 1))
    with Segmenter.open(half, device="cpu") as segmenter:
        spec = segmenter.spec
    engine = tmp_path / "half.engine"
    manifest = EngineManifest(
        key=EngineKey(
            onnx_sha256="00",
            flavor="tensorrt",
            version="11.4",
            gpu="GPU",
            compute_capabilities=("9.0",),
            profiles=(),
            max_batch=1,
            workspace_bytes=None,
            optimization_level=None,
        ),
        profiles=(
            OptimizationProfile.parse("64x64,96x96,128x256"),
            OptimizationProfile.parse("512x512,512x512,512x512"),
        ),
        onnx_name="half.onnx",
        onnx_bytes=1,
        engine_bytes=4,
        engine_sha256="00",
        convolutions={},
        spec=dataclasses.replace(spec),
    )
    write_engine(engine, b"plan", manifest)
    takes = takes_size(engine)
    sizes = [ImageSize(h, w) for h, w in itertools.product((63, 64, 512), (64, 256, 512))]
    assert [size for size in sizes if takes(size)] == [ImageSize(64, 64), ImageSize(64, 256), ImageSize(512, 512)]
    assert source_onnx(engine) == tmp_path / "half.onnx"
