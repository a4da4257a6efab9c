"""What an output of an exported graph is: its type, and its dimensions for a batch of frames of a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from .spec import ModelSpec, OutputName

_Dim = TypeVar("_Dim", int, "int | str")


@dataclass(frozen=True)
class OutputLayout:
    """Type and dimensions of an output.

    Attributes:
        dtype: Its type.
        channels: Number of channels; None if there is no such dimension.
        channels_last: Whether they come behind height and width instead of in front.
    """

    dtype: Literal["uint8", "float32"]
    channels: int | None = None
    channels_last: bool = False

    def dims(self, batch: _Dim, height: _Dim, width: _Dim) -> tuple[_Dim | int, ...]:
        """Its dimensions for frames of a size; lengths may be names."""
        if self.channels is None:
            return (batch, height, width)
        if self.channels_last:
            return (batch, height, width, self.channels)
        return (batch, self.channels, height, width)

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.dims('batch', 'height', 'width')))}]"


def output_layouts(spec: ModelSpec) -> dict[OutputName, OutputLayout]:
    """The outputs that a model has, in their order; without those that only newer versions know."""
    known: dict[OutputName, OutputLayout] = {
        "class_map": OutputLayout("uint8"),
        "confidence": OutputLayout("uint8"),
        "logits": OutputLayout("float32", spec.logit_channels),
        "overlay": OutputLayout("uint8", 3, channels_last=True),
    }
    return {name: known[name] for name in spec.outputs if name in known}
