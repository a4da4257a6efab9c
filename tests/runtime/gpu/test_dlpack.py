"""Capsules against the libraries that make and take them on the CPU, where the protocol is the same."""

from __future__ import annotations

import ctypes
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from fcnrt.runtime.gpu import dlpack

FRAME = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
NEW_NUMPY = int(np.__version__.split(".")[0]) >= 2


def capsules(array: np.ndarray) -> list[Any]:
    """The array in both kinds of capsule, from numpy and from PyTorch."""
    tensor = torch.from_numpy(array)
    found = [array.__dlpack__(), tensor.__dlpack__(), tensor.__dlpack__(max_version=(1, 0))]
    return [*found, array.__dlpack__(max_version=(1, 0))] if NEW_NUMPY else found


def test_reads_what_numpy_and_pytorch_make() -> None:
    for capsule in capsules(FRAME.copy()):
        content = dlpack.read_capsule(capsule)
        assert (content.device, content.dtype, content.shape) == ((dlpack.CPU, 0), "uint8", (4, 5, 3))
        assert content.strides in (None, (15, 3, 1))
        values = (ctypes.c_uint8 * FRAME.size).from_address(content.address)
        assert bytes(values) == FRAME.tobytes()
        assert not content.read_only


def test_reads_views_at_their_own_place() -> None:
    array = FRAME.copy()
    for capsule in capsules(array[1:3, ::2]):
        content = dlpack.read_capsule(capsule)
        assert content.address == array[1:].ctypes.data
        assert (content.shape, content.strides) == ((2, 3, 3), (15, 6, 1))


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint16", "bool"])
def test_names_other_types_as_numpy_does(dtype: str) -> None:
    names = {dlpack.read_capsule(capsule).dtype for capsule in capsules(np.zeros((2, 2), dtype))}
    assert names == {"bool8" if dtype == "bool" else dtype}
    assert dlpack.read_capsule(torch.zeros(2, dtype=torch.bfloat16).__dlpack__()).dtype == "bfloat16"


@pytest.mark.skipif(not NEW_NUMPY, reason="numpy before 2.1 makes no capsules with a version")
def test_sees_what_must_not_be_written() -> None:
    array = FRAME.copy()
    array.setflags(write=False)
    assert dlpack.read_capsule(array.__dlpack__(max_version=(1, 0))).read_only


def test_a_capsule_that_was_read_can_still_be_used() -> None:
    capsule = torch.from_numpy(FRAME.copy()).__dlpack__()
    dlpack.read_capsule(capsule)
    assert torch.utils.dlpack.from_dlpack(capsule).shape == FRAME.shape
    with pytest.raises(BufferError, match="no DLPack capsule, or one that was used already"):
        dlpack.read_capsule(capsule)


@pytest.mark.parametrize("wrong", [None, FRAME])
def test_what_is_no_capsule_is_refused(wrong: object) -> None:
    with pytest.raises(BufferError, match="no DLPack capsule"):
        dlpack.read_capsule(wrong)


def test_another_major_version_is_refused() -> None:
    capsule = torch.from_numpy(FRAME.copy()).__dlpack__(max_version=(1, 0))
    address = dlpack._get_pointer(capsule, b"dltensor_versioned")
    ctypes.c_uint32.from_address(address).value = 2
    with pytest.raises(BufferError, match=r"of DLPack version 2\.\d, known is 1"):
        dlpack.read_capsule(capsule)
    ctypes.c_uint32.from_address(address).value = 1


class Owner:
    """Memory that somebody owns."""

    def __init__(self) -> None:
        self.array = FRAME.copy()

    def capsule(self, *, device: int = dlpack.CPU, versioned: bool = False) -> Any:
        return dlpack.make_capsule(self, self.array.ctypes.data, self.array.shape, (device, 0), versioned=versioned)


class Exporter:
    """Anything with the two methods of the protocol."""

    def __init__(self, owner: Owner, *, device: int = dlpack.CPU) -> None:
        self.owner, self.device = owner, device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None, **_: Any) -> Any:
        return self.owner.capsule(device=self.device, versioned=max_version is not None)


@pytest.mark.parametrize("take", [np.from_dlpack, torch.from_dlpack], ids=["numpy", "torch"])
def test_what_is_made_is_taken_without_a_copy_and_released_in_the_end(take: Any) -> None:
    owner = Owner()
    alive, array = weakref.ref(owner), owner.array
    taken = take(Exporter(owner))
    del owner
    gc.collect()
    assert alive() is not None
    array[0, 0] = (1, 2, 3)
    assert taken[0, 0].tolist() == [1, 2, 3]
    assert tuple(taken.shape) == FRAME.shape
    del taken
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("versioned", [False, True])
def test_what_nobody_takes_is_released(versioned: bool) -> None:
    owner = Owner()
    alive = weakref.ref(owner)
    capsule = owner.capsule(versioned=versioned)
    del owner
    gc.collect()
    assert alive() is not None
    del capsule
    gc.collect()
    assert alive() is None


def test_what_is_refused_is_released(capfd: pytest.CaptureFixture[str]) -> None:
    owner = Owner()
    alive = weakref.ref(owner)
    exporter = Exporter(owner, device=dlpack.CUDA)
    del owner
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(exporter)  # numpy takes nothing from a GPU
    del exporter
    gc.collect()
    assert alive() is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("versioned", [False, True])
def test_the_device_is_the_one_that_was_given(versioned: bool) -> None:
    owner = Owner()
    capsule = dlpack.make_capsule(owner, 4096, (2, 3), (dlpack.CUDA, 5), versioned=versioned)
    content = dlpack.read_capsule(capsule)
    assert (content.address, content.device, content.shape) == (4096, (dlpack.CUDA, 5), (2, 3))
    assert content.dtype == "uint8"
    assert content.strides in (None, (3, 1))
