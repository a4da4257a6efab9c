"""How many CPU cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(*, topology: Path = _TOPOLOGY, cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Number of physical cores that this process is allowed to use, at least 1.

    Convolutions keep a core's arithmetic units busy, so a second hyper-thread on it adds nothing; and a container
    that may use 2 cores of a 64-core host must not start 64 threads, which is what backends do by themselves.

    Args:
        topology: Linux's description of the processors, one folder ``cpuN`` each.
        cgroup_limit: The container's limit on CPU time, ``quota period`` in microseconds or ``max period``.
    """
    # Only Linux knows which processors a process may use.
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = {_siblings(topology, processor) for processor in processors}
    return max(1, min(len(cores), _limit(cgroup_limit)))


def _siblings(topology: Path, processor: int) -> str:
    """The processors that share a core with this one, itself included, as Linux writes them (``0,64``)."""
    try:
        return (topology / f"cpu{processor}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return str(processor)


def _limit(cgroup_limit: Path) -> int:
    """Number of cores whose time the container may use, rounded up; a large number if there is no limit."""
    try:
        quota, period = map(int, cgroup_limit.read_text().split())
    except (OSError, ValueError):  # no such file (not a container, or not Linux), or "max"
        return 1 << 30
    return -(-quota // period)
