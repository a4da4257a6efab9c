"""How much GPU memory an engine will need at a given size, before it is built: TensorRT itself accepts any size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...runtime.spec import ImageSize
from .network import ParsedNetwork, input_size

_BYTES = {
    "FLOAT": 4, "HALF": 2, "BF16": 2, "INT8": 1, "INT32": 4, "INT64": 8, "BOOL": 1, "UINT8": 1, "FP8": 1,
}  # fmt: skip


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of an engine at one size.

    Attributes:
        activation_bytes: The tensors that have to exist at the same time, frames and class maps included.
        weight_bytes: The weights.
    """

    activation_bytes: int
    weight_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both together."""
        return self.activation_bytes + self.weight_bytes


def estimate_memory(parsed: ParsedNetwork, *, batch: int, size: ImageSize, weight_bytes: int) -> MemoryEstimate | None:
    """The most memory that layers need when they run one after the other; None if a shape cannot be told.

    Element-wise layers write over their input, as TensorRT fuses them into the layer before; it fuses more than that,
    and needs scratch memory of its own, so this is a guide and no bound.

    Args:
        parsed: The network.
        batch: Number of frames.
        size: Size of the frames.
        weight_bytes: Size of the ONNX file.
    """
    with input_size(parsed.network, batch, size):
        steps = _steps(parsed)
    if steps is None:
        return None
    last_use = {name: index for index, step in enumerate(steps) for name in (*step.reads, *step.writes)}
    # Outputs of the network are needed to the end, and so are its frames: a caller may run them again.
    last_use |= dict.fromkeys(_ends(parsed.network), len(steps))
    live: dict[str, int] = dict(_inputs(parsed, batch, size))
    peak = sum(live.values())
    for index, step in enumerate(steps):
        if step.in_place and len(step.writes) == 1:
            for name in step.reads:
                if last_use[name] == index and name in live:
                    del live[name]
                    break
        live |= step.writes
        peak = max(peak, sum(live.values()))
        for name in [name for name in live if last_use.get(name, index) <= index]:
            del live[name]
    return MemoryEstimate(peak, weight_bytes)


@dataclass(frozen=True)
class _Step:
    reads: tuple[str, ...]
    writes: dict[str, int]  # bytes by name
    in_place: bool


def _steps(parsed: ParsedNetwork) -> list[_Step] | None:
    trt, network = parsed.trt, parsed.network
    in_place = (trt.LayerType.ACTIVATION, trt.LayerType.ELEMENTWISE, trt.LayerType.CAST, trt.LayerType.SHUFFLE)
    steps = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        outputs = [layer.get_output(i) for i in range(layer.num_outputs)]
        if layer.type == trt.LayerType.CONSTANT or all(output.is_shape_tensor for output in outputs):
            continue  # weights are counted on their own; sizes are computed on the CPU
        if any(length < 0 for output in outputs for length in output.shape):
            return None
        inputs = [layer.get_input(i) for i in range(layer.num_inputs)]
        steps.append(
            _Step(
                reads=tuple(tensor.name for tensor in inputs if tensor is not None),
                writes={output.name: _size(output) for output in outputs},
                in_place=layer.type in in_place,
            )
        )
    return steps


def _size(tensor: Any) -> int:
    volume: int = math.prod(tensor.shape)
    return volume * _BYTES.get(tensor.dtype.name, 4)


def _inputs(parsed: ParsedNetwork, batch: int, size: ImageSize) -> dict[str, int]:
    return {parsed.network.get_input(0).name: batch * size.height * size.width * 3}


def _ends(network: Any) -> list[str]:
    return [network.get_input(0).name, *(network.get_output(i).name for i in range(network.num_outputs))]
