from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

from fcnrt.cli.app import app
from fcnrt.cli.lazy_group import LazyGroup, load_command


def _root() -> LazyGroup:
    root = get_command(app)
    assert isinstance(root, LazyGroup)
    return root


@pytest.mark.parametrize("name", _root().first_lines)
def test_line_in_the_list_is_the_first_of_the_command_s_own_help(name: str) -> None:
    command: Any = load_command(name)
    assert " ".join(command.help.split("\n\n")[0].split()) == _root().first_lines[name]
    assert command.name == name


def test_only_the_command_that_is_called_is_imported() -> None:
    code = """
import contextlib, io, sys
from fcnrt.cli.app import app
def commands():
    return {name.removeprefix("fcnrt.cli.") for name in sys.modules if name.startswith("fcnrt.cli.")} & COMMANDS
with contextlib.redirect_stdout(io.StringIO()) as text:
    app(["--help"], standalone_mode=False)
assert all(name in text.getvalue() for name in COMMANDS), text.getvalue()
print(commands())
with contextlib.redirect_stdout(io.StringIO()) as text:
    app(["cache", "list", "--help"], standalone_mode=False)
print(commands())
"""
    code = f"COMMANDS = {set(_root().first_lines)!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    assert done.stdout.splitlines() == ["set()", "{'cache'}"]
