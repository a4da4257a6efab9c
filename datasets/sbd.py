"""Reader of the Semantic Boundaries Dataset: 8,498 more labelled pictures of PASCAL VOC to train on.

The networks of the FCN paper that were released were trained on it. Its labels are MATLAB files.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import DatasetError, MissingDependencyError
from .label_file import check_label
from .labeled_files import FilePair, LabeledFiles, read_names

_ROOTS = (Path(), Path("dataset"), Path("benchmark_RELEASE", "dataset"))  # where the archive leaves the data set


def sbd_train(root: Path, *, num_classes: int, without: Collection[str] = ()) -> LabeledFiles:
    """The pictures of SBD's list ``train.txt``.

    Args:
        root: Folder with ``img``, ``cls`` and ``train.txt``, or one that holds it as the archive does.
        num_classes: Labels must be below it; SBD has VOC's 21 and no void.
        without: Names to leave out: those validated on. 545 pictures of VOC 2012's ``val`` are in SBD's ``train``.

    Raises:
        DatasetError: If there is no such data set, or a file is missing. Also on access, for a damaged file.
        MissingDependencyError: If SciPy, which reads MATLAB files, is not installed.
    """
    try:
        import scipy.io  # noqa: F401  # needed at the first access: say so before the long work begins
    except ModuleNotFoundError as exc:
        raise MissingDependencyError("reading SBD needs SciPy, which is not installed. Run: pip install scipy") from exc
    folder = next((root / inner for inner in _ROOTS if (root / inner / "cls").is_dir()), None)
    if folder is None:
        raise DatasetError(f"{root} is not the Semantic Boundaries Dataset: it has no folder cls, nor has its dataset")
    names = [name for name in read_names(folder / "train.txt") if name not in without]
    pairs = [FilePair(name, folder / "img" / f"{name}.jpg", folder / "cls" / f"{name}.mat") for name in names]
    return LabeledFiles(pairs, num_classes=num_classes, listed_in="train.txt", read_label=_read_mat_label)


def _read_mat_label(path: Path, num_classes: int) -> NDArray[np.uint8]:
    import scipy.io

    try:
        content = scipy.io.loadmat(path)["GTcls"]["Segmentation"][0, 0]
        label = np.asarray(content, np.uint8)
    # A damaged file can make the reader raise almost anything.
    except Exception as exc:
        raise DatasetError(f"cannot read {path}: {exc}") from exc
    return check_label(label, path, num_classes)
