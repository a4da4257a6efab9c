from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from fcnrt.benchmarks.device_timing import (
    allow_tf32,
    count_operations,
    measure_matmul,
    synchronize,
    time_on_device,
    working_memory,
)

CPU = torch.device("cpu")


def test_calls_are_timed_alternately() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        time.sleep(seconds)

    calls = {"slow": lambda: call("slow", 0.02), "quick": lambda: call("quick", 0)}
    samples = time_on_device(calls, CPU, rounds=4)
    assert order == ["slow", "quick", "quick", "slow", "quick", "slow", "slow", "quick"]
    assert {name: len(times) for name, times in samples.items()} == {"slow": 4, "quick": 4}
    assert min(samples["slow"]) >= 20  # milliseconds


def test_events_are_recorded_on_the_device_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]  # as CUDA does: one device at a time is the current one
    recorded: list[int] = []

    class Device:
        def __init__(self, device: torch.device) -> None:
            self.index = device.index

        def __enter__(self) -> None:
            current.append(self.index)

        def __exit__(self, *exc: object) -> None:
            current.pop()

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            recorded.append(current[-1])

        def elapsed_time(self, end: Event) -> float:
            return 2.5

    monkeypatch.setattr(torch.cuda, "device", Device)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert time_on_device({"": lambda: None}, torch.device("cuda:1"), rounds=2) == {"": (2.5, 2.5)}
    assert recorded == [1] * 4
    assert current == [0]


def test_rates_of_products() -> None:
    rates = measure_matmul("fp32", CPU, size=64, rounds=3)
    assert len(rates) == 3
    assert all(0 < rate < 100 for rate in rates)


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3, padding=1, bias=False)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.layer(frames.float().permute(0, 3, 1, 2))


def test_operations_are_counted_without_computing() -> None:
    # Each of 2x8x10 pixels and 5 channels: 27 products and as many sums.
    assert count_operations(Convolution().to("meta"), torch.Size((2, 8, 10, 3))) == 2 * 8 * 10 * 5 * 27 * 2


def test_the_cpu_has_no_memory_of_its_own_to_watch() -> None:
    assert working_memory(lambda: None, CPU) is None
    synchronize(CPU)


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_allowed_for_a_while(allowed: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = flags()
    with allow_tf32(allowed):
        assert flags() == (allowed, allowed)
    assert flags() == before
