"""The bar of work that is counted: how many are done, how fast, how long it will take. Shows on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _RateColumn(ProgressColumn):
    """Steps per second over the last moments."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"· {rate:.1f} {self._unit} ·")


@contextmanager
def progress_bar(total: int | None, unit: str) -> Iterator[Callable[[], None]]:
    """A bar on stderr while the block runs; yields a function to call after each step, from any thread.

    Args:
        total: Number of steps, if it is known; an estimate may be wrong.
        unit: What the rate is given in, for example ``fps``.
    """
    console = Console(stderr=True)
    count = "{task.completed:,}" if total is None else "{task.completed:,}/{task.total:,}"
    columns = (TextColumn(" "), BarColumn(), TextColumn(count), _RateColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("run", total=total)
        yield lambda: bars.advance(task)
