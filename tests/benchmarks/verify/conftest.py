from __future__ import annotations

import pytest

from fcnrt.benchmarks.verify.parity import ParityFrame
from fcnrt.benchmarks.verify.reference import Reference
from fcnrt.export.sample_frames import sample_frame
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.runtime.spec import ImageSize

from .slim_checkpoint import make_checkpoint


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def frames() -> list[ParityFrame]:
    # Sizes at which a network with pools that round down still runs: it can be caught by its values alone.
    sizes = ["65x33", "100x132", "64x96", "39x101"]
    return [ParityFrame(size, sample_frame(ImageSize.parse(size), index)) for index, size in enumerate(sizes)]
