"""Options whose text is read by a parser of the packages below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

from ..runtime.errors import DeviceError

T = TypeVar("T")


def parsed(option: str, text: str, parse: Callable[[str], T]) -> T:
    """The value that an option's text stands for.

    Args:
        option: Name of the option, for the message.
        text: What was given.
        parse: Reads it, and raises ValueError or DeviceError if it stands for nothing.

    Raises:
        BadParameter: With the parser's message.
    """
    try:
        return parse(text)
    except (ValueError, DeviceError) as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from exc
