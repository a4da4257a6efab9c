"""Proof after the build: the engine's own description must not contradict the precision that was planned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...runtime.engines.tensorrt_library import made_or_none
from ...runtime.errors import EngineBuildError
from ...runtime.spec import Precision
from .network import ParsedNetwork


def describe_layers(parsed: ParsedNetwork, plan: Any) -> list[dict[str, Any]] | None:
    """The layers of a built engine as TensorRT's inspector describes them.

    Args:
        parsed: The network it was built from.
        plan: The built engine.

    Returns:
        One JSON object per layer; None where the engine cannot be loaded, which takes a GPU that it can run on.
    """
    trt = parsed.trt
    runtime = made_or_none(trt.Runtime, parsed.logger)
    engine = None if runtime is None else runtime.deserialize_cuda_engine(plan)
    if engine is None:
        parsed.log.take_errors()  # they say only that there is no GPU
        return None
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    return [layer for layer in layers if isinstance(layer, dict)]  # without details they are names only


def check_precision(layers: Sequence[dict[str, Any]], precision: Precision, convolutions: Sequence[str]) -> int:
    """Number of an engine's layers that contain convolutions which were planned in `precision` and run in it.

    Args:
        layers: From `describe_layers`.
        precision: What the metadata promise.
        convolutions: Names of the layers that should run in it.

    Raises:
        EngineBuildError: If a layer with such a convolution touches no tensor of that type, or if no layer does.
    """
    wanted = {"fp32": ("float", "fp32"), "fp16": ("half", "fp16"), "int8": ("int8",)}[precision]
    proven, wrong = 0, []
    for layer in layers:
        about = f"{layer.get('Name', '')} {layer.get('Metadata', '')}"
        if not any(name in about for name in convolutions):
            continue
        tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
        formats = " ".join(str(tensor.get("Format/Datatype", "")) for tensor in tensors).lower()
        if not formats:
            continue
        if any(word in formats for word in wanted):
            proven += 1
        else:
            wrong.append(str(layer.get("Name")))
    if wrong:
        raise EngineBuildError(
            f"the engine does not run in {precision} as planned: {', '.join(wrong[:3])}"
            f"{' and more' if len(wrong) > 3 else ''}. Nothing was written"
        )
    return proven
