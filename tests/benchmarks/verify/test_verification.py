from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.verify.frames import data_frames, labelled_scenes, sized_frames
from fcnrt.benchmarks.verify.stages import open_deployment
from fcnrt.benchmarks.verify.verification import verify_deployment
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.voc import VOC_CLASSES
from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.errors import DatasetError, ParityError, SourceError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize, Precision


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
    for hop in found.parity.hops:
        assert hop.reference_accuracy is not None
        assert hop.reference_accuracy.counts.sum() > 0.8 * 2 * 64 * 96  # void borders are not counted
        assert hop.frames == 20 + 2
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


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_output_is_compared(checkpoint: Checkpoint, tmp_path: Path, precision: Precision) -> None:
    path, picture = tmp_path / "all.onnx", tmp_path / "picture.png"
    outputs = ("class_map", "confidence", "logits", "overlay")
    export_onnx(checkpoint, path, precision=precision, outputs=outputs, channel_order="bgr")
    cv2.imwrite(str(picture), np.full((40, 50, 3), 100, np.uint8))
    sound = verify_deployment(path, checkpoint, data=str(picture), device="cpu")
    assert sound.parity.passed
    assert list(sound.parity.hops[-1].output_faults) == ["confidence", "logits", "overlay"]
    model = onnx.load(path)
    maker = next(node for node in model.graph.node if "logits" in node.output)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = "right" if name == "logits" else name
    maker.output[0] = "right"
    model.graph.node.append(onnx.helper.make_node("Neg", ["right"], ["logits"]))
    onnx.save(model, path)
    damaged = verify_deployment(path, checkpoint, data=str(picture), device="cpu")
    assert damaged.parity.broken is damaged.parity.hops[-1]
    (objection,) = damaged.parity.broken.objections
    assert objection.startswith("the output logits is not PyTorch's at 100 % of the pixels (allowed in ")
    assert str(damaged.diagnosis) == "the class map is right and logits is not: look behind the class scores"


def test_another_number_of_classes(half: Path) -> None:
    other = random_checkpoint(FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=8))
    with (
        pytest.raises(ParityError, match=r"half\.onnx has 21 classes and the reference random weights .* has 5"),
        open_deployment(half, other, device="cpu"),
    ):
        pass


def test_generated_frames() -> None:
    frames = list(sized_frames((ImageSize(64, 96), ImageSize(32, 48))))
    names = [frame.name for frame in frames]
    assert len(set(names)) == len(names)
    assert {"scene 1x1", "noise 1x1", "noise 375x500", "scene 32x48"} <= set(names)
    assert all(f"{frame.image.shape[0]}x{frame.image.shape[1]}" in frame.name for frame in frames)
    scene = next(labelled_scenes(VOC_CLASSES))
    assert scene.label is not None
    assert scene.label.shape == scene.image.shape[:2] == (256, 256)
    assert next(labelled_scenes([name.upper() for name in VOC_CLASSES])).label is None


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


def test_labelled_data_may_have_any_layout_that_evaluate_takes(tmp_path: Path) -> None:
    for folder, value in (("images", 9), ("masks", 2)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.full((4, 5), value, np.uint8))
    (tmp_path / "val.txt").write_text("b\n")
    (frame,) = data_frames(str(tmp_path), 3)
    assert frame.name == "b"
    assert frame.label is not None
    assert frame.label.tolist() == [[2] * 5] * 4
    with pytest.raises(DatasetError, match=r"b\.png holds label 2; labels are 0 to 1"):
        next(data_frames(str(tmp_path), 2))


def test_a_label_that_is_all_void_is_no_ground_truth(tmp_path: Path) -> None:
    for folder, value in (("images", 9), ("masks", 255)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.full((4, 5), value, np.uint8))
    (tmp_path / "val.txt").write_text("a\n")
    (frame,) = data_frames(str(tmp_path), 3)
    assert frame.label is None


def test_data_that_cannot_be_used(tmp_path: Path, voc: Path) -> None:
    with pytest.raises(SourceError, match="no image in this folder"):
        next(data_frames(str(tmp_path), 21))
    with pytest.raises(DatasetError, match=r"holds label \d+; labels are 0 to 0"):
        list(data_frames(str(voc), 1))
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    with pytest.raises(SourceError, match=r"film\.mp4 is a video; give a picture"):
        next(data_frames(str(film), 21))
    for nothing in (tmp_path / "gone.png", "0", "rtsp://camera/street"):  # cameras and streams cannot be repeated
        with pytest.raises(SourceError, match=r"no such file or folder; give a picture, a folder of pictures"):
            next(data_frames(str(nothing), 21))


def test_a_damaged_data_set_is_no_folder_of_pictures_wherever_its_archive_left_it(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    write_voc(root, count=2, seed=0, size=ImageSize(64, 96), val_fraction=0.5)
    for label in (root / "SegmentationClass").iterdir():
        label.unlink()
    with pytest.raises(DatasetError, match=r"\.png is missing, but val\.txt lists"):
        next(data_frames(str(tmp_path), 21))


@pytest.fixture
def engine(half: Path, tmp_path: Path) -> Path:
    """An engine that nothing can run, built from `half`."""
    with Segmenter.open(half, device="cpu") as segmenter:
        spec = segmenter.spec
    engine = tmp_path / "half.engine"
    profiles = ("64x64,96x96,128x256", "512x512,512x512,512x512")
    manifest = EngineManifest(
        key=EngineKey(
            onnx_sha256="00",
            flavor="tensorrt",
            version="11.4",
            gpu="GPU",
            compute_capabilities=("9.0",),
            profiles=profiles,
            max_batch=1,
            workspace_bytes=None,
            optimization_level=None,
        ),
        profiles=tuple(map(OptimizationProfile.parse, profiles)),
        onnx_name=str(half),
        onnx_bytes=1,
        engine_bytes=4,
        engine_sha256="00",
        convolutions={},
        spec=spec,
    )
    write_engine(engine, b"plan", manifest)
    return engine


class SwappingEngine:
    """A GPU that runs an engine: in truth ONNX Runtime, with red and blue swapped."""

    backend, device = "tensorrt", "cuda:0"

    def __init__(self, onnx: Path) -> None:
        self._segmenter = Segmenter.open(onnx, device="cpu")
        self.spec = self._segmenter.spec

    def run(self, frames: np.ndarray, outputs: object, *, class_map: object = None) -> dict[str, np.ndarray]:
        return {"class_map": self._segmenter(frames[..., ::-1])}

    def close(self) -> None:
        self._segmenter.close()


def test_engine_is_blamed_when_its_onnx_file_is_right(checkpoint: Checkpoint, half: Path, engine: Path) -> None:
    def open_model(path: Path, **_options: object) -> Segmenter:
        assert path == engine
        return Segmenter(SwappingEngine(half))  # type: ignore[arg-type]

    found = verify_deployment(engine, checkpoint, open_model=open_model)
    assert [hop.name.split(" -> ")[1] for hop in found.parity.hops] == [
        "fp32 graph (onnxruntime on cpu)",
        "fp16, emulated",
        "fp16 graph (onnxruntime on cpu)",
        "engine (tensorrt on cuda:0)",
    ]
    # Of the usual sizes the engine takes three, and it is tuned for two others; a scene and noise of each.
    assert found.parity.hops[0].frames == 2 * (3 + 2)
    assert found.skipped == 2 * 7 + 16
    assert found.parity.broken is found.parity.hops[3]
    assert str(found.diagnosis).startswith("looks like: red and blue swapped (")
