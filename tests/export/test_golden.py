from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.export.golden import make_self_test, require_self_test_passed
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
        assert run_self_test(segment, self_test, channel_order=segment.spec.channel_order).passed


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
        assert not run_self_test(segment, read(path), channel_order=segment.spec.channel_order).passed


def test_engines_have_a_frame_of_their_size(path: Path) -> None:
    written = SelfTest.from_json(read_metadata(path)[SELF_TEST_KEY])
    assert [str(frame.size) for frame in written.frames if frame.for_engines] == ["256x288"]


def test_weights_to_start_a_training_from_are_exported_and_prove_nothing(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(dataclasses.replace(SLIM, variant="fcn32s"))
    torch.nn.init.zeros_(checkpoint.model.get_submodule("score_fr").get_parameter("weight"))
    export_onnx(checkpoint, tmp_path / "model.onnx")
    with Segmenter.open(tmp_path / "model.onnx", device="cpu") as segment:
        result = run_self_test(segment, read(tmp_path / "model.onnx"), channel_order="rgb")
    assert (result.identical, result.conclusive, result.passed) == (True, False, False)


def test_lower_precision_has_a_floor_below_one() -> None:
    exact, half = (make_self_test(random_checkpoint(SLIM), precision) for precision in ("fp32", "fp16"))
    assert half.floor < exact.floor
    assert half.frames[0].firm.sum() <= exact.frames[0].firm.sum()
