from __future__ import annotations

from typing import Any

import pytest

from fcnrt.runtime.device import Device
from fcnrt.runtime.errors import DeviceError


@pytest.mark.parametrize(
    ("text", "device", "written"),
    [
        ("cpu", Device("cpu"), "cpu"),
        ("cuda", Device("cuda", 0), "cuda:0"),
        ("cuda:0", Device("cuda", 0), "cuda:0"),
        ("cuda:12", Device("cuda", 12), "cuda:12"),
    ],
)
def test_devices(text: str, device: Device, written: str) -> None:
    assert Device.parse(text) == device
    assert str(device) == written


def test_auto_is_no_particular_device() -> None:
    assert Device.parse("auto") is None


@pytest.mark.parametrize("text", [None, 0, "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0", ""])
def test_other_text_is_refused(text: Any) -> None:
    with pytest.raises(DeviceError, match="is not a device; write auto, cpu, cuda or cuda:N"):
        Device.parse(text)
