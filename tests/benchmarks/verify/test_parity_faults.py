"""Plants every fault that has cost somebody weeks, and expects it to be caught, at the right hop, under its name."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.verify.diagnosis import Diagnosis, Finding, diagnose
from fcnrt.benchmarks.verify.parity import Parity, ParityFrame, Stage, check_parity
from fcnrt.benchmarks.verify.reference import Reference
from fcnrt.benchmarks.verify.verification import verify_deployment
from fcnrt.export.sample_frames import sample_frame
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.network import NetworkConfig
from fcnrt.fcn_models.registry import build
from fcnrt.runtime.images.files import write_image
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize

from .planted_faults import (
    PlantIn,
    align_corners,
    align_corners_at_the_end,
    attribute,
    count_from_one,
    drop_mean,
    floor_pools,
    forget_a_number,
    forget_the_deviation,
    forget_the_division,
    last_crop_off_by_one,
    nearest,
    nearest_at_the_end,
    negate_a_filter,
    nodes,
    permute_classes,
    permute_one_layer,
    raise_one_score,
    rotate_classes,
    scale_by_a_third_more,
    shift_mean,
    skip_crop_off_by_one,
    swap_colours,
    swap_height_and_width,
    swap_mean,
    weight,
)
from .slim_checkpoint import make_checkpoint


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    path = tmp_path_factory.mktemp("sound") / "sound.onnx"
    export_onnx(checkpoint, path)
    return onnx.load(path)


@pytest.fixture
def verify(
    reference: Reference, exported: onnx.ModelProto, frames: list[ParityFrame], tmp_path: Path
) -> Callable[[PlantIn], tuple[Parity, Diagnosis]]:
    """A function that plants a fault in the exported file, runs it in ONNX Runtime and examines it."""

    def run(plant: PlantIn) -> tuple[Parity, Diagnosis]:
        model = copy.deepcopy(exported)
        plant(model.graph)
        path = tmp_path / "faulty.onnx"
        onnx.save(model, path)
        with Segmenter.open(path, device="cpu") as segment:
            parity = check_parity(reference, [Stage("fp32 graph", segment, "fp32", onnx=path)], frames)
        return parity, diagnose(reference, parity.hops[0])

    return run


@pytest.mark.parametrize(
    ("plant", "blamed"),
    [
        (swap_colours, "looks like: red and blue swapped ("),
        (swap_mean, "looks like: mean in the wrong channel order ("),
        (drop_mean, "looks like: mean off: the mean is not subtracted ("),
        (shift_mean, "looks like: mean off by +20, +20, +20 (RGB, of 255)"),
        (forget_the_division, "looks like: scale off: pixels are not divided by 255 ("),
        (
            forget_the_deviation,
            "looks like: scale off: pixels are divided by 255 only, not by the standard deviation (",
        ),
        (scale_by_a_third_more, "looks like: scale off by a factor of 1.3"),
        (swap_height_and_width, "looks like: height and width swapped ("),
        (nearest, "looks like: nearest instead of linear upsampling ("),
        (nearest_at_the_end, "looks like: nearest instead of linear upsampling ("),
        (align_corners, "looks like: align_corners in the upsampling ("),
        (align_corners_at_the_end, "looks like: align_corners in the upsampling ("),
        (last_crop_off_by_one, "looks like: crop off by one: the class map is moved by -1 rows and -1 columns ("),
        (skip_crop_off_by_one, "looks like: crop off by one: score_pool4 is cut a cell too far in ("),
        (floor_pools, "looks like: floor instead of ceil pools ("),
        (permute_classes, "looks like: class scores permuted: class 1 and class 4 exchanged ("),
        (rotate_classes, "looks like: class scores permuted: class 5 is returned as class 0, class 0 is returned as"),
        (count_from_one, "looks like: the classes are numbered from 1, not from 0 (100 % of pixels equal"),
        (negate_a_filter, "altered weights: conv4_2.weight is not the checkpoint's (1 of "),
        (forget_a_number, "damaged weights: conv3_1.weight is not finite (NaN or infinity)"),
        (permute_one_layer, "looks like: class scores permuted: class 1 and class 4 exchanged in score_pool3 ("),
    ],
)
def test_planted_in_the_exported_file(
    verify: Callable[[PlantIn], tuple[Parity, Diagnosis]], plant: PlantIn, blamed: str
) -> None:
    parity, diagnosis = verify(plant)
    assert parity.broken is not None
    assert parity.broken.name == "PyTorch -> fp32 graph"
    assert str(diagnosis).startswith(blamed)


def test_one_class_everywhere_proves_no_mistake(verify: Callable[[PlantIn], tuple[Parity, Diagnosis]]) -> None:
    """Many mistakes end like this; what is named is not the only explanation."""
    parity, diagnosis = verify(raise_one_score)
    assert parity.broken is not None
    assert diagnosis.only_class is not None
    explaining = Finding("scale off", "with that scale", equal=1.0, equal_before=0.5, faults=0.0, faults_before=0.5)
    assert str(dataclasses.replace(diagnosis, best=explaining)) == (
        "looks like: scale off (100 % of pixels equal with that scale, 50 % without); but every pixel is "
        f"{diagnosis.only_class}, and a dead layer or a wrong bias does the same"
    )


def test_nothing_is_near_if_nothing_comes_nearer() -> None:
    found = Finding("mean off", "with that mean", equal=0.97, equal_before=0.98, faults=0.02, faults_before=0.02)
    assert str(Diagnosis(best=found, tried=7)) == (
        "unexplained by any of 7 known mistakes, none of which comes nearer to it"
    )
    nearer = dataclasses.replace(found, faults=0.01)
    assert str(Diagnosis(best=nearer, tried=7)).startswith("unexplained by any of 7 known mistakes; the nearest is: ")


def test_nearest_where_networks_interpolate_to_a_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = NetworkConfig(variant="fcn_resnet50", num_classes=6, width=1 / 16)
    checkpoint = dataclasses.replace(make_checkpoint(), model=build(config).eval())
    path = tmp_path / "resnet.onnx"
    export_onnx(checkpoint, path)
    reference = Reference(checkpoint)
    frames = [ParityFrame(size, sample_frame(ImageSize.parse(size), 0)) for size in ("65x33", "100x132")]
    model = onnx.load(path)
    for nearest_mode, coordinates in (
        ("floor", "asymmetric"),
        ("round_prefer_floor", "half_pixel"),
        ("floor", "half_pixel"),
    ):
        for node in nodes(model.graph, "Resize"):
            attribute(node, "mode", "nearest")
            attribute(node, "nearest_mode", nearest_mode)
            attribute(node, "coordinate_transformation_mode", coordinates)
        onnx.save(model, path)
        with Segmenter.open(path, device="cpu") as segment:
            parity = check_parity(reference, [Stage("fp32 graph", segment, "fp32")], frames)
        blamed = str(diagnose(reference, parity.hops[0]))
        assert blamed.startswith("looks like: nearest instead of linear upsampling ("), (nearest_mode, coordinates)


def test_pools_that_round_down_where_the_graph_then_fails(tmp_path: Path) -> None:
    """With Caffe's padding there is nothing left to compare: it runs only where no pool has to round."""
    checkpoint = make_checkpoint(align="caffe")
    path = tmp_path / "caffe.onnx"
    export_onnx(checkpoint, path)
    model = onnx.load(path)
    floor_pools(model.graph)
    onnx.save(model, path)
    reference = Reference(checkpoint)
    frames = [ParityFrame(size, sample_frame(ImageSize.parse(size), 0)) for size in ("58x90", "65x33", "64x96")]
    with Segmenter.open(path, device="cpu") as segment:
        stage = Stage("fp32 graph", segment, "fp32")
        blamed = diagnose(reference, check_parity(reference, [stage], frames).hops[0])
        without_proof = diagnose(reference, check_parity(reference, [stage], frames[1:]).hops[0])
    assert str(blamed).startswith("looks like: floor instead of ceil pools (it fails at every size at which a pool has")
    # What fails everywhere may have any reason.
    assert str(without_proof) == "unexplained: no frame that differs could be examined"


def test_a_half_precision_file_that_overflows_is_caught_where_it_does_not(tmp_path: Path) -> None:
    """ONNX Runtime computes half precision in float32 on a CPU: only the emulation shows what a GPU would do."""
    path, picture = tmp_path / "half.onnx", tmp_path / "noise.png"
    write_image(picture, sample_frame(ImageSize(64, 96), 1))
    checkpoint = make_checkpoint()
    export_onnx(checkpoint, path, precision="fp16")
    model = onnx.load(path)
    weight(model.graph, "conv2_1.weight", lambda w: w * np.float16(30_000))
    onnx.save(model, path)
    with torch.no_grad():
        checkpoint.model.conv2_1.weight *= 30_000
    found = verify_deployment(path, checkpoint, data=str(picture), device="cpu")
    assert [bool(hop.objections) for hop in found.parity.hops] == [False, True, False]
    assert found.parity.broken is not None
    assert found.parity.broken.name == "fp32 graph (onnxruntime on cpu) -> fp16, emulated"
    assert str(found.diagnosis).startswith("looks like: FP16 overflow (100 % of pixels equal")


def test_a_sound_file_passes(verify: Callable[[PlantIn], tuple[Parity, Diagnosis]]) -> None:
    parity, diagnosis = verify(lambda graph: None)
    assert diagnosis.weights is not None
    assert diagnosis.weights.compared > 30
    assert diagnosis.weights.altered == diagnosis.weights.not_finite == ()
    assert parity.passed
    assert parity.hops[0].equal_share > 0.9999


def test_one_score_for_two_classes_is_examined_like_any_other(frames: list[ParityFrame]) -> None:
    config = FCNConfig(variant="fcn8s", num_classes=2, sigmoid=True, width=1 / 16, fc_channels=16)
    reference = Reference(random_checkpoint(config))

    def segment(frame: np.ndarray) -> np.ndarray:
        return reference.logits(np.array(frame)).argmax(0).astype(np.uint8)

    def examine(stage: Callable[[np.ndarray], np.ndarray]) -> tuple[Parity, str]:
        parity = check_parity(reference, [Stage("graph", stage, "fp32")], frames)
        return parity, "" if not parity.hops[0].objections else str(diagnose(reference, parity.hops[0]))

    assert not examine(segment)[0].hops[0].differing
    assert "red and blue swapped" in examine(lambda frame: segment(frame[..., ::-1]))[1]
    parity, found = examine(lambda frame: 1 - segment(frame))
    assert parity.hops[0].faults > 0.99 * parity.hops[0].pixels
    assert "class scores permuted: class 0 and class 1 exchanged" in found
