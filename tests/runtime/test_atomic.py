from __future__ import annotations

import os
from pathlib import Path

import pytest

from fcnrt.runtime.atomic import atomic_path, check_writable, refuse_to_overwrite, write_bytes
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


def test_a_device_stays_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for refuse in (check_writable, lambda path: write_bytes(path, b"x")):
        with pytest.raises(OutputError, match="pipe: it is no ordinary file"):
            refuse(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_through_a_link_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/target")
    for content in (b"first", b"second"):
        write_bytes(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "target").read_bytes() == content


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OutputError, match=r"cannot write .*link"):
        write_bytes(tmp_path / "link", b"x")


def test_inputs_are_not_overwritten_nor_other_results(tmp_path: Path) -> None:
    model, report = tmp_path / "model", tmp_path / "report"
    (tmp_path / "link").symlink_to(model)
    refuse_to_overwrite([model, None], [report, None, tmp_path / "page"])
    for results in ([model], [tmp_path / "folder" / ".." / "model"], [tmp_path / "link"]):
        with pytest.raises(OutputError, match="it is one of the inputs"):
            refuse_to_overwrite([None, model], results)
    with pytest.raises(OutputError, match="another result has this name"):
        refuse_to_overwrite([model], [report, tmp_path / "report"])
