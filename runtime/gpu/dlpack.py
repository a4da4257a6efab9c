"""DLPack's capsules, read and made: how libraries hand each other an array without a copy.

Layout and rules are those of dlpack.h 1.0 (https://dmlc.github.io/dlpack/latest/c_api.html) and of the Python array
API standard; both kinds of capsule are understood, those before version 1.0 and those with a version inside.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

CPU, CUDA = 1, 2
"""Types of device (DLDeviceType)."""

_UNSIGNED, _FLOAT = 1, 2  # DLDataTypeCode
_KINDS = {0: "int", _UNSIGNED: "uint", _FLOAT: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_MAJOR = 1  # structures of another major version have another layout
_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY
_NAME, _VERSIONED_NAME = b"dltensor", b"dltensor_versioned"


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _VersionedTensor(ctypes.Structure):
    """DLManagedTensorVersioned; DLManagedTensor begins with its DLTensor."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@dataclass(frozen=True)
class CapsuleContent:
    """What a capsule says about an array, which lives at least as long as the capsule.

    Attributes:
        address: Where it begins.
        device: Type and index of its device.
        dtype: Its type as numpy would write it, for example ``uint8``.
        shape: Its shape.
        strides: Its strides in elements; None if it is C-contiguous.
        read_only: Whether it must not be written.
    """

    address: int
    device: tuple[int, int]
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    read_only: bool


def read_capsule(capsule: Any) -> CapsuleContent:
    """What a capsule holds. The capsule stays unused and belongs to the caller, who keeps it while the array is used.

    Raises:
        BufferError: If it is not a capsule of DLPack, or of a version that is not known.
    """
    read_only = False
    if _is_valid(capsule, _VERSIONED_NAME):
        managed = _VersionedTensor.from_address(_get_pointer(capsule, _VERSIONED_NAME))
        if managed.major != _MAJOR:
            raise BufferError(f"it is of DLPack version {managed.major}.{managed.minor}, known is {_MAJOR}")
        tensor, read_only = managed.tensor, bool(managed.flags & _READ_ONLY)
    elif _is_valid(capsule, _NAME):
        tensor = _Tensor.from_address(_get_pointer(capsule, _NAME))
    else:
        raise BufferError("its __dlpack__ returned no DLPack capsule, or one that was used already")
    return CapsuleContent(
        address=(tensor.data or 0) + tensor.byte_offset,
        device=(tensor.device_type, tensor.device_id),
        dtype=_KINDS.get(tensor.code, f"type-{tensor.code}-") + f"{tensor.bits}x{tensor.lanes}".removesuffix("x1"),
        shape=tuple(tensor.shape[: tensor.ndim]),
        strides=tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None,
        read_only=read_only,
    )


class _Claim:
    """What numpy takes for an array in its own memory. It never looks at it, and keeps `owner` while it has it."""

    def __init__(self, owner: object, address: int, shape: tuple[int, ...]) -> None:
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": shape, "typestr": "|u1"}


def make_capsule(
    owner: object, address: int, shape: tuple[int, ...], device: tuple[int, int], *, versioned: bool
) -> Any:
    """A capsule for a C-contiguous array of uint8 on any device.

    Numpy makes it, as if the array were in its own memory, and then the device is written into it: so the code that
    releases the array, which may run at any time and in any state of the interpreter, is numpy's and not Python.

    Args:
        owner: Keeps the memory; released together with the array.
        address: Where the array begins.
        shape: Its shape.
        device: Type and index of its device.
        versioned: Whether the capsule may have a version inside (numpy makes those from its own version 2.1 on).
    """
    array = np.asarray(_Claim(owner, address, shape))
    capsule: Any = None
    if versioned:
        try:
            capsule = array.__dlpack__(max_version=(_MAJOR, 0))
        except TypeError:  # before numpy 2.1
            versioned = False
    if not versioned:
        capsule = array.__dlpack__()
    if versioned:
        tensor = _VersionedTensor.from_address(_get_pointer(capsule, _VERSIONED_NAME)).tensor
    else:
        tensor = _Tensor.from_address(_get_pointer(capsule, _NAME))
    tensor.device_type, tensor.device_id = device
    return capsule
