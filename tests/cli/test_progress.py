from __future__ import annotations

import re
import time

import pytest

from fcnrt.cli.progress import progress_bar


def _run(total: int | None) -> None:
    with progress_bar(total, "fps") as advance:
        for _ in range(4):
            time.sleep(0.01)
            advance()


def test_a_terminal_shows_how_many_how_fast_and_how_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    _run(8)

    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"4/8 · \d+\.\d fps · 0:00:0\d", err)


def test_a_stream_has_no_end_to_wait_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    _run(None)

    assert re.search(r" 4 · \d+\.\d fps ·", capsys.readouterr().err)


def test_elsewhere_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    _run(4)

    assert capsys.readouterr() == ("", "")
