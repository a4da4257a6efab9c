from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest


class Finished(NamedTuple):
    exit_code: int
    out: str
    err: str


RunFcnrt = Callable[..., Finished]


@pytest.fixture
def fcnrt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunFcnrt:
    """A function that runs the program in this process, with everything between `main` and the exit code."""

    def run(*arguments: object) -> Finished:
        from fcnrt.__main__ import main

        monkeypatch.setattr(sys, "argv", ["fcnrt", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Finished(int(stop.value.code or 0), *capsys.readouterr())

    return run
