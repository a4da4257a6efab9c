from __future__ import annotations

import os
from pathlib import Path

import pytest

from fcnrt.runtime.runners.cores import usable_cores

NO_LIMIT = Path("no such file")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")


def _topology(folder: Path, siblings: str | None) -> Path:
    """A description of this machine's processors in which each has these siblings, or only itself."""
    for processor in os.sched_getaffinity(0):
        cpu = folder / f"cpu{processor}" / "topology"
        cpu.mkdir(parents=True)
        (cpu / "thread_siblings_list").write_text(siblings or f"{processor}\n")
    return folder


@needs_affinity
def test_every_processor_with_a_core_of_its_own_counts(tmp_path: Path) -> None:
    cores = usable_cores(topology=_topology(tmp_path, None), cgroup_limit=NO_LIMIT)
    assert cores == len(os.sched_getaffinity(0))


@needs_affinity
def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    assert usable_cores(topology=_topology(tmp_path, "0-255\n"), cgroup_limit=NO_LIMIT) == 1


@needs_affinity
def test_unknown_topology_counts_processors(tmp_path: Path) -> None:
    assert usable_cores(topology=tmp_path, cgroup_limit=NO_LIMIT) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("limit", "most"), [("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 2)])
def test_containers_limit_is_rounded_up(tmp_path: Path, limit: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    cores = usable_cores(topology=tmp_path, cgroup_limit=tmp_path / "cpu.max")
    assert cores == min(most, usable_cores(topology=tmp_path, cgroup_limit=NO_LIMIT))


def test_unlimited_container(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    cores = usable_cores(topology=tmp_path, cgroup_limit=tmp_path / "cpu.max")
    assert cores == usable_cores(topology=tmp_path, cgroup_limit=NO_LIMIT)
