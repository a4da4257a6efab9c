from __future__ import annotations

import gc
from enum import IntEnum
from typing import Any

import pytest

from fcnrt.runtime.gpu.array import GpuArray, empty_on_gpu
from fcnrt.runtime.gpu.dlpack import read_capsule


class DeviceType(IntEnum):
    """As the array API standard writes device types."""

    CPU = 1
    CUDA = 2


def test_new_memory_lives_as_long_as_somebody_has_it(on_gpu: Any) -> None:
    array = empty_on_gpu(on_gpu.driver, (4, 6))
    assert (array.shape, array.nbytes, array.device) == ((4, 6), 24, "cuda:0")
    capsule = array.__dlpack__()
    del array
    gc.collect()
    assert len(on_gpu.library.live) == 1
    del capsule
    gc.collect()
    assert on_gpu.library.live == {}


def test_says_where_it_is_in_both_protocols(on_gpu: Any) -> None:
    array = empty_on_gpu(on_gpu.driver, (4, 6))
    assert array.__cuda_array_interface__ == {
        "version": 3,
        "data": (array.address, False),
        "shape": (4, 6),
        "typestr": "|u1",
        "strides": None,
        "stream": None,
    }
    assert array.__dlpack_device__() == (2, 0)
    for options in ({}, {"max_version": (1, 1)}, {"dl_device": (DeviceType.CUDA, 0)}, {"copy": False, "stream": 1}):
        content = read_capsule(array.__dlpack__(**options))
        assert (content.address, content.device, content.shape) == (array.address, (2, 0), (4, 6))


def test_what_cannot_be_had_is_refused(on_gpu: Any) -> None:
    array = empty_on_gpu(on_gpu.driver, (4, 6))
    with pytest.raises(BufferError, match="handed over as it is; copy it with the library that takes it"):
        array.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="on cuda:0 and is not copied to another device"):
        array.__dlpack__(dl_device=(DeviceType.CPU, 0))


@pytest.mark.parametrize(
    ("asked", "waits"), [(None, [("wait", 1)]), (1, [("wait", 1)]), (2, [("wait", 2)]), (88, []), (-1, [])]
)
def test_values_that_are_still_to_come_are_waited_for(on_gpu: Any, asked: int | None, waits: list[Any]) -> None:
    array = GpuArray(4096, (4, 6), on_gpu.driver, owner=None, stream=88)
    assert array.__cuda_array_interface__["stream"] == 88
    array.__dlpack__(stream=asked)
    calls = [(name, stream) for name, _, stream in on_gpu.library.calls]
    assert calls == ([("record", 88), *waits] if waits else [])


def test_parts_share_the_memory(on_gpu: Any) -> None:
    array = GpuArray(4096, (5, 2, 3), on_gpu.driver, owner=None)
    assert [(part.address, part.shape) for part in (array.part(0, 2), array.part(2, 4), array.part(4, 6))] == [
        (4096, (2, 2, 3)),
        (4096 + 12, (2, 2, 3)),
        (4096 + 24, (1, 2, 3)),
    ]
