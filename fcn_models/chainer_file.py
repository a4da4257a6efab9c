"""Reading the weights in a Chainer ``.npz`` archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime.errors import CheckpointError

_PARAMETER_NAMES = {"W": "weight", "b": "bias"}
_DTYPES = (np.float16, np.float32, np.float64)


def read_chainer_file(path: Path) -> dict[str, torch.Tensor]:
    """The weights by name: array ``fc6/W`` is ``fc6.weight``, ``fc6/b`` is ``fc6.bias``.

    Biases of upsampling layers are left out, because the networks have none; Chainer may write zeros.

    Raises:
        CheckpointError: If the archive is damaged, holds Python objects or other arrays, or such a bias is not zero.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except ValueError as exc:
        # NumPy says so of arrays that would have to be unpickled, and of damaged headers.
        reason = "contains Python objects, which may be code" if "allow_pickle" in str(exc) else "is damaged"
        raise CheckpointError(f"{path.name} refused: it {reason}; only arrays of numbers are loaded") from exc
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as exc:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path.name} is damaged or truncated ({size:,} bytes); download or copy it again"
        ) from exc
    return dict(_named(arrays, path))


def _named(arrays: dict[str, NDArray[Any]], path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for key, array in arrays.items():
        layer, _, kind = key.rpartition("/")
        if not layer or kind not in _PARAMETER_NAMES:
            raise CheckpointError(
                f"{path.name} is a NumPy archive, but not of a Chainer network: it has {key!r} where names like "
                "'conv1_1/W' and 'conv1_1/b' are expected"
            )
        dtype = array.dtype.newbyteorder("=")  # PyTorch has only the machine's own order of bytes
        if dtype not in _DTYPES:
            raise CheckpointError(
                f"{path.name}: {key} is {array.dtype}, not floating-point numbers of 16, 32 or 64 bits"
            )
        if layer.startswith("upscore") and kind == "b":
            if np.any(array):
                raise CheckpointError(f"{path.name}: {key} is not zero; upsampling layers have no bias")
        else:
            yield f"{layer}.{_PARAMETER_NAMES[kind]}", torch.from_numpy(array.astype(dtype, copy=False))
