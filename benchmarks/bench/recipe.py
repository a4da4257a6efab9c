"""`Recipe`: a network and a way to run it, as data, so that another process can open the very same thing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ...runtime.spec import ModelSpec

Way = Literal["fcnrt", "pytorch", "channels_last", "compiled", "half", "usual", "openvino"]
"""``fcnrt``: an exported file in fcnrt's runtime.

In PyTorch, from a checkpoint: ``pytorch`` eager, ``channels_last`` memory, ``compiled`` by ``torch.compile``, ``half``
precision. From a plain ``torch.onnx.export``, with pre- and post-processing in numpy: ``usual``, ONNX Runtime with
default options; ``openvino``.
"""

TORCH_WAYS: tuple[Way, ...] = ("pytorch", "channels_last", "compiled", "half")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to open and how.

    Attributes:
        way: Way to run it.
        path: Exported file, checkpoint or plain ONNX file, as the way needs.
        backend: Library that computes.
        device: Where, ``cpu`` or ``cuda:N``.
        spec: What is known about the network; of a checkpoint, what its export would say.
    """

    way: Way
    path: Path
    backend: str
    device: str
    spec: ModelSpec

    def to_json(self) -> str:
        """The recipe as one JSON object."""
        return json.dumps(
            {
                "way": self.way,
                "path": str(self.path),
                "backend": self.backend,
                "device": self.device,
                "spec": self.spec.to_json(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe written by `to_json`."""
        data = json.loads(text)
        assert data["way"] in get_args(Way)
        spec = ModelSpec.from_json(data["spec"])
        return cls(way=data["way"], path=Path(data["path"]), backend=data["backend"], device=data["device"], spec=spec)
