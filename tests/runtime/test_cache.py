from __future__ import annotations

from pathlib import Path

import pytest

from fcnrt.runtime.cache import cache_dir
from fcnrt.runtime.errors import OutputError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FCNRT_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")


def test_the_home_directory_has_the_cache_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == Path("/home/ada/.cache/fcnrt")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ada")
    assert cache_dir() == Path("/var/cache/ada/fcnrt")
    monkeypatch.setenv("FCNRT_CACHE_DIR", "~/models")
    assert cache_dir() == Path("/home/ada/models")


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_xdg_cache_home_counts_only_if_absolute(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_dir() == Path("/home/ada/.cache/fcnrt")


def test_no_home_directory_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", "~nobody-of-this-name/models")
    with pytest.raises(OutputError, match=r"cannot tell the cache directory .*set FCNRT_CACHE_DIR"):
        cache_dir()
