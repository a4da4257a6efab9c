"""Weights by name: those that come with fcnrt, and published ones that are downloaded when asked for."""

from __future__ import annotations

from pathlib import Path

from ..runtime.cache import cache_dir as default_cache_dir
from ..runtime.errors import CheckpointError
from .download import Progress, RemoteFile, download

_BUNDLED = Path(__file__).parent / "demo_weights"


def _on_google_drive(name: str, file_id: str, md5: str) -> RemoteFile:
    return RemoteFile(
        name=name,
        # confirm=t answers the question whether to fetch a file that is too large for the virus scan.
        url=f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t",
        algorithm="md5",
        digest=md5,
        page=f"https://drive.google.com/file/d/{file_id}/view",
    )


_VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
_PUBLISHED = {
    # torchvision's VGG16, to start a training from.
    "vgg16-imagenet": RemoteFile(
        name="vgg16-397923af.pth", url=_VGG16_URL, algorithm="sha256", digest="397923af", page=_VGG16_URL
    ),
    # The nets that the authors of the paper trained on PASCAL VOC, converted to PyTorch by wkentaro/pytorch-fcn.
    "voc-fcn32s": _on_google_drive(
        "fcn32s_from_caffe.pth", "11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f", "d3eb467a80e7da0468a20dfcbc13e6c8"
    ),
    "voc-fcn16s": _on_google_drive(
        "fcn16s_from_caffe.pth", "1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP", "a2d4035f669f09483b39c9a14a0d6670"
    ),
    "voc-fcn8s": _on_google_drive(
        "fcn8s_from_caffe.pth", "1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI", "de93e540ec79512f8770033849c8ae89"
    ),
}


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


def fetch(name: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """The published checkpoint of a name, downloaded on first use.

    Args:
        name: ``vgg16-imagenet``, ``voc-fcn32s``, ``voc-fcn16s`` or ``voc-fcn8s``.
        cache_dir: Where to keep the file; the ``weights`` folder of the user's cache directory if left out.
        progress: Told how far the download is: bytes so far, and in total if known.

    Raises:
        CheckpointError: If there is no such name.
        DownloadError: If the download fails.
    """
    if name not in _PUBLISHED:
        raise CheckpointError(f"no published weights are called {name!r}; there are {', '.join(_PUBLISHED)}")
    return download(_PUBLISHED[name], cache_dir or default_cache_dir() / "weights", progress=progress)
