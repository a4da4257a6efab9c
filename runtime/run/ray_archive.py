"""An archive shared out over a Ray cluster: one loaded model for each worker, one item after the other."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ..errors import DeviceError, FcnrtError, InferenceError, MissingDependencyError
from .archive import ArchiveItem, ArchiveSettings, ArchiveWorker, clear_leftovers

_CONNECT_S = 10
LOCAL = "local"
"""Address that stands for this machine alone, to Ray as well."""


class _RowWorker:
    """An `ArchiveWorker` as Ray Data calls it. Errors are results: raised ones come back wrapped in advice on Ray."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments
        self._worker: ArchiveWorker | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        broken, error = None, ""
        try:
            if self._worker is None:
                self._worker = ArchiveWorker(*self._arguments)
            broken = self._worker(ArchiveItem(**row))
        except FcnrtError as exc:
            error = str(exc)
        return {"broken": broken or "", "error": error}


def segment_archive(
    items: Sequence[ArchiveItem],
    settings: ArchiveSettings,
    *,
    address: str,
    workers: int | None,
    device: str,
    on_item: Callable[[], None] = lambda: None,
) -> list[str]:
    """Segment all items on a Ray cluster; every machine of it must see the files under the same paths.

    A worker that dies is replaced and its item done again. In a cluster with GPUs each worker gets one of its own.

    Args:
        items: What to do, in any order.
        settings: How.
        address: ``local`` for this machine alone, ``auto`` for the cluster that it belongs to, or ``HOST:PORT``.
        workers: Number of workers; None: one for each GPU, or else for each machine.
        device: ``cpu``, ``cuda`` or ``auto``: GPUs if the cluster has some.
        on_item: Called after each item.

    Returns:
        What is wrong with those inputs that are broken.

    Raises:
        MissingDependencyError: If Ray is not installed.
        DeviceError: If there is no such cluster, or it has fewer GPUs than workers.
        FcnrtError: If a worker cannot load the model, fails on a frame or cannot write.
    """
    try:
        import ray.data
        import ray.exceptions
    except ImportError as exc:
        raise MissingDependencyError('--ray needs Ray, which is not installed. Run: pip install "fcnrt[ray]"') from exc
    with _connected(ray, address):
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = int(resources.get("GPU", 0))
        on_gpu = device != "cpu" and gpus > 0
        if (on_gpu or device == "cuda") and (workers or 1) > gpus:
            raise DeviceError(
                f"every worker needs a GPU of its own, and the cluster has {gpus} for {workers or 1}; give fewer "
                "--workers, or --device cpu"
            )
        machines = _processors(ray.nodes())  # type: ignore[no-untyped-call]
        count = workers or (gpus if on_gpu else max(1, len(machines)))
        threads = threads_per_worker(machines, count)
        clear_leftovers(items)
        # One item to a block: blocks are what Ray hands out, and does again when a worker dies.
        results = ray.data.from_items([asdict(item) for item in items], override_num_blocks=len(items)).map(
            _RowWorker,  # type: ignore[arg-type]  # a class: Ray makes the objects
            fn_constructor_args=(settings, "cuda" if on_gpu else "cpu", threads),
            compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
            num_cpus=1 if on_gpu else threads,
            num_gpus=1 if on_gpu else 0,
        )
        broken = []
        try:
            for row in results.iter_rows():
                if row["error"]:
                    raise FcnrtError(row["error"])
                if row["broken"]:
                    broken.append(row["broken"])
                on_item()
        except ray.exceptions.RayError as exc:
            raise InferenceError(f"a Ray worker failed: {str(exc).strip().splitlines()[0]}") from exc
        clear_leftovers(items)
        return broken


def threads_per_worker(machines: Sequence[int], workers: int) -> int:
    """The most threads that every worker can have, so that all of them find room at the same time; at least 1.

    Args:
        machines: Number of processors of each machine.
        workers: Number of workers.
    """
    most = max(machines, default=1)
    return next((n for n in range(most, 1, -1) if sum(count // n for count in machines) >= workers), 1)


def _processors(nodes: Sequence[dict[str, Any]]) -> list[int]:
    """Number of processors of each machine that is there and offers any; Ray lists those that are gone as well."""
    offered = (int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])
    return [count for count in offered if count > 0]


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    # Nothing is reported to anybody unless the user says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What goes wrong is raised, not printed.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        _require_listener(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=False if address == LOCAL else None,
        )
    except (OSError, RuntimeError, ValueError) as exc:
        raise DeviceError(f"no Ray cluster at {address}: {str(exc).splitlines()[0]}") from exc
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raises OSError if nobody listens at HOST:PORT, where Ray would try again for minutes."""
    host, separator, port = address.rpartition(":")
    if separator:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S):
            pass
