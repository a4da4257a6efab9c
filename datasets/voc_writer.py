"""Writing synthetic scenes as a data set in PASCAL VOC's folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2

from ..fcn_models.voc import voc_palette
from ..runtime.atomic import write_text
from ..runtime.errors import OutputError
from ..runtime.images.palette_png import encode_palette_png
from ..runtime.spec import ImageSize
from .labeled_image import LabeledImage
from .synthetic import render_scene
from .voc import IMAGES_FOLDER, LABELS_FOLDER, SPLITS_FOLDER

MARKER = "synthetic.json"
"""File that says how the data set was made, and that its folder may be written again."""

_SPLITS = ("train", "val", "trainval")
_JPEG_QUALITY = 95


def write_voc(
    root: Path,
    *,
    count: int,
    seed: int,
    size: ImageSize,
    val_fraction: float = 0.2,
    on_scene: Callable[[], None] = lambda: None,
) -> None:
    """Write synthetic scenes as ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``.

    The lists of the splits are written last: an interrupted set has none, and its reader says so. The scenes of an
    earlier set in the same folder are removed; other files are left alone.

    Args:
        root: Folder to write; it and its parents are made. If it holds anything, it must be an earlier set.
        count: Number of scenes, at least 2.
        seed: Number of the set, at least 0; sets of different seeds share no scene.
        size: Size of the scenes.
        val_fraction: Share of the scenes in the split ``val``, at least one scene; the others are ``train``.
        on_scene: Called after each scene, to show progress.

    Raises:
        OutputError: If the folder holds something else, or cannot be written.
    """
    if count < 2:
        raise ValueError(f"a data set needs at least 2 scenes, one to train and one to validate, got {count}")
    _check_free(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # The marker comes first: whatever happens from here on, the folder can be written again.
        facts = {"made_by": "fcnrt data synth", "seed": seed, "count": count, "size": str(size)}
        (root / MARKER).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        _remove_earlier_set(root)
        for folder in (IMAGES_FOLDER, LABELS_FOLDER, SPLITS_FOLDER):
            (root / folder).mkdir(parents=True, exist_ok=True)
        names = []
        for index in range(count):
            scene = render_scene(seed, index, size)
            _write_scene(root, scene)
            names.append(scene.name)
            on_scene()
    except OSError as exc:
        raise OutputError(f"cannot write {exc.filename or root}: {exc.strerror or exc}") from exc
    val_count = min(count - 1, max(1, round(count * val_fraction)))
    for split, members in zip(_SPLITS, (names[:-val_count], names[-val_count:], names), strict=True):
        _write_split(root, split, members)


def _check_free(root: Path) -> None:
    """Make sure that `write_voc` may write the folder: it is missing, empty, or holds an earlier set.

    Raises:
        OutputError: If not.
    """
    if root.exists() and not root.is_dir():
        raise OutputError(f"{root} is a file; give a folder to write the data set to")
    try:
        occupied = root.is_dir() and any(root.iterdir()) and not (root / MARKER).is_file()
    except OSError as exc:
        raise OutputError(f"cannot write {root}: {exc.strerror}") from exc
    if occupied:
        raise OutputError(
            f"{root} is not empty and holds no earlier synthetic set (no {MARKER}); give another folder, or empty it"
        )


def _remove_earlier_set(root: Path) -> None:
    for split in _SPLITS:
        (root / SPLITS_FOLDER / f"{split}.txt").unlink(missing_ok=True)
    for path in (*(root / IMAGES_FOLDER).glob("synthetic_*.jpg"), *(root / LABELS_FOLDER).glob("synthetic_*.png")):
        path.unlink()


def _write_scene(root: Path, scene: LabeledImage) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), options)
    (root / IMAGES_FOLDER / f"{scene.name}.jpg").write_bytes(jpeg.tobytes())
    (root / LABELS_FOLDER / f"{scene.name}.png").write_bytes(encode_palette_png(scene.label, voc_palette()))


def _write_split(root: Path, split: str, names: Iterable[str]) -> None:
    write_text(root / SPLITS_FOLDER / f"{split}.txt", "".join(f"{name}\n" for name in names))
