"""The comparison every exported file must pass: the same logits and class maps as the PyTorch module, at any size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ..fcn_models.checkpoint import Checkpoint
from ..fcn_models.preprocessing import PREPROCESSING
from ..runtime.channel_order import in_channel_order
from ..runtime.errors import ParityError
from ..runtime.further_outputs import expected_confidence
from ..runtime.images.overlay import ClassPainter
from ..runtime.onnx_header import read_onnx_header
from ..runtime.runners._onnxruntime import import_onnxruntime, session_options, sparing_options
from ..runtime.runners.optimized_graph import is_large
from ..runtime.segmenter import Prediction, open_the_file_itself
from ..runtime.spec import ChannelOrder, ImageSize, ModelSpec, Precision
from .decision import decide, per_class
from .lowering import half_precision_model
from .onnx_file import saved_beside
from .reference import network_logits, require_finite
from .sample_frames import sample_frame
from .ties import LOGIT_RTOL, flip_margins, tie_gap

COMPARED_SIZES = tuple(
    # From a single pixel, through less than one cell of 32, thin strips and whole multiples, to odd and large.
    ImageSize.parse(text)
    for text in ("1x1", "3x97", "31x17", "32x64", "65x33", "129x200", "224x224", "375x500", "641x480")
)


@dataclass(frozen=True, kw_only=True)
class SizeParity:
    """The comparison at one size.

    Attributes:
        size: Size of the frames.
        pixels: Pixels compared.
        differing: Pixels whose class differs.
        logit_error: Largest absolute difference of a logit.
        logit_scale: Largest absolute logit of the module.
        largest_gap: Largest difference, in the module's logits, between the class it chose and the one the file chose,
            over the differing pixels: near zero means ties.
        tie_gap: Largest such difference that rounding explains.
    """

    size: ImageSize
    pixels: int
    differing: int
    logit_error: float
    logit_scale: float
    largest_gap: float
    tie_gap: float


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Comparison of an exported file with its PyTorch module over several sizes.

    Attributes:
        sizes: The file, run on this CPU.
        half: In fp16, the module with every rounding of half precision emulated; empty in fp32. CPU backends compute
            float16 graphs in float32, so that the file's own run does not show what half precision does.
    """

    sizes: tuple[SizeParity, ...]
    half: tuple[SizeParity, ...] = ()


def compare_with_pytorch(
    path: Path,
    graph: onnx.ModelProto,
    checkpoint: Checkpoint,
    *,
    margin: int,
    finished_with_module: Callable[[], None] = lambda: None,
) -> ParityReport:
    """Run an exported file through the runtime and compare it with the module it was made from.

    Class maps come from the file itself; logits from the same graph with what the class is decided by made visible.

    Args:
        path: The exported file.
        graph: Its contents; the weights may be left in the file (`refer`).
        checkpoint: The module and its pre-processing.
        margin: Row and column of these logits where the image begins.
        finished_with_module: Called when the module is no longer needed and the file not yet loaded.

    Returns:
        What was compared and how far apart the two are.

    Raises:
        ParityError: If a logit differs by more than the precision explains, a pixel's class differs although its
            logits are not nearly tied, or the module's own logits are NaN or infinite.
        MissingDependencyError: If ONNX Runtime is not installed.
    """
    preprocessing = PREPROCESSING[checkpoint.preprocessing]
    unscaled = dataclasses.replace(preprocessing, scale=(1.0, 1.0, 1.0))
    spec = read_onnx_header(path).spec
    half = None
    if spec.precision == "fp16":
        scale = spec.activation_scale_log2
        half = half_precision_model(checkpoint.model, preprocessing, activation_scale_log2=scale)
    # What holds the weights comes one after the other: the module, the file, the graph with its decision open.
    references, half_results = [], []
    for index, size in enumerate(COMPARED_SIZES):
        rgb = _frames(index, "rgb")
        expected = network_logits(checkpoint.model, preprocessing, rgb)
        require_finite(expected, f"a sample frame of {size}")
        references.append(expected)
        if half is not None:
            rounded = network_logits(half, unscaled, rgb) * 2.0**-spec.activation_scale_log2
            half_map = decide(rounded).astype(np.uint8)
            half_results.append(_compare(size, expected, rounded, half_map, spec.precision))
            _check(half_results[-1], spec.precision, "the network in half precision")
    del half
    finished_with_module()
    with open_the_file_itself(path) as segment:
        predictions = [segment.predict(_frames(index, spec.channel_order)) for index in range(len(COMPARED_SIZES))]
    decided_by = _open_decision(path, graph)
    results = []
    for index, (size, expected, prediction) in enumerate(zip(COMPARED_SIZES, references, predictions, strict=True)):
        frames = _frames(index, spec.channel_order)
        logits = decided_by(frames)
        logits = logits[:, :, margin : margin + size.height, margin : margin + size.width]
        logits = logits * 2.0**-spec.activation_scale_log2
        results.append(_compare(size, expected, logits, prediction.class_map, spec.precision))
        _check(results[-1], spec.precision, "the exported graph")
        _check_further_outputs(size, logits, prediction)
        _check_overlay(size, frames, prediction, spec)
    return ParityReport(sizes=tuple(results), half=tuple(half_results))


def _frames(index: int, channel_order: ChannelOrder) -> NDArray[np.uint8]:
    """The frames of a compared size, uint8 (N, H, W, 3)."""
    batch = 2 if index < 4 else 1  # several frames at once, where that is cheap
    rgb = np.stack([sample_frame(COMPARED_SIZES[index], index + i) for i in range(batch)])
    return in_channel_order(rgb, channel_order)


def _open_decision(path: Path, graph: onnx.ModelProto) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function that computes what the graph decides the class by: logits of the frame, with a margin around."""
    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    makers = {name: node for node in probe.graph.node for name in node.output}
    decision = makers["class_map"]
    while decision.op_type not in ("ArgMax", "Greater"):  # a crop, casts
        decision = makers[decision.input[0]]
    name = decision.input[0]
    channels_last = any(attribute.name == "axis" and attribute.i == 3 for attribute in decision.attribute)
    if all(output.name != name for output in probe.graph.output):
        probe.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    with saved_beside(path, probe) as file:
        onnxruntime = import_onnxruntime(path)
        # A large one is opened as the file itself is, without what takes the most memory.
        options = (sparing_options if is_large(path) else session_options)(onnxruntime, None)
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run([name], {"image": frames})[0]
        return logits.transpose(0, 3, 1, 2) if channels_last else logits

    return run


def _compare(
    size: ImageSize,
    expected: NDArray[np.float32],
    logits: NDArray[np.float32],
    class_map: NDArray[np.uint8],
    precision: Precision,
) -> SizeParity:
    if logits.shape != expected.shape or class_map.shape != expected.shape[:1] + expected.shape[2:]:
        raise ParityError(
            f"the exported graph returns {class_map.shape} for frames of {size}, logits {logits.shape}; "
            f"PyTorch returns logits {expected.shape}. The file was not kept."
        )
    scores = per_class(expected)
    differing = class_map != scores.argmax(1)
    gaps = flip_margins(scores, class_map)[differing]
    return SizeParity(
        size=size,
        pixels=class_map.size,
        differing=int(differing.sum()),
        # A NaN anywhere must count as an error, not disappear in a comparison.
        logit_error=float(np.nan_to_num(np.abs(logits - expected), nan=np.inf, posinf=np.inf).max()),
        logit_scale=float(np.abs(expected).max()),
        largest_gap=float(gaps.max(initial=0.0)),
        tie_gap=tie_gap(scores, precision),
    )


def _check_further_outputs(size: ImageSize, logits: NDArray[np.float32], prediction: Prediction) -> None:
    """Outputs besides the class map follow from the logits, which were compared already."""
    if prediction.logits is not None and not np.array_equal(prediction.logits, logits):
        raise ParityError(
            f"the output logits at {size} is not what the class map was chosen by. The file was not kept."
        )
    if prediction.confidence is not None:
        expected = np.stack([expected_confidence(frame) for frame in logits]).round()
        error = np.abs(prediction.confidence - expected).max()
        if error > 1:  # a value half-way between two may be rounded either way
            raise ParityError(
                f"the output confidence at {size} differs from the probability of the class by up to {error:.0f} of "
                "255. The file was not kept."
            )


def _check_overlay(size: ImageSize, frames: NDArray[np.uint8], prediction: Prediction, spec: ModelSpec) -> None:
    """The overlay must be what the runtime paints from the class map, which was compared already."""
    if prediction.overlay is None or spec.overlay_opacity is None:
        return
    painter = ClassPainter(spec.palette, channel_order=spec.channel_order)
    expected = np.stack(
        [
            painter.overlay(frame, class_map, opacity=spec.overlay_opacity)
            for frame, class_map in zip(frames, prediction.class_map, strict=True)
        ]
    )
    # Both are uint8: their difference must not wrap around. A value half-way between two may be rounded either way.
    error = np.abs(prediction.overlay.astype(np.int16) - expected).max()
    if error > 1:
        raise ParityError(
            f"the output overlay at {size} differs from the frame painted with its class map by up to {error} of 255. "
            "The file was not kept."
        )


def _check(result: SizeParity, precision: Precision, subject: str) -> None:
    allowed = LOGIT_RTOL[precision] * result.logit_scale
    if result.logit_error > allowed:
        raise ParityError(
            f"{subject} disagrees with PyTorch at {result.size}: logits differ by up to "
            f"{result.logit_error:.3g} (largest logit {result.logit_scale:.3g}, allowed in {precision} "
            f"{allowed:.3g}), {result.differing:,} of {result.pixels:,} pixels have another class. "
            "The file was not kept."
        )
    if result.largest_gap > result.tie_gap:
        raise ParityError(
            f"{subject} disagrees with PyTorch at {result.size}: {result.differing:,} of "
            f"{result.pixels:,} pixels have another class, by a logit gap of up to {result.largest_gap:.3g} where "
            f"{result.tie_gap:.3g} is a tie. The file was not kept."
        )
