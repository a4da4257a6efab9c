"""`Device`: where a network runs, and the text that asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import DeviceError


@dataclass(frozen=True)
class Device:
    """The CPU, or one CUDA device by its index; text form ``cpu`` or ``cuda:N``."""

    kind: Literal["cpu", "cuda"]
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Device | None:
        """The device written as ``cpu``, ``cuda`` (the first one) or ``cuda:N``; None for ``auto``.

        Raises:
            DeviceError: If the text is none of these.
        """
        if text == "auto":
            return None
        if not isinstance(text, str):
            raise DeviceError(f"{text!r} is not a device; write auto, cpu, cuda or cuda:N, as text")
        if text == "cpu":
            return cls("cpu")
        match = re.fullmatch(r"cuda(?::(\d+))?", text)
        if match is None:
            raise DeviceError(f"{text!r} is not a device; write auto, cpu, cuda or cuda:N, for example cuda:0")
        return cls("cuda", int(match[1] or 0))

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"
