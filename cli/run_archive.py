"""`fcnrt run --ray`: an archive of images and videos on the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .loading import demo_model_file

if TYPE_CHECKING:
    from ..runtime.run.outputs import Save


def run_archive(
    sources: Sequence[str],
    *,
    model: Path | None,
    output: Path | None,
    save: Save,
    opacity: float,
    device: str,
    address: str,
    workers: int | None,
) -> None:
    """Segment what is not finished yet, and list what is broken; exit code 1 if something is."""
    from ..runtime.run.archive import ArchiveSettings, plan_archive, unfinished
    from ..runtime.run.ray_archive import segment_archive
    from .console import counted, say
    from .progress import progress_bar

    if output is None:
        raise typer.BadParameter("--ray needs --output DIR, a folder that every machine sees")
    if device not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"--ray gives every worker a GPU of its own: --device cuda, auto or cpu, not {device}")
    items = plan_archive(sources, output, save)
    settings = ArchiveSettings.of(model or demo_model_file(), save, opacity)
    waiting = unfinished(items, settings)
    finished = len(items) - len(waiting)
    say(f"{counted(len(items), 'item')}, {finished:,} finished before")
    broken: list[str] = []
    if waiting:
        with progress_bar(len(waiting), "items/s") as advance:
            broken = segment_archive(
                waiting, settings, address=address, workers=workers, device=device, on_item=advance
            )
    typer.echo(output)
    say(f"  {len(waiting) - len(broken):,} segmented, {len(broken):,} broken")
    for reason in broken:
        say(f"  {reason}")
    if broken:
        raise typer.Exit(1)
