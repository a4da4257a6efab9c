"""Running a program as users do, in a process of its own, and measuring its time and memory.

Run as a program, this module is the launcher that does the measuring.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..runtime.errors import InferenceError

FCNRT_PROGRAM = (str(Path(sys.executable).with_name("fcnrt")),)
"""The command that users type, of the environment that runs this."""

_WATCH = "--watch-memory"
_WATCH_EVERY_S = 0.005

_RSS_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """One run of a program.

    Attributes:
        exit_code: What it ended with.
        wall_s: From its start to its end, in seconds.
        first_output_s: From its start to the first byte on its stdout, in seconds; None if it wrote nothing.
        peak_rss_mib: The most physical memory it held, in MiB; of programs it started, the largest counts.
        peak_anonymous_mib: The most of it that is no file's content, in MiB: what the system cannot drop and read again
            when memory is short, which it can with libraries and mapped weights. Looked at every 5 ms, without programs
            that it started; None if nobody asked, and where the system does not tell (all but Linux).
    """

    exit_code: int
    wall_s: float
    first_output_s: float | None
    peak_rss_mib: float
    peak_anonymous_mib: float | None


def run_child(command: Sequence[str], *, folder: Path, watch_memory: bool = False) -> ChildRun:
    """Run a program in `folder` and wait for it.

    A small process starts it, not this one: on Linux a program's peak memory begins with that of the process that
    started it, and this one may have networks loaded.

    Args:
        command: The program and its arguments.
        folder: Where to run it.
        watch_memory: Whether to look at its anonymous memory all the time, which slows it down a little.

    Raises:
        InferenceError: If the program fails.
    """
    launcher = [sys.executable, "-m", __name__, *([_WATCH] if watch_memory else []), *command]
    done = subprocess.run(launcher, cwd=folder, capture_output=True, text=True, check=False)
    complaint = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode:
        raise InferenceError(f"{command[0]} could not be started: {complaint}")
    run = ChildRun(**json.loads(done.stdout))
    if run.exit_code:
        raise InferenceError(f"{' '.join(command)} ended with exit code {run.exit_code}: {complaint}")
    return run


def _launch(command: Sequence[str], *, watch_memory: bool) -> ChildRun:
    start = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout is not None
    memory = _AnonymousMemory(child.pid)
    if watch_memory:
        memory.start()
    first = child.stdout.read(1)
    first_output_s = time.perf_counter() - start if first else None
    child.stdout.read()
    if watch_memory:
        memory.ended.set()
        memory.join()
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    return ChildRun(
        exit_code=child.returncode,
        wall_s=wall_s,
        first_output_s=first_output_s,
        peak_rss_mib=usage.ru_maxrss / _RSS_UNITS_PER_MIB,
        peak_anonymous_mib=memory.peak_mib,
    )


class _AnonymousMemory(threading.Thread):
    """Watches a process until it closes its output."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peak_mib: float | None = None
        self._status = Path(f"/proc/{pid}/status")

    def run(self) -> None:
        while not self.ended.wait(_WATCH_EVERY_S):
            try:
                found = re.search(r"^RssAnon:\s+(\d+) kB$", self._status.read_text(), re.MULTILINE)
            except OSError:  # not Linux
                return
            if found is not None:  # else it has ended
                self.peak_mib = max(self.peak_mib or 0.0, int(found[1]) / 2**10)


if __name__ == "__main__":
    watched = sys.argv[1] == _WATCH
    print(json.dumps(asdict(_launch(sys.argv[2 if watched else 1 :], watch_memory=watched))))
