"""From a checkpoint to one ONNX file that holds everything and was compared with PyTorch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxscript import ir

from ..datasets.calibration import CalibrationData
from ..fcn_models.checkpoint import Checkpoint
from ..fcn_models.network import Network
from ..fcn_models.preprocessing import PREPROCESSING
from ..runtime.atomic import atomic_path
from ..runtime.opacity import DEFAULT_OPACITY
from ..runtime.output_layout import output_layouts
from ..runtime.self_test import SELF_TEST_KEY, SelfTest
from ..runtime.spec import METADATA_KEY, ChannelOrder, ModelSpec, OutputName, Precision
from .activations import half_precision_scale, largest_activation
from .compare import ParityReport, compare_with_pytorch
from .deployable import Deployable
from .golden import make_self_test, require_self_test_passed
from .heap import return_free_memory
from .model_spec import spec_of
from .onnx_file import Place, check_onnx, refer, write_onnx
from .painting import OverlayPainting
from .quantize_search import QuantizationReport, quantize_within_limit
from .quiet_exporter import quiet_exporter
from .sample_frames import calibration_frames
from .tail import CHANNELS_LAST_FROM, lay_out_channels_last

OPSETS = range(18, 24)
"""Operator sets that can be written: older ones lack operators the exporter uses, newer ones TensorRT does not read."""

DEFAULT_OPSET = 20  # read by ONNX Runtime >= 1.18 and TensorRT >= 10, which JetPack 6 has

_FRAMES = ("batch", "height", "width")

_WEIGHT = 1024  # bytes from which on a constant of the graph is a weight, and not copied on the way to the file


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What was written and how it compares.

    Attributes:
        path: The ONNX file.
        spec: The metadata inside it.
        size_bytes: Size of the file.
        largest_activation: Largest activation measured on sample frames before scaling; None in fp32, where it does
            not matter.
        parity: Comparison of the written file with the PyTorch module; of an INT8 file, of the float32 graph it was
            quantised from.
        quantization: What was quantised and what it costs; None in other precisions.
    """

    path: Path
    spec: ModelSpec
    size_bytes: int
    largest_activation: float | None
    parity: ParityReport
    quantization: QuantizationReport | None = None


def export_onnx(
    checkpoint: Checkpoint,
    path: Path,
    *,
    precision: Precision = "fp32",
    outputs: Sequence[OutputName] = ("class_map",),
    channel_order: ChannelOrder = "rgb",
    opset: int = DEFAULT_OPSET,
    overlay_opacity: float = DEFAULT_OPACITY,
    calibration: CalibrationData | None = None,
    consume: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> ExportResult:
    """Write a network as ONNX and compare the file with the PyTorch module; a file that disagrees is not kept.

    Args:
        checkpoint: The network and what is known about it.
        path: File to write, ``.onnx``.
        precision: ``fp32``; ``fp16``: half precision inside, score layers in float32, the same types outside; or
            ``int8``: 8-bit convolutions, as many as accuracy allows.
        outputs: What the graph returns; ``class_map`` must be among them.
        channel_order: Order of the channels in the frames that the graph will be given.
        opset: ONNX operator set, one of `OPSETS`.
        overlay_opacity: Weight (0..1) of the class colours in the output ``overlay``.
        calibration: Frames to measure activations on. In fp16 they are drawn scenes and noise if None; int8 needs
            frames of the kind that the network will see.
        consume: Whether the weights in `checkpoint` may be given up as soon as they are in the file, so that the
            comparison has their memory; the caller then cannot use the network any more.
        progress: Called with a word for each step as it begins.

    Returns:
        The written file with its metadata and the comparison.

    Raises:
        ValueError: If an option is not one of the allowed values, or int8 is asked for without calibration frames.
        ParityError: If the exported graph disagrees with the module, the module's own logits are NaN or infinite, or
            INT8 costs too much accuracy.
        MissingDependencyError: If ONNX Runtime is not installed.
        OutputError: If the file cannot be written.
    """
    _check_options(precision, outputs, channel_order, opset)
    if precision == "int8" and calibration is None:
        raise ValueError("int8 needs calibration frames, of the kind that the network will see")
    model, preprocessing = checkpoint.model, PREPROCESSING[checkpoint.preprocessing]
    painting = OverlayPainting(checkpoint.palette, overlay_opacity, channel_order) if "overlay" in outputs else None
    with atomic_path(path) as temporary:  # first of all: nothing slow is done for a file that cannot be written
        largest, scale_log2 = None, 0
        if precision == "fp16":
            progress("measuring activations")
            frames = calibration_frames() if calibration is None else calibration.calibration + calibration.validation
            largest = largest_activation(model, preprocessing, frames)
            scale_log2 = half_precision_scale(largest)
        spec = replace(
            spec_of(checkpoint),
            channel_order=channel_order,
            outputs=tuple(outputs),
            precision=precision,
            activation_scale_log2=scale_log2,
            opset=opset,
            overlay_opacity=overlay_opacity if "overlay" in outputs else None,
        )
        progress("exporting")
        deployable = Deployable(
            model,
            preprocessing,
            outputs=outputs,
            precision=precision,
            channel_order=channel_order,
            activation_scale_log2=scale_log2,
            painting=painting,
        )
        # Quantising works on the weights inside the graph; otherwise they stay where they are, in PyTorch's memory.
        graph, weights = _trace(deployable, opset, apart=precision != "int8")
        self_test = make_self_test(checkpoint, spec)
        _tidy(graph, spec)
        if len(spec.class_names) >= CHANNELS_LAST_FROM:
            lay_out_channels_last(graph)
        # What INT8 is made from is proven first: a mistake there must not hide behind the rounding.
        written = replace(spec, precision="fp32") if precision == "int8" else spec
        places = _write(graph, weights, written, self_test, temporary)
        progress("comparing with PyTorch")
        margin = deployable.margin
        del deployable, weights  # both hold on to the network's memory
        parity = compare_with_pytorch(
            temporary,
            refer(graph, places, temporary.name),
            checkpoint,
            margin=margin,
            finished_with_module=partial(_give_up_weights, model) if consume else lambda: None,
        )
        quantization = None
        if precision == "int8":
            assert calibration is not None
            graph, quantization = quantize_within_limit(
                graph,
                calibration,
                score_layers=[tidy_name(name) for name in model.score_layers],
                num_classes=spec.num_classes,
                channel_order=channel_order,
                progress=progress,
            )
            _write(graph, {}, spec, self_test, temporary)
        require_self_test_passed(temporary, self_test)
    return ExportResult(
        path=path,
        spec=spec,
        size_bytes=path.stat().st_size,
        largest_activation=largest,
        parity=parity,
        quantization=quantization,
    )


def _give_up_weights(model: Network) -> None:
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = torch.empty(0)
    gc.collect()  # what the exporter left refers to itself in circles, and to the weights
    return_free_memory()


def _check_options(precision: str, outputs: Sequence[str], channel_order: str, opset: int) -> None:
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if channel_order not in get_args(ChannelOrder):
        raise ValueError(f"channel order must be one of {', '.join(get_args(ChannelOrder))}, got {channel_order!r}")
    unknown = [name for name in outputs if name not in get_args(OutputName)]
    if unknown:
        raise ValueError(f"unknown output {unknown[0]!r}; there are {', '.join(get_args(OutputName))}")
    if "class_map" not in outputs or len(set(outputs)) != len(outputs):
        raise ValueError(f"outputs must name class_map, and each output once; got {','.join(outputs)}")
    if opset not in OPSETS:
        raise ValueError(f"opset must be {OPSETS.start} to {OPSETS.stop - 1}, got {opset}")


def _trace(
    deployable: Deployable, opset: int, *, apart: bool
) -> tuple[onnx.ModelProto, dict[str, NDArray[np.generic]]]:
    """The graph, and if they are to be apart from it, the weights by tidy name: PyTorch's own memory, not copied."""
    # A traced size hides mistakes if it is a round one: 97 and 131 are prime, nothing divides evenly.
    example = torch.zeros(2, 97, 131, 3, dtype=torch.uint8)
    dynamic = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    with quiet_exporter():
        program = torch.onnx.export(
            deployable,
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=["image"],
            output_names=list(deployable.outputs),
            dynamic_shapes=(dynamic,),
            verbose=False,
        )
    assert program is not None
    weights: dict[str, NDArray[np.generic]] = {}
    if not apart:
        return program.model_proto, weights
    for name, value in program.model.graph.initializers.items():
        tensor = value.const_value
        assert tensor is not None
        if tensor.nbytes >= _WEIGHT:
            weight = np.ascontiguousarray(tensor.numpy())
            weights[tidy_name(name)] = weight
            value.const_value = ir.ExternalTensor("", 0, 0, tensor.dtype, shape=ir.Shape(weight.shape), name=name)
    graph = ir.serde.serialize_model(program.model)
    for initializer in graph.graph.initializer:
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            del initializer.external_data[:]
            initializer.ClearField("data_location")
    return graph, weights


def _tidy(graph: onnx.ModelProto, spec: ModelSpec) -> None:
    """Make the graph say what it is: names of layers and dimensions, and nothing of the machine it is from."""
    body = graph.graph
    dims: dict[str, tuple[int | str, ...]] = {"image": (*_FRAMES, 3)}
    dims |= {name: layout.dims(*_FRAMES) for name, layout in output_layouts(spec).items()}
    for value in (*body.input, *body.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, dims[value.name], strict=True):
            if isinstance(name, str):
                dimension.dim_param = name
    # The exporter notes stack traces with local paths everywhere, and inferred shapes under names we replaced.
    del body.value_info[:]
    for part in (body, *body.node, *body.input, *body.output, *body.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    renamed = {tensor.name: tidy_name(tensor.name) for tensor in body.initializer}
    for tensor in body.initializer:
        tensor.name = renamed[tensor.name]
    for node in body.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        weight = next((name for name in node.input if name.endswith(".weight")), None)
        if weight is not None:
            # The checkpoint's name of the layer, which error messages of backends will show.
            node.name = weight.removesuffix(".weight")
    body.name = spec.variant


def _write(
    graph: onnx.ModelProto,
    weights: Mapping[str, NDArray[np.generic]],
    spec: ModelSpec,
    self_test: SelfTest,
    path: Path,
) -> dict[str, Place]:
    """Write the graph with its metadata; returns where the weights lie that are apart from the graph."""
    graph.producer_name, graph.producer_version = "fcnrt", spec.fcnrt_version
    onnx.helper.set_model_props(graph, {METADATA_KEY: spec.to_json(), SELF_TEST_KEY: self_test.to_json()})
    places = write_onnx(path, graph, weights)
    check_onnx(path, refer(graph, places, path.name))
    return places


def tidy_name(parameter: str) -> str:
    """Name of a parameter in the network itself, without the layers that the export put around."""
    return parameter.replace("_network.", "").replace(".in_float.", ".").lstrip("_")
