"""`verify_deployment`: is the deployed file still the PyTorch model, and if not, where and why did it stop to be?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...fcn_models.checkpoint import Checkpoint
from ...runtime.errors import ParityError
from ...runtime.segmenter import Segmenter, open_the_file_itself
from ...runtime.spec import ImageSize
from .diagnosis import Diagnosis, diagnose
from .frames import data_frames, labelled_scenes, sized_frames
from .parity import Parity, ParityFrame, check_parity
from .stages import open_deployment


@dataclass(frozen=True, eq=False)
class Verification:
    """What was found about a deployed file.

    Attributes:
        model: The file.
        reference: Where the reference's weights came from, in words.
        parity: The comparison, hop by hop.
        diagnosis: What the broken hop looks like; None if none is broken.
        skipped: Frames that were left out because the deployed file does not take their size.
    """

    model: Path
    reference: str
    parity: Parity
    diagnosis: Diagnosis | None
    skipped: int


def verify_deployment(
    model: Path,
    checkpoint: Checkpoint,
    *,
    data: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    progress: Callable[[str], None] = lambda step: None,
    open_model: Callable[..., Segmenter] = open_the_file_itself,
) -> Verification:
    """Compare a deployed file and every stage before it with PyTorch, and examine the first one that is broken.

    Args:
        model: An ``.onnx`` file or an ``.engine``.
        checkpoint: The network it was made from.
        data: Pictures to compare on besides frames of several sizes; see `data_frames`. Drawn scenes if None.
        limit: How many pictures to take at most.
        device: As for `Segmenter.open`.
        progress: Called with a word for each step as it begins.
        open_model: Opens the deployed file; takes it and the keyword `device`.

    Raises:
        FcnrtError: If something cannot be read or run, no frame fits the deployed file, or PyTorch's own logits are
            NaN or infinite.
    """
    classes = checkpoint.class_names
    with open_deployment(model, checkpoint, device=device, progress=progress, open_model=open_model) as deployment:
        pictures = labelled_scenes(classes) if data is None else data_frames(data, len(classes), limit=limit)
        fitting = _Fitting(chain(sized_frames(deployment.tuned_for), pictures), deployment.takes)
        parity = check_parity(deployment.reference, deployment.stages, fitting, progress=progress)
        if not parity.hops[0].frames:
            raise ParityError(f"{model} takes none of the frames' sizes; give pictures of a size it takes with --data")
        diagnosis = None
        if parity.broken is not None:
            progress("looking for the mistake")
            diagnosis = diagnose(deployment.reference, parity.broken)
    return Verification(model, checkpoint.source, parity, diagnosis, fitting.skipped)


class _Fitting:
    """The frames whose size is taken; counts the others."""

    def __init__(self, frames: Iterable[ParityFrame], takes: Callable[[ImageSize], bool]) -> None:
        self._frames = frames
        self._takes = takes
        self.skipped = 0

    def __iter__(self) -> Iterator[ParityFrame]:
        for frame in self._frames:
            height, width, _ = frame.image.shape
            if self._takes(ImageSize(height, width)):
                yield frame
            else:
                self.skipped += 1
