"""Commands that are imported when they are called: `fcnrt --help` and every command start without the others."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and help, and imports the one that is called."""

    first_lines: ClassVar[dict[str, str]]
    """By name, in the order in which they are listed: the first paragraph of each command's own help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, help_text in self.first_lines.items():
            self.commands[name] = TyperCommand(name, help=help_text)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that `args` begin with."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.first_lines:
            command = load_command(name)
        return name, command, rest


def load_command(name: str) -> Any:
    """Import the command of `fcnrt.cli.NAME`, there called NAME too, and return it as Typer makes it.

    It is a function, or a `typer.Typer` with subcommands.
    """
    command = getattr(import_module(f".{name}", __package__), name)
    holder = typer.Typer()
    if isinstance(command, typer.Typer):
        holder.add_typer(command, name=name)
    else:
        holder.command(name)(command)
    return get_group(holder).commands[name]
