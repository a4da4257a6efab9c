from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.export.golden import make_self_test, require_self_test_passed
from fcnrt.export.model_spec import spec_of
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.runtime.errors import ParityError
from fcnrt.runtime.onnx_header import read_metadata
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.self_test import SELF_TEST_KEY, SelfTest, read_self_test, run_self_test

SLIM = FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=16)


@pytest.fixture(scope="module", params=["rgb", "bgr"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("golden") / "model.onnx"
    export_onnx(random_checkpoint(SLIM), path, channel_order=request.param)
    return path


def read(path: Path) -> SelfTest:
    self_test = read_self_test(path)
    assert self_test is not None
    return self_test


def test_every_exported_file_passes_its_own_test(path: Path) -> None:
    self_test = read(path)
    assert self_test.floor == 1.0
    assert all(len(np.unique(frame.class_map)) > 1 for frame in self_test.frames)
    assert all(frame.firm.mean() > 0.9 for frame in self_test.frames)
    with Segmenter.open(path, device="cpu") as segment:
        assert run_self_test(segment.predict, self_test, spec=segment.spec).passed


def test_the_test_is_small(path: Path) -> None:
    assert len(read(path).to_json()) < 100_000


def test_a_damaged_weight_fails_it(path: Path, tmp_path: Path) -> None:
    graph = onnx.load(path)
    weight = next(tensor for tensor in graph.graph.initializer if tensor.name == "conv3_2.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    damaged = tmp_path / "damaged.onnx"
    onnx.save(graph, damaged)
    with pytest.raises(ParityError, match=r"fails its own self-test: [\d,]+ of [\d,]+ pixels that are no ties"):
        require_self_test_passed(damaged, read(path))


@pytest.mark.parametrize("row", [0, 6])
@pytest.mark.parametrize("column", [0, 6])
def test_a_damaged_corner_of_the_largest_kernel_fails_it(path: Path, tmp_path: Path, row: int, column: int) -> None:
    """fc6 holds three quarters of a network's weights; small frames do not reach its corners."""
    graph = onnx.load(path)
    weight = next(tensor for tensor in graph.graph.initializer if tensor.name == "fc6.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    assert values.shape[2:] == (7, 7)
    values[:, :, row, column] = 10
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    damaged = tmp_path / "damaged.onnx"
    onnx.save(graph, damaged)
    with Segmenter.open(damaged, device="cpu") as segment:
        assert not run_self_test(segment.predict, read(path), spec=segment.spec).passed


def test_engines_have_a_frame_of_their_size(path: Path) -> None:
    written = SelfTest.from_json(read_metadata(path)[SELF_TEST_KEY])
    assert [str(frame.size) for frame in written.frames if frame.for_engines] == ["256x288"]


def test_weights_to_start_a_training_from_are_exported_and_prove_nothing(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(replace(SLIM, variant="fcn32s"))
    torch.nn.init.zeros_(checkpoint.model.get_submodule("score_fr").get_parameter("weight"))
    export_onnx(checkpoint, tmp_path / "model.onnx")
    with Segmenter.open(tmp_path / "model.onnx", device="cpu") as segment:
        result = run_self_test(segment.predict, read(tmp_path / "model.onnx"), spec=segment.spec)
    assert (result.identical, result.conclusive, result.passed) == (True, False, False)


def test_lower_precision_has_a_floor_below_one() -> None:
    checkpoint = random_checkpoint(SLIM)
    spec = spec_of(checkpoint)
    exact, half = (make_self_test(checkpoint, replace(spec, precision=precision)) for precision in ("fp32", "fp16"))
    assert half.floor < exact.floor
    assert half.frames[0].firm.sum() <= exact.frames[0].firm.sum()


def halve_confidence(model: onnx.ModelProto) -> None:
    factor = next(tensor for tensor in model.graph.initializer if np.all(onnx.numpy_helper.to_array(tensor) == 255))
    factor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(factor) / np.float32(2), factor.name))


def negate_logits(model: onnx.ModelProto) -> None:
    maker = next(node for node in model.graph.node if "logits" in node.output)
    maker.output[0] = "right"
    model.graph.node.append(onnx.helper.make_node("Neg", ["right"], ["logits"]))


def halve_logits(model: onnx.ModelProto) -> None:
    """The class is the same."""
    negate_logits(model)
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Mul", ["right", "half"], ["logits"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))


def reverse_colours(model: onnx.ModelProto) -> None:
    colours = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("_colors"))
    values = np.ascontiguousarray(onnx.numpy_helper.to_array(colours)[::-1])
    colours.CopyFrom(onnx.numpy_helper.from_array(values, colours.name))


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def everything(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("everything") / "model.onnx"
    outputs = ("class_map", "confidence", "logits", "overlay")
    export_onnx(random_checkpoint(SLIM), path, outputs=outputs, precision=request.param, channel_order="bgr")
    return path


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (halve_confidence, ("confidence",)),
        (negate_logits, ("confidence", "logits")),  # one of the two does not follow from the other
        (halve_logits, ("confidence", "logits")),
        (reverse_colours, ("overlay",)),
    ],
)
def test_every_output_is_tested(
    everything: Path, tmp_path: Path, damage: Callable[[onnx.ModelProto], None], wrong: tuple[str, ...]
) -> None:
    self_test = read(everything)
    with Segmenter.open(everything, device="cpu") as segment:
        result = run_self_test(segment.predict, self_test, spec=segment.spec)
    assert result.passed
    assert result.right_outputs == ("confidence", "logits", "overlay")
    model = onnx.load(everything)
    damage(model)
    path = tmp_path / "damaged.onnx"
    onnx.save(model, path)
    with Segmenter.open(path, device="cpu") as segment:
        result = run_self_test(segment.predict, self_test, spec=segment.spec)
    assert result.class_map_passed
    assert not result.passed
    assert result.wrong_outputs == wrong
    with pytest.raises(ParityError, match=f"fails its own self-test: the output {wrong[0]} is not what it is in"):
        require_self_test_passed(path, self_test)


def test_confidence_alone_is_held_against_what_the_file_keeps_of_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(random_checkpoint(SLIM), path, outputs=("class_map", "confidence"))
    self_test = read(path)
    assert len(self_test.to_json()) < 100_000
    model = onnx.load(path)
    halve_confidence(model)
    onnx.save(model, path)
    of_an_older_version = replace(self_test, frames=tuple(replace(frame, outputs=None) for frame in self_test.frames))
    with Segmenter.open(path, device="cpu") as segment:
        assert run_self_test(segment.predict, self_test, spec=segment.spec).wrong_outputs == ("confidence",)
        nothing_known = run_self_test(segment.predict, of_an_older_version, spec=segment.spec)
    assert nothing_known.passed
    assert nothing_known.unchecked_outputs == ("confidence",)
