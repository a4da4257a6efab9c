"""The demo model: the bundled weights, exported once into the user's cache."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ..fcn_models.weights import bundled
from ..runtime.atomic import make_folder
from ..runtime.cache import cache_dir
from ..runtime.errors import MissingDependencyError, ModelFileError
from ..runtime.file_hash import file_hash
from ..runtime.onnx_header import read_metadata
from .requirements import require_export_packages

if TYPE_CHECKING:
    from ..fcn_models.checkpoint import Checkpoint


def demo_model(variant: str = "fcn8s") -> Path:
    """The demo model as an ONNX file in the user's cache directory, exported on first use.

    Finding a model that is there already imports neither torch nor onnx.

    Raises:
        MissingDependencyError: If it has to be exported and the packages for that are not installed.
    """
    weights = bundled(variant)
    # The name holds everything that the contents depend on, so that an upgrade exports anew.
    digest = file_hash(weights)[:12]
    path = cache_dir() / "models" / f"{variant}-demo-{version('fcnrt')}-{digest}.onnx"
    if not _is_whole(path):
        try:
            require_export_packages("exporting the demo model (once, on first use)")
        except MissingDependencyError as exc:
            raise MissingDependencyError(f"{exc}, or name an exported model with --model FILE") from exc
        make_folder(path.parent)
        from .to_onnx import export_onnx

        export_onnx(demo_checkpoint(variant), path)
    return path


def _is_whole(path: Path) -> bool:
    try:
        read_metadata(path)
    except ModelFileError:
        return False
    return True


def demo_checkpoint(variant: str = "fcn8s") -> Checkpoint:
    """The bundled demo weights of a variant, loaded."""
    from ..fcn_models.checkpoint import load_checkpoint

    return dataclasses.replace(
        load_checkpoint(bundled(variant)), source="bundled demo weights, trained on synthetic scenes"
    )
