"""Plants every fault that has cost somebody weeks, and expects it to be caught, at the right hop, under its name."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import GraphProto, NodeProto, helper, numpy_helper
from torch import nn

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.verify.diagnosis import Diagnosis, diagnose
from fcnrt.benchmarks.verify.parity import Parity, ParityFrame, Stage, check_parity
from fcnrt.benchmarks.verify.reference import Reference
from fcnrt.benchmarks.verify.verification import verify_deployment
from fcnrt.export.sample_frames import sample_frame
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.fcn import Align, FCNConfig
from fcnrt.fcn_models.network import NetworkConfig
from fcnrt.fcn_models.registry import build
from fcnrt.runtime.errors import InferenceError
from fcnrt.runtime.images.files import write_image
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize, ModelSpec

PlantIn = Callable[[GraphProto], None]


def make_checkpoint(seed: int = 0, align: Align = "same") -> Checkpoint:
    """A slim network with random weights and biases large enough that the scale of its input matters."""
    config = FCNConfig(variant="fcn8s", align=align, num_classes=6, width=1 / 16, fc_channels=16)
    checkpoint = random_checkpoint(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in checkpoint.model.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                layer.bias += 0.5 * torch.randn(layer.bias.shape, generator=generator)
    return checkpoint


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    path = tmp_path_factory.mktemp("sound") / "sound.onnx"
    export_onnx(checkpoint, path)
    return onnx.load(path)


@pytest.fixture(scope="module")
def frames() -> list[ParityFrame]:
    # Sizes at which a network with pools that round down still runs: it can be caught by its values alone.
    sizes = ["65x33", "100x132", "64x96", "39x101"]
    return [ParityFrame(size, sample_frame(ImageSize.parse(size), index)) for index, size in enumerate(sizes)]


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
            parity = check_parity(reference, [Stage("fp32 graph", segment, "fp32")], frames)
        return parity, diagnose(reference, parity.hops[0])

    return run


def weight(graph: GraphProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    values = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def nodes(graph: GraphProto, kind: str) -> Iterator[NodeProto]:
    found = [node for node in graph.node if node.op_type == kind]
    assert found, kind
    return iter(found)


def attribute(node: NodeProto, name: str, value: object) -> None:
    for existing in [entry for entry in node.attribute if entry.name == name]:
        node.attribute.remove(existing)
    node.attribute.append(helper.make_attribute(name, value))


def swap_colours(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w[:, ::-1])
    weight(graph, "mean", lambda mean: mean[::-1])


def swap_mean(graph: GraphProto) -> None:
    weight(graph, "mean", lambda mean: mean[::-1])


def drop_mean(graph: GraphProto) -> None:
    weight(graph, "mean", np.zeros_like)


def shift_mean(graph: GraphProto) -> None:
    weight(graph, "mean", lambda mean: mean + np.float32(20))


def forget_the_division(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w * np.float32(255))


def forget_the_deviation(graph: GraphProto) -> None:
    deviation = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    weight(graph, "conv1_1.weight", lambda w: w * deviation)


def scale_by_a_third_more(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w * np.float32(1.3))


def swap_height_and_width(graph: GraphProto) -> None:
    turn = next(nodes(graph, "Transpose"))
    attribute(turn, "perm", [0, 3, 2, 1])
    for node in graph.node:  # sizes are asked for in the other order, and the class map is turned back
        if node.op_type == "Shape" and "image" in node.input:
            start = next((entry.i for entry in node.attribute if entry.name == "start"), 0)
            if start in (1, 2):
                attribute(node, "start", 3 - start)
                attribute(node, "end", 4 - start)
    last = next(node for node in graph.node if "class_map" in node.output)
    last.output[0] = "turned_map"
    cast = last.input[0]
    last.input[0] = "turned_back"
    graph.node.insert(
        list(graph.node).index(last), helper.make_node("Transpose", [cast], ["turned_back"], perm=[0, 2, 1])
    )
    last.output[0] = "class_map"


def nearest(graph: GraphProto) -> None:
    for node in nodes(graph, "Resize"):
        attribute(node, "mode", "nearest")


def nearest_at_the_end(graph: GraphProto) -> None:
    *_, last = nodes(graph, "Resize")
    attribute(last, "mode", "nearest")
    attribute(last, "nearest_mode", "floor")
    attribute(last, "coordinate_transformation_mode", "asymmetric")


def align_corners(graph: GraphProto) -> None:
    for node in nodes(graph, "Resize"):
        attribute(node, "coordinate_transformation_mode", "align_corners")


def align_corners_at_the_end(graph: GraphProto) -> None:
    *_, last = nodes(graph, "Resize")
    attribute(last, "coordinate_transformation_mode", "align_corners")


def floor_pools(graph: GraphProto) -> None:
    for node in nodes(graph, "MaxPool"):
        attribute(node, "ceil_mode", 0)


def move(graph: GraphProto, values: str) -> None:
    """Delay what comes out of `values` (one row and one column) by padding in front and cropping behind."""
    producer = next(node for node in graph.node if values in node.output)
    position = list(graph.node).index(producer) + 1
    axes = [1, 2] if producer.op_type == "ArgMax" else [2, 3]
    dims = 3 if producer.op_type == "ArgMax" else 4
    for name, array in (
        ("move_pads", [0] * (dims - 2) + [0, 0] + [0] * (dims - 2) + [1, 1]),
        ("move_starts", [1, 1]),
        ("move_ends", [2**31, 2**31]),
        ("move_axes", axes),
    ):
        graph.initializer.append(numpy_helper.from_array(np.array(array, np.int64), name))
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == values:
                node.input[index] = "moved"
    graph.node.insert(position, helper.make_node("Pad", [values, "move_pads"], ["padded"], mode="edge"))
    graph.node.insert(
        position + 1, helper.make_node("Slice", ["padded", "move_starts", "move_ends", "move_axes"], ["moved"])
    )


def last_crop_off_by_one(graph: GraphProto) -> None:
    move(graph, next(nodes(graph, "ArgMax")).output[0])


def skip_crop_off_by_one(graph: GraphProto) -> None:
    move(graph, next(node for node in graph.node if node.name == "score_pool4").output[0])


def permute_classes(graph: GraphProto) -> None:
    for layer in ("score_fr", "score_pool4", "score_pool3"):
        permute_one_layer(graph, layer)


def permute_one_layer(graph: GraphProto, layer: str = "score_pool3") -> None:
    for name in (f"{layer}.weight", f"{layer}.bias"):
        weight(graph, name, lambda values: values[[0, 4, 2, 3, 1, 5]])


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


class FakeEngine:
    """An engine on another machine: a `Runner` that computes logits with the given function."""

    backend, device = "tensorrt", "cuda:0"

    def __init__(self, spec: ModelSpec, logits: Callable[[np.ndarray], np.ndarray]) -> None:
        self.spec = spec
        self._logits = logits

    def run(self, frames: np.ndarray, outputs: object, *, class_map: object = None) -> dict[str, np.ndarray]:
        return {"class_map": np.stack([self._logits(frame).argmax(0) for frame in frames]).astype(np.uint8)}

    def close(self) -> None:
        pass


def spec_of(checkpoint: Checkpoint, tiny_spec: ModelSpec, **changes: object) -> ModelSpec:
    return dataclasses.replace(
        tiny_spec,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        checkpoint_sha256=checkpoint.sha256,
        **changes,
    )


def stage(name: str, runner: FakeEngine) -> Stage:
    return Stage(name, Segmenter(runner), runner.spec.precision, runner.spec.checkpoint_sha256)  # type: ignore[arg-type]


def test_engine_of_another_checkpoint(
    checkpoint: Checkpoint, reference: Reference, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    other = dataclasses.replace(make_checkpoint(seed=1), sha256="cd" * 32)
    right = stage("fp32 graph", FakeEngine(spec_of(checkpoint, tiny_spec), reference.logits))
    wrong = stage("engine", FakeEngine(spec_of(other, tiny_spec), Reference(other).logits))
    parity = check_parity(reference, [right, wrong], frames)
    assert parity.hops[0].objections == []
    assert parity.broken is parity.hops[1]
    assert parity.broken.name == "fp32 graph -> engine"
    assert str(diagnose(reference, parity.broken)) == (
        "looks like: made from another checkpoint (it says sha256 cdcdcdcdcdcd…, the reference is 000000000000…, and "
        "no known mistake explains the differences)"
    )


def test_engine_that_hides_its_origin_stays_unexplained(
    checkpoint: Checkpoint, reference: Reference, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    wrong = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec), Reference(make_checkpoint(seed=1)).logits))
    parity = check_parity(reference, [wrong], frames)
    assert parity.broken is not None
    assert str(diagnose(reference, parity.broken)).startswith("unexplained by any of ")


def test_half_precision_that_overflows(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    checkpoint = make_checkpoint()
    with torch.no_grad():
        checkpoint.model.conv2_1.weight *= 30_000
    reference = Reference(checkpoint, half=True)
    half = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), reference.half_logits))
    exact = Stage("fp32 graph", lambda frame: reference.logits(frame).argmax(0).astype(np.uint8), "fp32")
    parity = check_parity(reference, [exact, half], frames)
    assert parity.broken is parity.hops[1]
    assert str(diagnose(reference, parity.hops[1])).startswith("looks like: FP16 overflow (100 % of pixels equal")


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


def test_half_precision_that_is_scaled_passes(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    checkpoint = make_checkpoint()
    with torch.no_grad():
        checkpoint.model.conv2_1.weight *= 30_000
    reference = Reference(checkpoint, half=True, activation_scale_log2=-6)
    half = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), reference.half_logits))
    parity = check_parity(reference, [half], frames)
    assert parity.passed
    assert parity.hops[0].ties > 0  # half precision does round


def test_noise_of_half_precision_in_another_order_passes(
    checkpoint: Checkpoint, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    reference = Reference(checkpoint, half=True)
    error = max(float(np.abs(reference.half_logits(f.image) - reference.logits(f.image)).max()) for f in frames)
    random = np.random.default_rng(0)

    def noisy(frame: np.ndarray) -> np.ndarray:
        logits = reference.logits(frame)
        return logits + random.uniform(-error, error, logits.shape)

    parity = check_parity(
        reference, [stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), noisy))], frames
    )
    assert parity.passed
    assert parity.hops[0].differing > 10


def test_ties_pass(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    """Two classes with equal scores: whichever a backend takes is right."""
    tied = make_checkpoint()
    often = int(np.bincount(Reference(tied).logits(frames[1].image).argmax(0).ravel(), minlength=6)[:5].argmax())
    with torch.no_grad():
        for layer in (tied.model.score_fr, tied.model.score_pool4, tied.model.score_pool3):
            layer.weight[5], layer.bias[5] = layer.weight[often], layer.bias[often]
    reference = Reference(tied)
    in_favour = np.eye(6)[5][:, None, None] * 1e-9
    last = FakeEngine(spec_of(tied, tiny_spec), lambda frame: reference.logits(frame) + in_favour)
    parity = check_parity(reference, [stage("engine", last)], frames)
    assert parity.passed
    assert parity.hops[0].faults == 0
    assert parity.hops[0].ties > 1000


def test_a_stage_that_fails_is_blamed(reference: Reference, frames: list[ParityFrame]) -> None:
    def fails(frame: np.ndarray) -> np.ndarray:
        raise InferenceError("no kernel image is available")

    exact = Stage("fp32 graph", lambda frame: reference.logits(frame).argmax(0).astype(np.uint8), "fp32")
    parity = check_parity(reference, [exact, Stage("engine", fails, "fp16")], frames)
    assert parity.broken is parity.hops[1]
    assert parity.broken.objections == ["fails on 65x33: no kernel image is available (and on 3 more)"]
    assert str(diagnose(reference, parity.broken)) == "unexplained: no frame that differs could be examined"


def test_a_class_map_that_is_not_turned_back(reference: Reference, frames: list[ParityFrame]) -> None:
    turned = Stage("engine", lambda frame: reference.logits(frame).argmax(0).T.astype(np.uint8), "fp32")
    parity = check_parity(reference, [turned], frames)
    assert parity.broken is not None
    assert parity.broken.objections[0].startswith(
        "fails on 65x33: returns uint8 (33, 65), the frame's class map is uint8 (65, 33) (and on 3 more)"
    )
    assert str(diagnose(reference, parity.broken)).startswith("looks like: height and width swapped in the class map (")


def test_a_sound_file_passes(verify: Callable[[PlantIn], tuple[Parity, Diagnosis]]) -> None:
    parity, _ = verify(lambda graph: None)
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
