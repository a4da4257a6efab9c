"""A segmenter without a backend, whose every call a test can watch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec, OutputName


class ArgmaxRunner:
    """Gives each pixel the class of its strongest channel, as `tiny_model` does.

    Args:
        spec: What it claims to be.
        on_run: Called with the number of the run (from 0) and the batch before each run.
    """

    backend = "fake"
    device = "cpu"

    def __init__(self, spec: ModelSpec, on_run: Callable[[int, NDArray[np.uint8]], None]) -> None:
        self.spec = spec
        self._on_run = on_run
        self._runs = 0

    def run(
        self,
        frames: NDArray[np.uint8],
        outputs: Sequence[OutputName],
        *,
        class_map: NDArray[np.uint8] | None = None,
    ) -> dict[OutputName, NDArray[Any]]:
        self._on_run(self._runs, frames)
        self._runs += 1
        return {"class_map": frames.argmax(-1).astype(np.uint8)}

    def close(self) -> None:
        pass


MakeSegmenter = Callable[..., Segmenter]


@pytest.fixture
def make_segmenter(tiny_spec: ModelSpec) -> MakeSegmenter:
    """A function that makes a segmenter: `make_segmenter(on_run=...)`."""

    def make(on_run: Callable[[int, NDArray[np.uint8]], None] = lambda number, frames: None) -> Segmenter:
        return Segmenter(ArgmaxRunner(tiny_spec, on_run))

    return make
