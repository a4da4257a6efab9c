"""What `fcnrt info` says about a checkpoint: what was recognised, and what that decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .card import Card, class_count, size_text

if TYPE_CHECKING:
    from ..fcn_models.checkpoint import Checkpoint

_ALIGNMENTS = {
    "same": "same (convolutions keep the size, crops at 0)",
    "caffe": "caffe (padded by 100, crops of the released nets)",
    "native": "native (the network's own, the only one)",
}
_PREPROCESSING = {
    "imagenet_rgb": "ImageNet mean and deviation, RGB",
    "caffe_bgr": "mean colour of the Caffe models subtracted, BGR 0..255",
    "unit_rgb": "RGB 0..1",
    "raw_rgb": "RGB 0..255",
}

_NOTES = {"layout": "first layout", "source": "made from", "source_sha256": "its sha256"}
"""What notes of `fcnrt convert` are called here, where the file itself has a layout, a source and a hash, too."""


def checkpoint_card(path: Path, checkpoint: Checkpoint) -> Card:
    """What to print about a checkpoint."""
    config = checkpoint.model.config
    weights = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    width = "" if config.width == 1 else f", {config.width:g} of the original's width"
    rows = [
        ("layout", checkpoint.layout),
        ("network", f"{config.variant}, {weights:,} weights{width}"),
        ("alignment", _ALIGNMENTS[config.align]),
        ("preprocess", f"{checkpoint.preprocessing}: {_PREPROCESSING[checkpoint.preprocessing]}"),
        *(("upsampling", text) for text in _upsampling(checkpoint)),
        ("source", checkpoint.source),
        ("checkpoint", f"sha256 {checkpoint.sha256}"),
        *((_NOTES.get(label, label), value) for label, value in checkpoint.notes.items()),
        ("classes", class_count(config.num_classes, sigmoid=config.sigmoid)),
    ]
    if checkpoint.assumption is not None:
        rows.insert(2, ("", checkpoint.assumption))
    title = f"{config.variant} checkpoint · {size_text(path.stat().st_size)}"
    return Card(path.name, title, rows, checkpoint.class_names, checkpoint.palette)


def checkpoint_json(path: Path, checkpoint: Checkpoint) -> str:
    """The same as one JSON object."""
    config = checkpoint.model.config
    values = {
        "file": str(path),
        "file_bytes": path.stat().st_size,
        "layout": checkpoint.layout,
        "variant": config.variant,
        "align": config.align,
        "preprocessing": checkpoint.preprocessing,
        "width": config.width,
        "sigmoid": config.sigmoid,
        "class_names": checkpoint.class_names,
        "palette": checkpoint.palette,
        "source": checkpoint.source,
        "sha256": checkpoint.sha256,
        "assumption": checkpoint.assumption,
        "notes": dict(checkpoint.notes),
    }
    return json.dumps(values, ensure_ascii=False)


def _upsampling(checkpoint: Checkpoint) -> list[str]:
    from torch import nn

    from ..fcn_models.upsampling import is_bilinear

    layers = ((name, checkpoint.model.get_submodule(name)) for name in checkpoint.model.upsampling_layers)
    bilinear = {name: is_bilinear(layer) for name, layer in layers if isinstance(layer, nn.ConvTranspose2d)}
    kinds = {True: "exactly bilinear, exported as interpolation", False: "learned, kept"}
    return [
        f"{', '.join(names)}: {text}"
        for kind, text in kinds.items()
        if (names := [name for name, value in bilinear.items() if value is kind])
    ]
