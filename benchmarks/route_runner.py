"""`RouteRunner`: any way from frames to class maps behind the interface that the runtime uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.spec import ModelSpec, OutputName

if TYPE_CHECKING:
    from .route import Route  # imports PyTorch, which the process that measures memory must not hold


class RouteRunner:
    """A `Runner` that computes with a route, so that a peer passes through the same code as fcnrt's own backends.

    Args:
        route: RGB frames, uint8 (N, H, W, 3), to class maps, uint8 (N, H, W).
        spec: What is known about the network.
        backend: Name of the library that computes.
        device: Where it computes.
    """

    def __init__(self, route: Route, spec: ModelSpec, *, backend: str, device: str) -> None:
        self._route = route
        self.spec = spec
        self.backend = backend
        self.device = device

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        """See `Runner.run`; there is no output but the class map."""
        found = self._route(frames)
        if class_map is None:
            return {"class_map": found}
        class_map[...] = found
        return {"class_map": class_map}

    def close(self) -> None:
        """See `Runner.close`; the garbage collector does the rest."""
