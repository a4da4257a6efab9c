"""The network that an exported file is compared with: the one of its checkpoint, set up as it was for the export."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from ..runtime.spec import ModelSpec
from .checkpoint import Checkpoint, load_checkpoint
from .fcn import Align
from .infer_size import at_infer_size


def load_reference(path: Path, spec: ModelSpec) -> Checkpoint:
    """The checkpoint in a file as the network that `spec`, of an exported model, describes.

    Raises:
        CheckpointError: If the file is no checkpoint of such a network.
    """
    align = spec.align if spec.align in get_args(Align) else None  # other networks have no choice
    checkpoint = load_checkpoint(path, variant=spec.variant, align=align, num_classes=spec.num_classes)
    return at_infer_size(checkpoint, spec.infer_size)
