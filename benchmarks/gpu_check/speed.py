"""How fast every way on a GPU is, on the device and from memory to memory, and what share of the device it uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from ...runtime.spec import ImageSize
from ..device_timing import Arithmetic, count_operations, measure_matmul, synchronize, time_on_device, working_memory
from ..ratio import paired_ratio
from ..report import Outcome, Row
from ..timing import WarmUp, measure_alternately
from .models import CheckedNetwork
from .ways import FP32, TF32, Way

_ROUNDS = (5, 30)
_ROW_MS = 4000.0  # what a row may take; it buys as many rounds as fit
_WARM_UP = WarmUp(window=2, max_rounds=4)


def measure_peaks(device: torch.device, *, size: int) -> Row:
    """The most arithmetic the device does, in each kind: products of square matrices of `size` rows."""
    kinds: tuple[Arithmetic, ...] = ("fp32", "tf32", "fp16") if device.type == "cuda" else ("fp32",)
    samples: dict[str, tuple[float, ...]] = {kind: measure_matmul(kind, device, size=size, rounds=10) for kind in kinds}
    return Row(
        name="matmul",
        title=f"product of {size}x{size} matrices",
        scope="torch.matmul of normally distributed values, time between events on the device",
        unit="TFLOP/s",
        samples=samples,
        outcomes=tuple(
            Outcome(value=float(np.median(rates)), meaning=f"TFLOP/s at the median: {kind}")
            for kind, rates in samples.items()
        ),
    )


def measure_speed(
    network: CheckedNetwork,
    ways: Mapping[str, Way],
    device: torch.device,
    size: ImageSize,
    batch: int,
    *,
    peaks: Mapping[str, float],
    note: Callable[[str], None],
) -> list[Row]:
    """Two rows: frames and class maps on the device, and both in the host's memory.

    Args:
        network: What runs.
        ways: How; one that fails is left out.
        device: Where.
        size: Size of the frames.
        batch: Frames in a call.
        peaks: Rate of matrix products in TFLOP/s by kind of arithmetic.
        note: Told what failed, in sentences.
    """
    frames = np.random.default_rng(0).integers(0, 256, (batch, size.height, size.width, 3), np.uint8)
    there = torch.from_numpy(frames).to(device)
    gflop = count_operations(network.weightless, there.shape) / 1e9
    calls: dict[str, Callable[[], object]] = {}
    memory: dict[str, float | bool] = {}
    round_ms = 0.0
    for name, way in ways.items():
        try:
            call = way.on_device(there)
            call()
            way(frames)
            start = time.perf_counter()
            taken = working_memory(call, device)
            synchronize(device)
            round_ms += 1000 * (time.perf_counter() - start)
        except Exception as exc:  # whatever fails in one way must not keep the others from it
            note(f"{name} failed on {network.title} at {size}, batch {batch}: {' '.join(str(exc).split())[:200]}")
            if device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        calls[name] = call
        if taken is not None:
            memory[f"MiB of PyTorch's for a call: {name}"] = round(taken, 1)
    if not calls:
        return []
    rounds = int(np.clip(_ROW_MS / round_ms, *_ROUNDS))
    samples = time_on_device(calls, device, rounds=rounds)
    timing = measure_alternately(
        {name: partial(ways[name], frames) for name in calls}, rounds=max(_ROUNDS[0], rounds // 2), warm_up=_WARM_UP
    )
    what = f"{network.title}, {size}, batch {batch}"
    return [
        Row(
            name=f"{network.name}-{size}-{batch}-device",
            title=f"{what}, on the device",
            scope="uint8 frames on the device to uint8 class maps there, with all that belongs before and behind the "
            "network; one call at a time, time between events on the device around it",
            unit="ms",
            samples=samples,
            outcomes=(*_ratios(samples), *_shares(samples, ways, gflop, peaks)),
            conditions={"GFLOP in a call": round(gflop, 3), **memory},
        ),
        Row(
            name=f"{network.name}-{size}-{batch}-memory",
            title=f"{what}, memory to memory",
            scope="uint8 frames in pageable memory of the host to uint8 class maps there, by the host's clock",
            unit="ms",
            samples=timing.samples_ms,
            outcomes=_ratios(timing.samples_ms),
            conditions={"warm_up_rounds": timing.warm_up_rounds, "warm_up_settled": timing.settled},
        ),
    ]


def _ratios(samples: Mapping[str, tuple[float, ...]]) -> tuple[Outcome, ...]:
    """How much faster each way is than PyTorch by itself, which on the CPU knows no TF32."""
    usual = TF32 if TF32 in samples else FP32
    if usual not in samples:
        return ()
    found = []
    for name in samples:
        if name != usual:
            ratio = paired_ratio(samples[usual], samples[name])
            meaning = f"times as fast as {usual}: {name}"
            found.append(Outcome(value=ratio.value, meaning=meaning, interval=(ratio.low, ratio.high)))
    return tuple(found)


def _shares(
    samples: Mapping[str, tuple[float, ...]], ways: Mapping[str, Way], gflop: float, peaks: Mapping[str, float]
) -> tuple[Outcome, ...]:
    found = []
    for name, times in samples.items():
        kind = ways[name].arithmetic
        if kind in peaks:
            # A GFLOP in a millisecond is a TFLOP in a second.
            share = 100 * gflop / float(np.median(times)) / peaks[kind]
            found.append(Outcome(value=share, meaning=f"% of the {kind} matrix product: {name}"))
    return tuple(found)
