"""Talk on stderr: lines, a spinner, bars. Results go to stdout, so that pipes get nothing else.

Spinners and bars show on a terminal only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(text + "\n")


def counted(number: int, thing: str) -> str:
    """A number of things: ``1 engine``, ``1,200 engines``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner with a text while the block runs; yields a function that changes the text."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: None
        return
    with console.status(text) as spinner:
        yield spinner.update


@contextmanager
def download_bar() -> Iterator[Callable[[int, int | None], None]]:
    """A bar of bytes received; yields a function of (bytes so far, bytes in all or None if unknown)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("download", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def fraction_bar(label: str, *, shown: bool = True) -> Iterator[Callable[[float, str], None]]:
    """A bar of work whose steps cannot be counted; yields a function of (fraction done, what is being done).

    Not `shown`: for all but the first of several processes.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("  {task.fields[label]:<10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        task = bars.add_task("", total=1.0, label=label)
        yield lambda fraction, text: bars.update(task, completed=fraction, description=text)
