from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from fcnrt.datasets.calibration import CalibrationData
from fcnrt.export.compare import COMPARED_SIZES, compare_with_pytorch
from fcnrt.export.deployable import Deployable
from fcnrt.export.reference import reference_logits
from fcnrt.export.to_onnx import ExportResult, export_onnx
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.runtime.errors import OutputError, ParityError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import METADATA_KEY, ModelSpec


class Exported(NamedTuple):
    checkpoint: Checkpoint
    result: ExportResult
    graph: onnx.ModelProto


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(({}, {}), id="fcn8s-same-fp32"),
        pytest.param(
            (
                {"variant": "fcn32s", "align": "caffe", "preprocessing": "caffe_bgr"},
                {"outputs": ("logits", "class_map", "confidence"), "channel_order": "bgr"},
            ),
            id="fcn32s-caffe-all-outputs-bgr",
        ),
        pytest.param(
            ({"variant": "fcn16s", "align": "caffe", "preprocessing": "caffe_bgr"}, {"precision": "fp16", "opset": 18}),
            id="fcn16s-caffe-fp16",
        ),
    ],
)
def exported(request: pytest.FixtureRequest, make_checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    config, options = request.param
    checkpoint = make_checkpoint(**config)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    return Exported(checkpoint, export_onnx(checkpoint, path, **options), onnx.load(path))


def dims(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_contract(exported: Exported) -> None:
    graph = exported.graph.graph
    (image,) = graph.input
    assert (image.name, image.type.tensor_type.elem_type) == ("image", TensorProto.UINT8)
    assert dims(image) == ["batch", "height", "width", 3]
    outputs = {value.name: value for value in graph.output}
    assert tuple(outputs) == exported.result.spec.outputs
    classes = exported.checkpoint.model.config.num_classes
    for name, value in outputs.items():
        if name == "logits":
            assert dims(value) == ["batch", classes, "height", "width"]
            assert value.type.tensor_type.elem_type == TensorProto.FLOAT
        else:
            assert dims(value) == ["batch", "height", "width"]
            assert value.type.tensor_type.elem_type == TensorProto.UINT8


def test_tensorrt_can_take_the_uint8_ends(exported: Exported) -> None:
    graph = exported.graph.graph
    uses = [node for node in graph.node if "image" in node.input and node.op_type != "Shape"]
    assert [node.op_type for node in uses] == ["Cast"]
    for name in {"class_map", "confidence"} & set(exported.result.spec.outputs):
        (maker,) = (node for node in graph.node if name in node.output)
        assert maker.op_type == "Cast"
        assert not any(name in node.input for node in graph.node)


def test_metadata_is_the_spec(exported: Exported) -> None:
    metadata = {entry.key: entry.value for entry in exported.graph.metadata_props}
    spec = ModelSpec.from_json(metadata[METADATA_KEY])
    assert spec == exported.result.spec
    assert spec.class_names == exported.checkpoint.class_names
    assert spec.checkpoint_sha256 == "ab" * 32
    assert (spec.variant, spec.align) == (
        exported.checkpoint.model.config.variant,
        exported.checkpoint.model.config.align,
    )
    assert exported.graph.opset_import[0].version == spec.opset


def test_file_holds_nothing_of_the_machine_it_was_made_on(exported: Exported) -> None:
    contents = exported.result.path.read_bytes()
    for trace in (b"site-packages", b"deployable.py", str(Path.cwd()).encode(), b"stack_trace"):
        assert trace not in contents


def test_layers_keep_the_papers_names_and_the_upsampling_is_lowered(exported: Exported) -> None:
    nodes = {node.name: node.op_type for node in exported.graph.graph.node}
    assert nodes["conv1_1"] == nodes["fc6"] == nodes["score_fr"] == "Conv"
    assert "ConvTranspose" not in nodes.values()
    assert "Resize" in nodes.values()


def test_the_class_is_chosen_before_the_margin_is_cropped(exported: Exported) -> None:
    # Cropping the scores instead would copy all classes' channels of a full-size map.
    operators = [node.op_type for node in exported.graph.graph.node]
    if exported.result.spec.outputs == ("class_map",):
        last = len(operators) - 1 - operators[::-1].index("Resize")
        after = [operator for operator in operators[last + 1 :] if operator in ("ArgMax", "Slice")]
        assert after[0] == "ArgMax"
        assert "Slice" in after


def test_no_traced_size_is_left_in_the_graph(exported: Exported) -> None:
    # The graph is traced at 2x97x131; none of the sizes that its maps then have may be baked in as a shape.
    sizes = {"same": {49, 66, 33, 25, 17, 13}, "caffe": {111, 145, 56, 73, 68, 85, 34, 43, 50, 59, 37, 42, 19, 21}}
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in exported.graph.graph.initializer]
    integers = {int(value) for array in constants if array.dtype == np.int64 for value in array.ravel()}
    assert not integers & ({97, 131} | sizes[exported.result.spec.align])


def test_precision_is_in_the_graph(exported: Exported) -> None:
    types = {tensor.name.split(".")[0]: tensor.data_type for tensor in exported.graph.graph.initializer}
    half = exported.result.spec.precision == "fp16"
    assert types["conv1_1"] == types["fc7"] == (TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    assert types["score_fr"] == TensorProto.FLOAT
    assert (exported.result.largest_activation is not None) == half


def test_report_covers_every_size(exported: Exported) -> None:
    sizes, half = exported.result.parity.sizes, exported.result.parity.half
    assert tuple(size.size for size in sizes) == COMPARED_SIZES
    assert sum(size.pixels for size in sizes) > 500_000
    if exported.result.spec.precision == "fp32":
        assert sum(size.differing for size in sizes) <= 10  # exact ties only
        assert half == ()
    else:
        assert tuple(size.size for size in half) == COMPARED_SIZES
        assert max(size.logit_error / size.logit_scale for size in half) > 0  # it was rounded, and little
    assert exported.result.size_bytes == exported.result.path.stat().st_size


def test_a_photograph_gives_the_same_class_map(exported: Exported) -> None:
    skimage = pytest.importorskip("skimage.data")
    photo = np.ascontiguousarray(skimage.astronaut()[100:363, 100:421])  # 263x321
    expected = reference_logits(
        exported.checkpoint.model, PREPROCESSING[exported.checkpoint.preprocessing], photo[None]
    )[0]
    with Segmenter.open(exported.result.path, device="cpu") as segment:
        frame = photo if segment.spec.channel_order == "rgb" else np.ascontiguousarray(photo[..., ::-1])
        class_map = segment(frame)
    differing = class_map != expected.argmax(0)
    assert differing.mean() <= (1e-4 if exported.result.spec.precision == "fp32" else 5e-3)


def test_overflowing_activations_are_scaled_exactly(make_checkpoint, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(gain=20000.0)
    result = export_onnx(checkpoint, tmp_path / "large.onnx", precision="fp16", outputs=("class_map", "logits"))
    assert result.largest_activation is not None
    assert result.largest_activation > 65504  # does not fit half precision as it is
    assert result.largest_activation * 2.0**result.spec.activation_scale_log2 < 16384
    half = result.parity.half
    assert sum(size.differing for size in half) < 0.01 * sum(size.pixels for size in half)


def test_unscaled_overflow_would_have_been_caught(make_checkpoint, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(gain=20000.0)
    path = tmp_path / "large.onnx"
    with pytest.raises(
        ParityError,
        match=r"the network in half precision disagrees with PyTorch at .*differ by up to inf.*The file was not kept",
    ):
        export_onnx(checkpoint, path, precision="fp16", calibration=CalibrationData((), (), None, "nothing"))
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_another_network_is_refused(make_checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    exported = make_checkpoint()
    export_onnx(exported, path)
    other = make_checkpoint(gain=1.5)
    margin = Deployable(exported.model, PREPROCESSING["imagenet_rgb"]).margin
    with pytest.raises(ParityError, match="disagrees with PyTorch at 1x1: logits differ by up to"):
        compare_with_pytorch(path, onnx.load(path), other, margin=margin)
    with pytest.raises(ParityError, match="PyTorch returns logits"):
        compare_with_pytorch(path, onnx.load(path), make_checkpoint(num_classes=6), margin=margin)


def test_a_class_map_that_does_not_follow_from_the_logits_is_refused(make_checkpoint, tmp_path: Path) -> None:
    # The logits are right, the class map is not: only comparing both finds it.
    path = tmp_path / "model.onnx"
    checkpoint = make_checkpoint()
    export_onnx(checkpoint, path)
    graph = onnx.load(path)
    (argmax,) = (node for node in graph.graph.node if node.op_type == "ArgMax")
    argmax.op_type = "ArgMin"
    onnx.save(graph, path)
    margin = Deployable(checkpoint.model, PREPROCESSING["imagenet_rgb"]).margin
    argmax.op_type = "ArgMax"
    with pytest.raises(ParityError, match="pixels have another class, by a logit gap of up to"):
        compare_with_pytorch(path, graph, checkpoint, margin=margin)


def test_a_network_whose_own_logits_are_infinite_is_refused(make_checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    broken = make_checkpoint()
    with torch.no_grad():
        broken.model.score_fr.weight.mul_(3e38)
    with pytest.raises(ParityError, match="PyTorch's own logits are NaN or infinite on a generated frame of 40x71"):
        export_onnx(broken, path)
    with pytest.raises(ParityError, match="activations are infinite in PyTorch already"):
        export_onnx(broken, path, precision="fp16")
    assert list(tmp_path.iterdir()) == []
    # Nor where only the comparison's frames show it.
    export_onnx(make_checkpoint(), path)
    margin = Deployable(broken.model, PREPROCESSING["imagenet_rgb"]).margin
    with pytest.raises(ParityError, match="own logits are NaN or infinite on a sample frame of"):
        compare_with_pytorch(path, onnx.load(path), broken, margin=margin)


def test_unwritable_output(make_checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*missing.*No such file or directory"):
        export_onnx(make_checkpoint(), tmp_path / "missing" / "model.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "precision must be one of fp32, fp16, int8, got 'int4'"),
        ({"precision": "int8"}, "int8 needs calibration frames, of the kind that the network will see"),
        ({"channel_order": "hsv"}, "channel order must be one of rgb, bgr, got 'hsv'"),
        (
            {"outputs": ("class_map", "boxes")},
            "unknown output 'boxes'; there are class_map, confidence, logits, overlay",
        ),
        ({"outputs": ("logits",)}, "outputs must name class_map, and each output once; got logits"),
        ({"opset": 9}, "opset must be 18 to 23, got 9"),
    ],
)
def test_unknown_options(make_checkpoint, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_onnx(make_checkpoint(), tmp_path / "model.onnx", **options)
