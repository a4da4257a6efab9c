"""The network that an exported file is compared with: the one of its checkpoint, set up as it was for the export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

from ..runtime.errors import CheckpointError, OtherNetworkError
from ..runtime.spec import ModelSpec
from .checkpoint import Checkpoint, load_checkpoint
from .fcn import Align
from .infer_size import at_infer_size


def load_reference(path: Path, spec: ModelSpec) -> Checkpoint:
    """The checkpoint in a file as the network that `spec`, of an exported model, describes.

    If the file says nothing of its classes, they have the names and colours that the model has.

    Raises:
        CheckpointError: If the file is no checkpoint of such a network, or has the same classes in another order.
    """
    align = spec.align if spec.align in get_args(Align) else None  # other networks have no choice
    try:
        checkpoint = load_checkpoint(path, variant=spec.variant, align=align, num_classes=spec.num_classes)
    except OtherNetworkError as exc:
        raise CheckpointError(
            f"{path.name} is another network than the model, which is a {spec.variant} of {spec.num_classes} classes; "
            "give the checkpoint that the model was exported from"
        ) from exc
    if not checkpoint.names_its_classes:
        checkpoint = dataclasses.replace(checkpoint, class_names=spec.class_names, palette=spec.palette)
    _require_order("classes", spec.class_names, checkpoint.class_names)
    _require_order("colours of the classes", spec.palette, checkpoint.palette)
    return at_infer_size(checkpoint, spec.infer_size)


def _require_order(what: str, of_model: tuple[object, ...], of_checkpoint: tuple[object, ...]) -> None:
    """Other names and colours may have been given at the export; the same ones in another order are a mistake."""
    if of_model == of_checkpoint or sorted(map(str, of_model)) != sorted(map(str, of_checkpoint)):
        return
    first = next(index for index, pair in enumerate(zip(of_model, of_checkpoint, strict=True)) if len({*pair}) == 2)
    raise CheckpointError(
        f"the model has the {what} of the checkpoint in another order: class {first} is {of_model[first]} in the model "
        f"and {of_checkpoint[first]} in the checkpoint; export it again"
    )
