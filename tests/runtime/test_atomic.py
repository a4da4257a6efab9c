from __future__ import annotations

import os
from pathlib import Path

import pytest

from fcnrt.runtime.atomic import atomic_path, write_bytes
from fcnrt.runtime.errors import OutputError


@pytest.mark.skipif(os.name == "nt", reason="permissions as Unix has them")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_results_have_the_permissions_of_ordinary_files(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "result", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o666 & ~mask


def test_files_that_other_threads_make_meanwhile_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def umask(mask: int) -> int:
        raise AssertionError("the mask belongs to the whole process")

    monkeypatch.setattr(os, "umask", umask)
    write_bytes(tmp_path / "result", b"x")


def test_a_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    with pytest.raises(OutputError, match="result: it is a folder"), atomic_path(tmp_path / "result"):
        pytest.fail("the work has begun")
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]
