"""How near the estimate of an engine's memory comes to what TensorRT-RTX counts itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...export.engine.memory_estimate import estimate_memory
from ...export.engine.network import parse_onnx
from ...runtime.engines.tensorrt_library import TensorRtLibrary
from ...runtime.errors import EngineBuildError
from ...runtime.spec import ImageSize
from ..report import Outcome, Row

SHAPES = ((1, ImageSize(512, 512)), (4, ImageSize(512, 512)), (1, ImageSize(1080, 1920)))
"""Batches and sizes that are compared."""

_MIB = 2**20
_COUNTED = "Total Activation Memory: "  # a line of the build's log ends in "N bytes"


def measure_engine_memory(models: Sequence[Path], library: TensorRtLibrary) -> Row:
    """Estimate the activations of networks, and let TensorRT-RTX count them when it builds; takes no GPU.

    Args:
        models: Exported files.
        library: TensorRT-RTX.

    Raises:
        EngineBuildError: If one of them cannot be built, or TensorRT-RTX does not say what it counted.
    """
    estimates, counts = [], []
    for model in models:
        for batch, size in SHAPES:
            estimate = estimate_memory(parse_onnx(model, library), batch=batch, size=size, weight_bytes=0)
            assert estimate is not None, "no exported network has a shape that depends on data"
            estimates.append(estimate.activation_bytes / _MIB)
            counts.append(counted_activation_bytes(model, library, batch=batch, size=size) / _MIB)
    shares = [100 * estimate / count for estimate, count in zip(estimates, counts, strict=True)]
    return Row(
        name="engine-memory",
        title="Estimate of an engine's memory, demo FCN-8s, FCN-16s and FCN-32s",
        scope=(
            "activations as fcnrt build estimates them, against the line Total Activation Memory of "
            f"{library}'s log of building for that shape alone; float32, each network at "
            f"{', '.join(f'{batch} x {size}' for batch, size in SHAPES)}, in this order"
        ),
        unit="MiB",
        samples={"estimate": tuple(estimates), "TensorRT-RTX": tuple(counts)},
        outcomes=(
            Outcome(value=min(shares), meaning="% of TensorRT-RTX's own count, where it is lowest"),
            Outcome(value=max(shares), meaning="% of it, where it is highest"),
        ),
    )


def counted_activation_bytes(model: Path, library: TensorRtLibrary, *, batch: int, size: ImageSize) -> int:
    """Memory for activations that TensorRT-RTX counts when it builds an engine for one shape, in bytes.

    Args:
        model: An exported file.
        library: TensorRT-RTX.
        batch: Number of frames.
        size: Size of the frames.

    Raises:
        EngineBuildError: If it cannot be built, or the count is not in the log.
    """
    trt: Any = library.trt
    said: list[str] = []

    class Listener(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            said.append(message)

    listener = Listener()  # TensorRT does not keep it alive
    builder = trt.Builder(listener)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parsed = trt.OnnxParser(network, listener).parse_from_file(str(model))
    config, shapes = builder.create_builder_config(), builder.create_optimization_profile()
    shapes.set_shape("image", *[(batch, size.height, size.width, 3)] * 3)
    config.add_optimization_profile(shapes)
    if not parsed or builder.build_serialized_network(network, config) is None:
        raise EngineBuildError(f"{library} cannot build {model} for {batch} x {size}")
    counts = [int(line.removeprefix(_COUNTED).split()[0]) for line in said if line.startswith(_COUNTED)]
    if len(counts) != 1:
        raise EngineBuildError(f"{library} does not say how much memory the activations of {model} take")
    return counts[0]
