"""`fcnrt bench`: speed and accuracy of exported models, against PyTorch and each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .bench_compare import compare
from .loading import demo_model_file
from .parsing import parsed
from .trust import TrustOption, trust_engines

if TYPE_CHECKING:
    from rich.console import Console

    from ..benchmarks.bench.report import BenchReport
    from ..benchmarks.bench.tables import Table
    from ..runtime.runners import Backend

_MEASURE, _COMPARE = "measure", "compare"
_DEFAULT_SIZE, _DEFAULT_SCENES = "512x512", 200  # a test holds them against the originals


class _MeasureUnlessNamed(TyperGroup):
    """A group whose first command needs no name: what follows may be models."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] == [_COMPARE] else [_MEASURE, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == _MEASURE else name, command, rest  # its name is nothing to type, so not in the help


bench = typer.Typer(
    help="Measure speed and accuracy of exported models.",
    cls=_MeasureUnlessNamed,
    invoke_without_command=False,
    rich_markup_mode=None,
)
bench.command(_COMPARE)(compare)


@bench.command(_MEASURE, hidden=True, epilog="To compare two results: fcnrt bench compare A.json B.json")
def measure(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL", help="Exported models; the demo model if none is given."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="HxW", help=f"Size of the timed frames ({_DEFAULT_SIZE}); may be repeated."),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Frames in a call (1); may be repeated.", show_default=False)
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="Library that computes; all that work here if not given. May be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: every kind that works here.")] = "auto",
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Weights the models were exported from, for the PyTorch reference; demo models have theirs.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of labelled pictures, as for fcnrt evaluate, to measure accuracy on; drawn scenes if not "
            "given.",
            show_default=False,
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Pictures to measure accuracy on.")] = _DEFAULT_SCENES,
    rounds: Annotated[
        int | None,
        typer.Option(min=2, help="Timed calls; what half a minute allows (10 to 60) if not given.", show_default=False),
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Also measure other ways to run the reference.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write everything, with raw samples.", show_default=False),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots.", show_default=False)
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Measure speed and accuracy of exported models on this machine, with PyTorch as the reference.

    All are called alternately in one run: the network alone, from memory to memory, from files to files.

    Exit code 1 if a backend does not match PyTorch.
    """
    from ..benchmarks.bench.agreement import verdict
    from ..benchmarks.bench.page import write_html
    from ..benchmarks.bench.run_bench import BenchSettings, run_bench
    from ..runtime.atomic import check_outputs
    from ..runtime.device import Device
    from ..runtime.spec import ImageSize
    from .console import fraction_bar

    parsed("--device", device, Device.parse)  # what is no device is refused before anything is loaded
    check_outputs([json_file, html_file], inputs=[*(models or []), reference])
    models = models or [demo_model_file()]
    if trust:
        trust_engines(models, device)
    settings = BenchSettings(
        models=models,
        sizes=[parsed("--size", text, ImageSize.parse) for text in dict.fromkeys(size or [_DEFAULT_SIZE])],
        batches=batch or [1],
        backends=[parsed("--backend", text, _backend) for text in dict.fromkeys(backend or [])],
        device=device,
        data=data,
        scenes=scenes,
        rounds=rounds,
        reference=reference,
        peers=peers,
    )
    with fraction_bar("measuring") as progress:
        report = run_bench(settings, progress=progress)
    if json_file is not None:
        report.write(json_file)
    if html_file is not None:
        write_html(report, html_file)
    _print(report)
    matches, sentence = verdict(report)
    outputs = [str(path) for path in (json_file, html_file) if path is not None]
    written = f"     report: {' · '.join(outputs)}" if outputs else ""
    typer.echo(f"{'✔' if matches else '✘'} {sentence}{written}")
    if not matches:
        raise typer.Exit(1)


def _backend(text: str) -> Backend:
    from typing import get_args

    from ..runtime.runners import Backend

    if text not in get_args(Backend):
        raise ValueError(f"{text!r} is not a backend; there are {', '.join(get_args(Backend))}")
    return text  # type: ignore[return-value]


def _print(report: BenchReport) -> None:
    from rich.console import Console

    from ..benchmarks.bench.tables import heading, tables
    from .console import say

    console = Console(highlight=False, markup=False)
    for note in report.notes:
        say(f"note: {note}")
    typer.echo(heading(report))
    for table in tables(report):
        typer.echo()
        if console.is_terminal:
            _print_rich(console, table)
        else:
            typer.echo(table.plain())
    typer.echo()


def _print_rich(console: Console, table: Table) -> None:
    from rich import box
    from rich.table import Table as RichTable

    table = table.fitting(console.width, gap=3)
    shown = RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.header):
        shown.add_column(column, justify="left" if index == 0 else "right", no_wrap=index > 0)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
