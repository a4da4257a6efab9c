"""Weights by name: those that come with fcnrt, and published ones that are downloaded when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.cache import cache_dir as default_cache_dir
from ..runtime.errors import CheckpointError
from ..runtime.file_hash import file_hash

if TYPE_CHECKING:
    from ..runtime.spec import ModelSpec
    from .download import Progress

_BUNDLED = Path(__file__).parent / "demo_weights"


def bundled(variant: str) -> Path:
    """The demo checkpoint of a variant that comes with fcnrt: a slim network trained on synthetic scenes.

    Raises:
        CheckpointError: If there is none.
    """
    path = _BUNDLED / f"{variant}.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"this installation has no demo weights for {variant} ({path} is missing); install fcnrt again, or give a "
            "checkpoint"
        )
    return path


def bundled_for(spec: ModelSpec) -> Path | None:
    """The demo checkpoint, if the exported model that `spec` describes was made from it; None otherwise."""
    try:
        path = bundled(spec.variant)
    except CheckpointError:
        return None
    return path if file_hash(path) == spec.checkpoint_sha256 else None


def fetch(name: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """The published checkpoint of a name, downloaded on first use.

    Args:
        name: ``vgg16-imagenet``, or ``voc-``, ``voc-caffe-``, ``voc-chainer-`` or ``coco-`` and a variant, such as
            ``voc-fcn8s``.
        cache_dir: Where to keep the file; the ``weights`` folder of the user's cache directory if left out.
        progress: Told how far the download is: bytes so far, and in total if known.

    Raises:
        CheckpointError: If there is no such name.
        DownloadError: If the download fails, or the file in the cache is not the published one.
    """
    # Not at the top: finding the bundled weights is on the way to the first frame, and HTTP takes 30 ms to import.
    from .download import download
    from .published import PUBLISHED

    if name not in PUBLISHED:
        raise CheckpointError(f"no published weights are called {name!r}; there are {', '.join(PUBLISHED)}")
    return download(PUBLISHED[name], cache_dir or default_cache_dir() / "weights", progress=progress)
