from __future__ import annotations

from typing import Any

import pytest

from fcnrt.runtime.gpu.gpu import Gpu, find_gpu, list_gpus


class FakeDriver:
    """Answers as libcuda does: into memory of the caller, with 0 for success."""

    def __init__(self, names: list[str], *, failing: str = "") -> None:
        self.names, self.failing = names, failing

    def _answer(self, function: str, target: Any, value: Any) -> int:
        if function == self.failing:
            return 999
        target.value = value
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        return self._answer("count", count._obj, len(self.names))

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        return self._answer("get", device._obj, index)

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        return self._answer("name", name, self.names[device.value].encode())

    def cuDeviceGetAttribute(self, number: Any, attribute: int, device: Any) -> int:  # noqa: N802
        return self._answer("attribute", number._obj, {75: 8, 76: 6 + 3 * device.value}[attribute])

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:  # noqa: N802
        return self._answer("memory", size._obj, 24 << 30)


def test_describes_every_gpu() -> None:
    assert list_gpus(FakeDriver(["NVIDIA A10", "NVIDIA L4"])) == [
        Gpu("NVIDIA A10", "8.6", 24 << 30),
        Gpu("NVIDIA L4", "8.9", 24 << 30),
    ]
    assert str(Gpu("NVIDIA L4", "8.9", 24 << 30)) == "NVIDIA L4 (8.9)"


def test_no_driver_no_gpus() -> None:
    assert list_gpus(None) == []


@pytest.mark.parametrize("failing", ["count", "get", "name", "attribute", "memory"])
def test_a_gpu_that_does_not_answer_is_left_out(failing: str) -> None:
    assert list_gpus(FakeDriver(["NVIDIA L4"], failing=failing)) == []


def test_the_others_keep_their_index(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(["broken", "NVIDIA L4"])
    describe = driver.cuDeviceGetName
    monkeypatch.setattr(driver, "cuDeviceGetName", lambda *asked: 999 if asked[-1].value == 0 else describe(*asked))
    monkeypatch.setattr("fcnrt.runtime.gpu.gpu.load_driver", lambda: driver)
    assert (find_gpu(0), find_gpu(1), find_gpu(2)) == (None, Gpu("NVIDIA L4", "8.9", 24 << 30), None)


def test_an_index_beyond_the_last() -> None:
    assert find_gpu(1 << 10) is None
