"""The whole way: the program in a process of its own, with a Ray of its own and two workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.images.files import write_image

_WORKER = b"ray::MapWorker"


def _program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "fcnrt", "run", *map(str, arguments)]


def _files(folder: Path) -> dict[str, bytes]:
    """Content of the results, without records."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json"
    }


def _workers(program: int) -> list[int]:
    """Ray's workers of this program; others may use Ray too."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if (process / "cmdline").read_bytes().startswith(_WORKER) and program in _ancestors(int(process.name)):
                found.append(int(process.name))
    return found


def _ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        # The fields behind the name in parentheses, which may hold anything: state, parent.
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(process)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds Ray's workers in /proc")
def test_a_killed_worker_loses_nothing(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray: make install")
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(40):
        write_image(tmp_path / "in" / f"{number:02d}.png", rng.integers(0, 256, (600, 900, 3), np.uint8))
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    subprocess.run(_program("in", "--model", tiny_model, "-o", "alone"), cwd=tmp_path, capture_output=True, check=False)
    arguments = ("in", "--model", tiny_model, "-o", "shared", "--ray", "local", "--workers", 2)

    with subprocess.Popen(_program(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "shared").glob("*.json"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        victims = _workers(running.pid)
        os.kill(victims[0], signal.SIGKILL)
        finished_then = len(list((tmp_path / "shared").glob("*.json")))
        _, messages = running.communicate(timeout=240)

    assert finished_then < 40  # it was killed in the middle
    assert running.returncode == 1
    assert "40 segmented, 1 broken" in messages
    assert "broken.png" in messages
    assert _files(tmp_path / "shared") == _files(tmp_path / "alone")
    assert len(_files(tmp_path / "shared")) == 40

    elsewhere = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}  # "local" is this machine, whatever Ray is told otherwise
    again = subprocess.run(
        _program(*arguments), cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=False
    )
    assert "41 items, 40 finished before" in again.stderr
    assert "0 segmented, 1 broken" in again.stderr


def test_wrong_usage(fcnrt, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    for arguments, message in (
        (["a", "b"], "several sources are for --ray"),
        (["a", "--workers", "2"], "--workers goes with --ray"),
        (["a", "--ray", "local", "--batch", "2", "-o", "x"], "--ray goes with --model"),
        (["a", "--ray", "local"], "--ray needs --output DIR"),
        (["a", "--ray", "local", "-o", "x", "--device", "cuda:1"], "--device cuda, auto or cpu, not cuda:1"),
    ):
        code, _, err = fcnrt("run", *arguments)
        assert code == 2
        assert message in " ".join(err.split())


def test_what_a_worker_cannot_write_is_one_line(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray: make install")
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    command = _program(tmp_path / "a.png", "--model", tiny_model, "-o", tmp_path / "out", "--ray", "local")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: cannot write {tmp_path / 'out' / 'a.png'}: it is a folder"


def test_a_cluster_that_is_not_there(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray: make install")
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    code, _, err = fcnrt(
        "run", tmp_path / "a.png", "--model", tiny_model, "-o", tmp_path / "out", "--ray", "127.0.0.1:1"
    )
    assert code == 1
    assert err.splitlines()[-1].startswith("error: no Ray cluster at 127.0.0.1:1")
