from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from fcnrt.benchmarks.environment import Environment, _clocks, _commit, _cpu, _instruction_sets


def test_this_machine_is_described() -> None:
    here = Environment.here()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", here.date)
    assert here.cpu
    assert 1 <= here.cores <= here.processors
    assert here.memory_gib > 0
    assert {"fcnrt", "torch", "numpy"} <= here.packages.keys()


def test_thread_settings_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert Environment.here().thread_settings["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(("load", "busy"), [(0.1, False), (0.9, False), (1.1, True)])
def test_a_quarter_of_the_machine_is_busy(load: float, busy: bool) -> None:
    assert dataclasses.replace(Environment.here(), processors=4, load_average=load).busy is busy


def test_cpu_model_is_read_where_linux_has_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz\n")
    assert _cpu(tmp_path / "cpuinfo") == "Some CPU @ 2.50GHz"
    assert _cpu(tmp_path / "missing")


@pytest.mark.parametrize(
    ("line", "names", "int8"),
    [
        ("flags\t\t: fpu avx avx2", ("AVX2",), False),
        ("flags\t\t: avx512f avx2 avx512_vnni", ("AVX2", "AVX-512", "AVX-512 VNNI"), True),
        ("Features\t: fp asimd asimddp", ("Arm dot product",), True),
        ("processor\t: 0", (), False),
    ],
)
def test_instruction_sets_that_matter_are_noted(tmp_path: Path, line: str, names: tuple[str, ...], int8: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"{line}\n")
    found = _instruction_sets(tmp_path / "cpuinfo")
    assert found == names
    assert dataclasses.replace(Environment.here(), instruction_sets=found).multiplies_int8 is int8
    assert _instruction_sets(tmp_path / "missing") == ()


def test_clocks_are_noted_where_they_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("cpu MHz\t\t: 2449.998\ncpu MHz\t\t: 3100.5\n")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, 345 MHz, 1980 MHz'\n")
    smi.chmod(0o755)
    assert _clocks(tmp_path / "cpuinfo", str(smi)) == {"CPU": "3100 MHz", "GPU 0": "345 MHz of 1980 MHz"}
    smi.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert _clocks(tmp_path / "missing", str(smi)) == {}
    assert _clocks(tmp_path / "missing", str(tmp_path / "missing")) == {}


def test_commit_is_that_of_this_checkout_only(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@x")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert _commit(tmp_path) is None
    git("init")
    (tmp_path / "module.py").touch()
    git("add", ".")
    git("commit", "-m", "first")
    commit = _commit(tmp_path)
    assert commit is not None
    assert re.fullmatch("[0-9a-f]{12}", commit)
    (tmp_path / "module.py").write_text("changed = True\n")
    assert _commit(tmp_path) == commit + "+"
    (tmp_path / "site-packages").mkdir()
    assert _commit(tmp_path / "site-packages") is None
