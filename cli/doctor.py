"""`fcnrt doctor`: what this machine can do, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..runtime.doctor import Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array for programs to read.")] = False,
) -> None:
    """Try everything fcnrt can use on this machine; name what is missing and the command that brings it."""
    import dataclasses
    import json

    from ..runtime.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(item) | {"works": item.works} for item in findings]))
        return
    width = max(len(_head(item)) for item in findings)
    previous = ""
    for item in findings:
        head = _head(item)
        typer.echo(f"  {'' if head == previous else head:<{width}}  {_describe(item)}")
        previous = head


def _head(item: Finding) -> str:
    return item.subject if item.version is None else f"{item.subject} {item.version}"


def _describe(item: Finding) -> str:
    if item.works:
        return f"✔ {item.ability}"
    remedy = "" if item.remedy is None else f"  →  {item.remedy}"
    return f"✘ {item.ability}: {item.obstacle}{remedy}"
