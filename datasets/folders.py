"""Data sets in two folders, pictures and masks, and in the folders of portrait matting."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..runtime.errors import DatasetError
from ..runtime.images.files import is_image
from .label_file import read_index_label, read_matte
from .labeled_files import FilePair, LabeledFiles, read_names

IMAGES, MASKS = "images", "masks"
MATTE_SUFFIX = "_matte.png"

_HELD_OUT_SHARE = 5  # one in five


def is_paired(root: Path) -> bool:
    """Whether a folder, or the one of its split ``train``, holds ``images`` and ``masks``."""
    return any((folder / IMAGES).is_dir() and (folder / MASKS).is_dir() for folder in (root, root / "train"))


def is_portrait(root: Path) -> bool:
    """Whether a folder, or the one of its split ``train``, holds mattes beside its pictures."""
    return any(_is_matte(path) for folder in (root, root / "train") for path in folder.glob("*"))


def paired_folders(root: Path, split: str, *, num_classes: int) -> LabeledFiles:
    """The pictures of ``images`` with the masks of the same name in ``masks``, PNG files of class indices.

    Args:
        root: Folder that holds both, or holds a folder for each split that does.
        split: Which part: a folder of that name; else a list ``SPLIT.txt`` of names; else, without any, ``val`` is one
            fifth, chosen by the names, and ``train`` the rest. The path of a list that ends in ``.txt`` will do, too.
        num_classes: Labels must be below it, or 255 (void).

    Raises:
        DatasetError: If a picture has no mask, the split is empty, or its list is wrong. Also on access, as in
            `LabeledFiles`.
    """
    folder = _folder_of(root, split)
    files = _pictures(folder / IMAGES)
    masks = _masks(folder / MASKS)
    pairs = [FilePair(path.stem, path, masks.get(path.stem, folder / MASKS / f"{path.stem}.png")) for path in files]
    return _part(root, folder, pairs, split, num_classes=num_classes, matte=False)


def portrait_folder(root: Path, split: str, *, num_classes: int) -> LabeledFiles:
    """The pictures ``NAME.png`` with their mattes ``NAME_matte.png``, whose opaque half is class 1.

    Args:
        root: Folder that holds both, or holds a folder for each split that does.
        split: Which part, as in `paired_folders`.
        num_classes: Number of classes; 2, unless others are to be added.

    Raises:
        DatasetError: If a picture has no matte, the split is empty, or its list is wrong. Also on access, as in
            `LabeledFiles`.
    """
    folder = _folder_of(root, split)
    files = _pictures(folder)
    mattes = {path.name[: -len(MATTE_SUFFIX)]: path for path in files if _is_matte(path)}
    pairs = [
        FilePair(path.stem, path, mattes.get(path.stem, folder / f"{path.stem}{MATTE_SUFFIX}"))
        for path in files
        if not _is_matte(path)
    ]
    return _part(root, folder, pairs, split, num_classes=num_classes, matte=True)


def _folder_of(root: Path, split: str) -> Path:
    return root / split if (root / split).is_dir() else root


def _pictures(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as exc:
        raise DatasetError(f"cannot read {folder}: {exc.strerror}") from exc
    pictures = [path for path in files if is_image(path)]
    if not pictures:
        raise DatasetError(f"{folder} holds no pictures")
    for path, following in itertools.pairwise(pictures):
        if path.stem == following.stem:
            raise DatasetError(f"{path} and {following.name} would share one label; rename one of them")
    return pictures


def _is_matte(path: Path) -> bool:
    return path.name.lower().endswith(MATTE_SUFFIX)


def _masks(folder: Path) -> dict[str, Path]:
    """The PNG files by their names without suffix, which may be in capitals as those of pictures may."""
    return {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() == ".png"}


def _part(
    root: Path, folder: Path, pairs: Sequence[FilePair], split: str, *, num_classes: int, matte: bool
) -> LabeledFiles:
    """The pairs of the folder that belong to the split."""
    listed = Path(split) if split.endswith(".txt") else folder / f"{split}.txt"
    listed_in = str(folder)
    if listed.is_file():
        known, listed_in = {pair.name: pair for pair in pairs}, listed.name
        names = read_names(listed)
        missing = [name for name in names if name not in known]
        if missing:
            raise DatasetError(
                f"{listed} lists {missing[0]}, but {folder} has no such picture; write names without suffix"
            )
        pairs = [known[name] for name in names]
    else:
        if folder == root:
            pairs = _by_name(folder, pairs, split)
        _require_labels(pairs)
    return LabeledFiles(
        pairs,
        num_classes=num_classes,
        listed_in=listed_in,
        read_label=read_matte if matte else read_index_label,
    )


def _require_labels(pairs: Sequence[FilePair]) -> None:
    """Refuse pictures without label where no list names them."""
    for pair in pairs:
        if not pair.label.is_file():
            raise DatasetError(f"{pair.label} is missing, the label of {pair.image}; add it or remove the picture")


def _by_name(folder: Path, pairs: Sequence[FilePair], split: str) -> list[FilePair]:
    """The rest or the fifth that is held out. It depends on the names alone, and is as mixed as a random choice."""
    if split not in ("train", "val"):
        raise DatasetError(
            f"{folder} has no split {split!r}: there is no folder {split} and no list {split}.txt. Without lists there "
            "are train and val"
        )
    other = "val" if split == "train" else "train"
    if (folder / f"{other}.txt").is_file():  # a fifth of all would share pictures with it
        raise DatasetError(f"{folder} has a list {other}.txt and none for {split}; write {split}.txt")
    if len(pairs) < 2:
        raise DatasetError(
            f"{folder} has fewer than two pictures; training needs one to learn from and one to validate"
        )
    mixed = sorted(pairs, key=lambda pair: zlib.crc32(pair.name.encode()))
    held_out = max(1, len(pairs) // _HELD_OUT_SHARE)
    chosen = mixed[:held_out] if split == "val" else mixed[held_out:]
    return sorted(chosen, key=lambda pair: pair.name)
