"""Watching a TensorRT build and stopping it: the build runs in a thread, so that Ctrl-C is heard."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class BuildProgress:
    """How far a build is: TensorRT tells of nested phases, this makes one rising number of them.

    Args:
        report: Called with the fraction done (0 to 1) and the phase's name.
    """

    def __init__(self, report: Callable[[float, str], None]) -> None:
        self._report = report
        self._phases: dict[str, _Phase] = {}
        self._highest = 0.0
        self._lock = threading.Lock()
        self.cancelled = threading.Event()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(steps, 1))
        self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """A step of a phase is complete; whether the build should go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        self._tell(name)
        return not self.cancelled.is_set()

    def finish(self, name: str) -> None:
        """A phase ends."""
        with self._lock:
            self._phases.pop(name, None)

    def _tell(self, name: str) -> None:
        with self._lock:
            roots = [phase for phase in self._phases if self._phases[phase].parent not in self._phases]
            fraction = max((self._fraction(root) for root in roots), default=0.0)
            self._highest = fraction = max(self._highest, fraction)
        self._report(fraction, name)

    def _fraction(self, name: str) -> float:
        phase = self._phases[name]
        inside = max((self._fraction(n) for n, child in self._phases.items() if child.parent == name), default=0.0)
        return min(1.0, (phase.done + inside) / phase.steps)


class _Phase:
    def __init__(self, parent: str | None, steps: int) -> None:
        self.parent, self.steps, self.done = parent, steps, 0


def make_monitor(trt: Any, progress: BuildProgress) -> Any:
    """TensorRT's progress monitor that feeds `progress`; the config holds no reference to it, so the caller must."""

    class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return _Monitor()


def run_interruptibly(work: Callable[[], T], cancelled: threading.Event) -> T:
    """What `work` returns; on Ctrl-C, `cancelled` is set, the work is left to end, and the interrupt goes on.

    Everything that makes TensorRT call back into Python belongs inside: an interrupt is raised in the main thread, and
    one raised in a callback is lost in TensorRT or crashes it. TensorRT's calls are long, but it gives other threads
    their turn.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    ended = threading.Event()  # an interrupted Thread.join takes the thread for ended (Python 3.10 to 3.12)

    def run() -> None:
        try:
            results.append(work())
        except BaseException as exc:
            failures.append(exc)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="engine-build", daemon=True)
    try:
        thread.start()
        while not ended.wait(_POLL_S):
            pass
    except KeyboardInterrupt:
        cancelled.set()
        # Not to be interrupted again: a process that ends while TensorRT works in it crashes.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if thread.ident is not None:  # it was started
                ended.wait()
                thread.join()
        finally:
            signal.signal(signal.SIGINT, handler)
        raise
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
