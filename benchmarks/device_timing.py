"""Measuring on a GPU: times by its own clock, the most arithmetic it does, the memory a call takes.

Everything runs on the CPU as well, by the CPU's clock, so that it can be tried where there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from .timing import order_of_round

Arithmetic = Literal["fp32", "tf32", "fp16"]
"""How products are computed; tf32 is what PyTorch makes of float32 in convolutions on GPUs unless told not to."""


def time_on_device(
    calls: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int
) -> dict[str, tuple[float, ...]]:
    """Times of several calls in milliseconds, measured one at a time in an order that changes from round to round.

    On a GPU the time is that between two events around the call on the current stream.

    Args:
        calls: What to measure, warmed up before.
        device: Where they work.
        rounds: Number of calls of each.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(rounds):
        for name in order_of_round(tuple(calls), index):
            samples[name].append(_time_once(calls[name], device))
    return {name: tuple(times) for name, times in samples.items()}


def _time_once(call: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        start = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - start) / 1e6
    # Events are recorded on the current device, which need not be the one that works.
    with torch.cuda.device(device):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(device)
        first.record()
        call()
        last.record()
        torch.cuda.synchronize(device)
    return float(first.elapsed_time(last))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_matmul(arithmetic: Arithmetic, device: torch.device, *, size: int, rounds: int) -> tuple[float, ...]:
    """Rates of products of square matrices in TFLOP/s: what the device reaches where nothing stands in its way.

    Args:
        arithmetic: How to compute.
        device: Where.
        size: Rows and columns.
        rounds: Number of products.
    """
    dtype = torch.float16 if arithmetic == "fp16" else torch.float32
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2))
    with allow_tf32(arithmetic == "tf32"):
        for _ in range(3):
            left @ right
        times = time_on_device({"": lambda: left @ right}, device, rounds=rounds)[""]
    return tuple(2 * size**3 / (milliseconds * 1e9) for milliseconds in times)


def working_memory(call: Callable[[], object], device: torch.device) -> float | None:
    """The most memory that a call takes from PyTorch besides what is held already, in MiB; None on the CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


@contextmanager
def allow_tf32(allowed: bool) -> Iterator[None]:
    """Let float32 be computed with TF32's 10 bits of mantissa, or not, while the block runs."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def count_operations(network: nn.Module, frames: torch.Size) -> int:
    """Multiplications and additions in a network on frames of a shape, by PyTorch's own count.

    Args:
        network: Without weights, on PyTorch's device ``meta``, so that nothing is computed.
        frames: Shape of the frames, uint8.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(frames, dtype=torch.uint8, device="meta"))
    return int(counter.get_total_flops())
