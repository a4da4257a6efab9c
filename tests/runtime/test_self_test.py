from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.errors import ModelFileError
from fcnrt.runtime.segmenter import Prediction, Segmenter
from fcnrt.runtime.self_test import (
    SELF_TEST_KEY,
    GoldenFrame,
    SelfTest,
    golden_frame,
    meaning_of,
    read_self_test,
    run_self_test,
)
from fcnrt.runtime.spec import ImageSize, ModelSpec


def strongest_channel(seed: int, size: ImageSize) -> GoldenFrame:
    """What the tiny model answers; firm where the strongest channel leads by more than 5."""
    frame = golden_frame(seed, size)
    ranked = np.sort(frame.astype(int), axis=-1)
    return GoldenFrame(seed, size, frame.argmax(-1).astype(np.uint8), ranked[..., 2] - ranked[..., 1] > 5)


@pytest.fixture
def self_test() -> SelfTest:
    return SelfTest((strongest_channel(0, ImageSize(40, 50)), strongest_channel(1, ImageSize(33, 17))), floor=1.0)


def test_frames_are_the_same_everywhere_and_for_ever() -> None:
    digest = hashlib.sha256(golden_frame(5, ImageSize(83, 61)).tobytes()).hexdigest()
    assert digest == "9afbaa1fda0a572f8adb53c78eb5519bafb1f6c249627ca5aa34a62117ea6e62"


def test_frames_are_colourful_and_all_different() -> None:
    frame = golden_frame(0, ImageSize(96, 128))
    assert frame.shape == (96, 128, 3)
    assert frame.min() < 20
    assert frame.max() > 235
    channels = frame.reshape(-1, 3).T.astype(float)
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 0.5  # exchanged channels are another picture
    for other in (golden_frame(1, ImageSize(96, 128)), frame[::-1], frame[:, ::-1]):
        assert np.abs(frame.astype(int) - other).mean() > 30


def test_survives_json(self_test: SelfTest) -> None:
    again = SelfTest.from_json(self_test.to_json())
    assert (again.floor, again.sha256) == (self_test.floor, self_test.sha256)
    for mine, theirs in zip(self_test.frames, again.frames, strict=True):
        assert (mine.seed, mine.size) == (theirs.seed, theirs.size)
        np.testing.assert_array_equal(mine.class_map, theirs.class_map)
        np.testing.assert_array_equal(mine.firm, theirs.firm)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "the self-test was written in format 9; this fcnrt reads up to 1. Upgrade fcnrt"),
        ({"sha256": "00"}, r"the model's self-test is damaged \(its hash is wrong\); copy or export the model again"),
        ({"frames": [{}]}, "the model's self-test is damaged"),
        ({"floor": 10**400}, "the model's self-test is damaged"),
        ({"frames": [{"seed": 0, "size": "2x2", "class_map": "!", "firm": "!"}]}, "self-test is damaged"),
    ],
)
def test_damage(self_test: SelfTest, change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        SelfTest.from_json(json.dumps(json.loads(self_test.to_json()) | change))
    with pytest.raises(ModelFileError, match="damaged"):
        SelfTest.from_json("nonsense")
    with pytest.raises(ModelFileError, match="damaged"):
        SelfTest.from_json("[" * 100_000)


def test_a_test_without_a_word_of_engines_is_for_everything(self_test: SelfTest) -> None:
    """Exports of earlier versions have no such word."""
    data = json.loads(self_test.to_json())
    for frame in data["frames"]:
        del frame["for_engines"]
    assert not any(frame.for_engines for frame in SelfTest.from_json(json.dumps(data)).frames)


def test_a_model_that_keeps_its_promise(self_test: SelfTest, tiny_model: Path) -> None:
    with Segmenter.open(tiny_model, device="cpu") as segment:
        result = run_self_test(segment.predict, self_test, spec=segment.spec)
    assert result.passed
    assert result.identical
    assert (result.frames, result.pixels, result.differing) == (2, 40 * 50 + 33 * 17, 0)


def test_exchanged_channels_fail(self_test: SelfTest, tiny_model: Path) -> None:
    with Segmenter.open(tiny_model, device="cpu") as segment:
        result = run_self_test(segment.predict, self_test, spec=dataclasses.replace(segment.spec, channel_order="bgr"))
    assert not result.passed
    assert result.faults > result.firm_pixels / 2


def test_ties_may_fall_either_way(self_test: SelfTest, tiny_spec: ModelSpec) -> None:
    def other_of_the_tied(frame: np.ndarray) -> Prediction:
        return Prediction((frame.astype(int) + np.array([0, 3, 5])).argmax(-1).astype(np.uint8))

    result = run_self_test(other_of_the_tied, self_test, spec=tiny_spec)
    assert result.differing > 0
    assert not result.identical
    assert result.passed


@pytest.mark.parametrize("answer", ["expected", "other"])
def test_ties_alone_prove_nothing(self_test: SelfTest, tiny_spec: ModelSpec, answer: str) -> None:
    """What PyTorch makes of a network with NaN is no class that another backend could miss."""
    ties = [dataclasses.replace(frame, firm=np.zeros_like(frame.firm)) for frame in self_test.frames]

    def predict(frame: np.ndarray) -> Prediction:
        return Prediction(frame.argmax(-1).astype(np.uint8) ^ np.uint8(answer == "other"))

    result = run_self_test(predict, SelfTest(tuple(ties), floor=1.0), spec=tiny_spec)
    assert (result.faults, result.identical) == (0, answer == "expected")
    assert not result.passed


@pytest.mark.parametrize(("floor", "passed"), [(1.0, False), (0.999, True)])
def test_lower_precision_has_a_floor(self_test: SelfTest, tiny_spec: ModelSpec, floor: float, passed: bool) -> None:
    def wrong_once(frame: np.ndarray) -> Prediction:
        class_map = frame.argmax(-1).astype(np.uint8)
        if len(frame) == 40:
            row, column = np.argwhere(self_test.frames[0].firm)[0]
            class_map[row, column] ^= 1
        return Prediction(class_map)

    result = run_self_test(wrong_once, dataclasses.replace(self_test, floor=floor), spec=tiny_spec)
    assert result.faults == 1
    assert result.passed is passed


def test_a_map_of_another_size_fails(self_test: SelfTest, tiny_spec: ModelSpec) -> None:
    def shorter(frame: np.ndarray) -> Prediction:
        return Prediction(frame[1:].argmax(-1).astype(np.uint8))

    result = run_self_test(shorter, self_test, spec=tiny_spec)
    assert result.differing == result.pixels
    assert not result.passed


def write_onnx(path: Path, tiny_model: Path, self_test: str) -> Path:
    """The tiny model with a self-test."""
    graph = onnx.load(tiny_model)
    entry = graph.metadata_props.add()
    entry.key, entry.value = SELF_TEST_KEY, self_test
    onnx.save(graph, path)
    return path


def test_travels_in_the_file(self_test: SelfTest, tiny_model: Path, tmp_path: Path) -> None:
    assert read_self_test(tiny_model) is None
    path = write_onnx(tmp_path / "tested.onnx", tiny_model, self_test.to_json())
    found = read_self_test(path)
    assert found is not None
    assert found.sha256 == self_test.sha256
    write_onnx(path, tiny_model, "{}")
    with pytest.raises(ModelFileError, match=r"tested\.onnx: the model's self-test is damaged"):
        read_self_test(path)


def test_classes_that_no_frame_shows_are_not_counted(self_test: SelfTest, tiny_spec: ModelSpec) -> None:
    def strongest(frame: np.ndarray) -> Prediction:
        return Prediction(frame.argmax(-1).astype(np.uint8))

    more = dataclasses.replace(tiny_spec, class_names=tuple("abcde"), palette=((0, 0, 0),) * 5)
    result = run_self_test(strongest, self_test, spec=more)
    assert (result.classes_seen, result.num_classes) == (3, 5)
    # So few pixels as any class has here may differ.
    assert run_self_test(strongest, dataclasses.replace(self_test, floor=0.01), spec=more).classes_seen == 0


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ("blue", "green", "red")},
        {"palette": ((255, 0, 0), (0, 255, 0), (0, 0, 254))},
        {"channel_order": "bgr"},
    ],
)
def test_what_a_class_means_is_part_of_it(
    self_test: SelfTest, tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path, change: dict[str, Any]
) -> None:
    text = dataclasses.replace(self_test, meaning=meaning_of(tiny_spec)).to_json()
    assert read_self_test(write_onnx(tmp_path / "model.onnx", tiny_model, text)) is not None
    other = dataclasses.replace(self_test, meaning=meaning_of(dataclasses.replace(tiny_spec, **change))).to_json()
    engine = write_manifest(tmp_path / "model.engine", tiny_spec, "40x40", other)
    for path in (write_onnx(tmp_path / "other.onnx", tiny_model, other), engine):
        with pytest.raises(ModelFileError, match=r"the class names, the palette or the order of channels .* are not"):
            read_self_test(path)


def write_manifest(engine: Path, spec: ModelSpec, smallest: str, self_test: str | None) -> Path:
    """An engine that nothing can run, with a manifest."""
    manifest = EngineManifest(
        key=EngineKey(
            onnx_sha256="00",
            flavor="tensorrt",
            version="11.4",
            gpu="GPU",
            compute_capabilities=("8.9",),
            profiles=(),
            max_batch=1,
            workspace_bytes=None,
            optimization_level=None,
        ),
        profiles=(OptimizationProfile.parse(f"{smallest},512x512,512x512"),),
        onnx_name="model.onnx",
        onnx_bytes=1,
        engine_bytes=4,
        engine_sha256="00",
        convolutions={},
        spec=spec,
        self_test=self_test,
    )
    write_engine(engine, b"plan", manifest)
    return engine


def test_an_engine_has_it_in_its_manifest(self_test: SelfTest, tiny_spec: ModelSpec, tmp_path: Path) -> None:
    engine = tmp_path / "model.engine"
    found = read_self_test(write_manifest(engine, tiny_spec, "40x40", self_test.to_json()))
    assert found is not None
    assert [str(frame.size) for frame in found.frames] == ["40x50"]  # 33x17 is too small for the engine
    with pytest.raises(ModelFileError, match=r"takes none of the self-test's frames \(40x50, 33x17\); compare it on"):
        read_self_test(write_manifest(engine, tiny_spec, "64x64", self_test.to_json()))
    assert read_self_test(write_manifest(engine, tiny_spec, "64x64", None)) is None


def test_a_frame_for_engines_is_run_by_engines_alone(
    self_test: SelfTest, tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    small, large = self_test.frames[1], dataclasses.replace(self_test.frames[0], for_engines=True)
    text = SelfTest((small, large), floor=1.0).to_json()
    of_onnx = read_self_test(write_onnx(tmp_path / "model.onnx", tiny_model, text))
    of_engine = read_self_test(write_manifest(tmp_path / "model.engine", tiny_spec, "40x40", text))
    assert of_onnx is not None
    assert of_engine is not None
    assert [frame.size for frame in of_onnx.frames] == [small.size]
    assert [frame.size for frame in of_engine.frames] == [large.size]
