"""What a file says about itself, printed: a title, labelled rows, and its classes with their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

_LABEL_WIDTH = 12  # the same for all cards whose labels it is enough for


@dataclass(frozen=True)
class Card:
    """What to print.

    Attributes:
        name: Name of the file.
        title: What it is, in a few words.
        rows: Labels and values.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
    """

    name: str
    title: str
    rows: list[tuple[str, str]]
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


def print_card(card: Card) -> None:
    """Print on stdout: with colours on a terminal, as plain lines in a pipe."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal:
        _print_rich(console, card)
    else:
        _print_plain(card)


def size_text(file_bytes: int) -> str:
    """The size of a file in kB or MB."""
    if file_bytes < 1_000_000:
        return f"{file_bytes / 1e3:.1f} kB"
    return f"{file_bytes / 1e6:.1f} MB"


def class_count(count: int, *, sigmoid: bool) -> str:
    """The number of classes, and what is special about how they are told apart."""
    return f"{count}, told apart by one logit: class 1 above zero" if sigmoid else str(count)


def _label_width(card: Card) -> int:
    """Columns that the labels take, with the gap after them; a checkpoint's notes have labels of any length."""
    return max([_LABEL_WIDTH, *(len(label) + 2 for label, _ in card.rows)])


def _print_plain(card: Card) -> None:
    width = _label_width(card)
    typer.echo(f"{card.name} · {card.title}")
    for label, value in card.rows:
        typer.echo(f"  {label:<{width}}{value}")
    for index, (name, color) in enumerate(zip(card.class_names, card.palette, strict=True)):
        typer.echo(f"  {index:>5}  #{bytes(color).hex()}  {name}")


def _print_rich(console: Console, card: Card) -> None:
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    width = _label_width(card)
    console.print(Text.assemble((card.name, "bold"), f" · {card.title}"))
    for label, value in card.rows:
        console.print(Text.assemble("  ", (f"{label:<{width}}", "dim"), value))
    swatches = [
        Text.assemble((f"{index:>3} ", "dim"), ("██", f"#{bytes(color).hex()}"), f" {name}")
        for index, (name, color) in enumerate(zip(card.class_names, card.palette, strict=True))
    ]
    console.print(Padding(Columns(swatches, padding=(0, 2), column_first=True), (0, 0, 0, 2)), soft_wrap=False)
