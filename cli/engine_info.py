"""What `fcnrt info` says about an engine: what is in its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.engines.manifest import EngineManifest, onnx_path
from ..runtime.engines.tensorrt_library import title
from ..runtime.output_layout import output_layouts
from .card import Card, class_count, size_text

if TYPE_CHECKING:
    from ..runtime.engines.manifest import EngineKey


def engine_card(path: Path, manifest: EngineManifest) -> Card:
    """An engine's manifest for people."""
    key, spec = manifest.key, manifest.spec
    convolutions = ", ".join(f"{count} in {kind}" for kind, count in sorted(manifest.convolutions.items()))
    rows = [
        ("input", f"image uint8 [batch, height, width, 3] {spec.channel_order.upper()}"),
        *(("frames", f"{profile.min} .. {profile.max}, best {profile.opt}, batch {profile.max_batch}")
          for profile in manifest.profiles),
        *(("output", f"{name} {layout}") for name, layout in output_layouts(spec).items()),
        ("precision", f"{spec.precision}, convolution layers: {convolutions or 'not counted'}"),
        ("built with", f"{title(key.flavor)} {key.version}"),
        ("runs on", _machine(key)),
        ("built from", f"{onnx_path(path, manifest)} sha256 {key.onnx_sha256}"),
        ("source", spec.source),
        ("classes", class_count(spec.num_classes, sigmoid=spec.sigmoid)),
    ]  # fmt: skip
    return Card(path.name, f"{spec.variant} · {size_text(manifest.engine_bytes)}", rows, spec.class_names, spec.palette)


def engine_json(path: Path, manifest: EngineManifest) -> str:
    """An engine's manifest for programs."""
    return json.dumps({"file": str(path), **json.loads(manifest.to_json())}, ensure_ascii=False)


def _machine(key: EngineKey) -> str:
    capabilities = ", ".join(key.compute_capabilities)
    if key.gpu is not None:
        return f"{key.gpu} ({capabilities})"
    return f"GPUs of compute capability {capabilities}" if capabilities else "any GPU that TensorRT-RTX supports"
