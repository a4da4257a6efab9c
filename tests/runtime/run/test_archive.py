from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.atomic import remove_leftovers
from fcnrt.runtime.errors import FrameError, ModelFileError, OutputError, SourceError
from fcnrt.runtime.images.files import read_image, write_image
from fcnrt.runtime.run.archive import (
    ArchiveItem,
    ArchiveSettings,
    ArchiveWorker,
    clear_leftovers,
    plan_archive,
    unfinished,
)
from fcnrt.runtime.run.ray_archive import threads_per_worker
from fcnrt.runtime.segmenter import Segmenter

MakeVideo = Callable[..., Path]


def _write_image(path: Path, value: int = 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((10, 12, 3), np.uint8)
    image[..., 1] = value
    write_image(path, image)
    return path


@pytest.fixture
def archive(tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two images, a video and a text; becomes the current folder's ``in``."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.jpg"):
        _write_image(tmp_path / "in" / name)
    make_video(tmp_path / "in" / "c.mp4", pts=range(5))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return Path("in")


def _settings(model: Path, save: str = "overlay") -> ArchiveSettings:
    return ArchiveSettings.of(model, save, 0.6)  # type: ignore[arg-type]


def test_a_folder_gives_its_images_and_videos(archive: Path) -> None:
    items = plan_archive(["in"], Path("out"), "overlay")
    here = Path.cwd()
    assert items == [
        ArchiveItem(str(here / "in" / "a.png"), str(here / "out" / "a.png"), is_video=False),
        ArchiveItem(str(here / "in" / "b.jpg"), str(here / "out" / "b.jpg"), is_video=False),
        ArchiveItem(str(here / "in" / "c.mp4"), str(here / "out" / "c-overlay.mp4"), is_video=True),
    ]


def test_a_folder_or_a_pattern_of_videos_alone_is_an_archive(archive: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (archive / name).unlink()
    for text in ("in", "in/*.mp4"):
        assert [Path(item.source).name for item in plan_archive([text], Path("out"), "overlay")] == ["c.mp4"]


def test_motion_jpeg_is_a_video(archive: Path) -> None:
    (archive / "d.mjpg").write_bytes((archive / "b.jpg").read_bytes() * 3)
    (item,) = (item for item in plan_archive(["in"], Path("out"), "overlay") if item.source.endswith("d.mjpg"))
    assert (Path(item.result).name, item.is_video) == ("d-overlay.mp4", True)


def test_several_sources_have_folders_of_their_own(archive: Path) -> None:
    _write_image(Path("other") / "a.png")
    items = plan_archive(["in", "other", "in/c.mp4"], Path("out"), "classes")
    results = [Path(item.result).relative_to(Path.cwd()).as_posix() for item in items]
    assert results == ["out/in/a.png", "out/in/b.png", "out/in/c-classes", "out/other/a.png", "out/c-classes"]


@pytest.mark.parametrize(
    ("sources", "save", "error", "message"),
    [
        (["in", "nowhere"], "overlay", SourceError, "nowhere: no such file"),
        (["in/*.txt"], "overlay", SourceError, r"in/\*\.txt: neither an image nor a video"),
        (["rtsp://camera/1"], "overlay", SourceError, "rtsp://camera/1 never ends"),
        (["in/a.png", "in/a.png"], "overlay", OutputError, "would both become"),
        (["in"], "report", OutputError, "is a video; --save report is for pictures"),
    ],
)
def test_what_cannot_be_planned(
    archive: Path, sources: list[str], save: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_archive(sources, Path("out"), save)  # type: ignore[arg-type]


def test_inputs_are_never_overwritten(archive: Path) -> None:
    with pytest.raises(OutputError, match="it is one of the inputs"):
        plan_archive(["in/a.png", "in/b.jpg"], Path("in"), "overlay")


def test_finished_items_are_known_by_their_records(archive: Path, tiny_model: Path) -> None:
    settings = _settings(tiny_model, "color")
    items = plan_archive(["in"], Path("out"), "color")
    assert unfinished(items, settings) == items
    worker = ArchiveWorker(settings, "cpu", 1)
    assert [worker(item) for item in items] == [None, None, None]
    assert unfinished(items, settings) == []
    assert (read_image(Path("out", "a.png")) == (0, 255, 0)).all()
    record = json.loads(Path("out", "c-color.mp4.json").read_text())
    assert (record["frames"], record["model"]) == (5, str(tiny_model))
    assert sum(record["classes"].values()) == pytest.approx(1, abs=1e-5)

    _write_image(Path("in", "a.png"), value=90)
    Path("out", "b.png").unlink()
    assert [Path(item.source).name for item in unfinished(items, settings)] == ["a.png", "b.jpg"]
    assert unfinished(items, _settings(tiny_model, "overlay")) == items


def test_broken_inputs_are_told_and_stay_unfinished(archive: Path, tiny_model: Path) -> None:
    Path("in", "b.jpg").write_text("no picture at all")
    Path("in", "c.mp4").write_bytes(Path("in", "c.mp4").read_bytes()[:300])
    settings = _settings(tiny_model)
    items = plan_archive(["in"], Path("out"), "overlay")
    worker = ArchiveWorker(settings, "cpu", 1)
    reasons = [worker(item) for item in items]
    assert reasons[0] is None
    assert "b.jpg" in str(reasons[1])
    assert "c.mp4" in str(reasons[2])
    assert [Path(item.source).name for item in unfinished(items, settings)] == ["b.jpg", "c.mp4"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "a.png.json"]


def test_an_input_that_has_vanished_does_not_stop_the_others(archive: Path, tiny_model: Path) -> None:
    items = plan_archive(["in"], Path("out"), "overlay")
    Path("in", "a.png").unlink()
    worker = ArchiveWorker(_settings(tiny_model), "cpu", 1)
    reasons = [worker(item) for item in items]
    assert reasons == [f"{Path.cwd() / 'in' / 'a.png'}: no such file", None, None]


def test_a_link_that_leads_nowhere_is_told_by_its_own_name(archive: Path, tiny_model: Path) -> None:
    (archive / "dead.png").symlink_to("/nonexistent.png")
    worker = ArchiveWorker(_settings(tiny_model), "cpu", 1)
    reasons = [worker(item) for item in plan_archive(["in/*.png"], Path("out"), "overlay")]
    assert reasons == [None, f"{Path.cwd() / 'in' / 'dead.png'}: no such file"]


def test_videos_of_a_size_that_the_model_does_not_take_are_told(
    archive: Path, tiny_model: Path, make_segmenter: Callable[..., Segmenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int, frames: np.ndarray) -> None:
        raise FrameError("frames of 48x64 are outside the sizes this engine was built for")

    monkeypatch.setattr(Segmenter, "open", lambda *_, **__: make_segmenter(refuse))
    worker = ArchiveWorker(_settings(tiny_model), "cpu", 1)
    for item in plan_archive(["in"], Path("out"), "overlay"):
        assert worker(item) == f"{item.source}: frames of 48x64 are outside the sizes this engine was built for"
    assert list(Path("out").iterdir()) == []


def test_a_record_does_not_outlive_its_result(
    archive: Path, tiny_model: Path, make_segmenter: Callable[..., Segmenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(tiny_model, "color")
    items = plan_archive(["in/a.png"], Path("out"), "color")
    ArchiveWorker(settings, "cpu", 1)(items[0])

    def end(number: int, frames: np.ndarray) -> None:
        raise KeyboardInterrupt

    # A run with another model is ended in the middle: whose the result is, nobody knows then.
    monkeypatch.setattr(Segmenter, "open", lambda *_, **__: make_segmenter(end))
    with pytest.raises(KeyboardInterrupt):
        ArchiveWorker(settings, "cpu", 1)(items[0])
    assert unfinished(items, settings) == items


def test_class_maps_of_a_longer_video_do_not_stay(archive: Path, tiny_model: Path, make_video: MakeVideo) -> None:
    settings = _settings(tiny_model, "classes")
    items = plan_archive(["in/c.mp4"], Path("out"), "classes")
    worker = ArchiveWorker(settings, "cpu", 1)
    worker(items[0])
    assert len(list(Path(items[0].result).iterdir())) == 5
    make_video(Path("in", "c.mp4"), pts=range(3))
    worker(items[0])
    assert len(list(Path(items[0].result).iterdir())) == 3


def test_every_worker_finds_room() -> None:
    for machines, workers, threads in (
        ([8], 1, 8),
        ([8], 3, 2),
        ([4, 16], 2, 8),
        ([4, 16], 3, 5),
        ([3, 3], 4, 1),
        ([2], 5, 1),
        ([], 1, 1),
    ):
        assert threads_per_worker(machines, workers) == threads


def test_leftovers_of_results_and_records_are_cleared(archive: Path) -> None:
    items = plan_archive(["in"], Path("out"), "classes")
    clear_leftovers(items)  # there is no folder yet
    Path("out").mkdir()
    for name in (".a-abcd_123.png", ".a.png-abcd_123.json", ".c-classes-abcd_123", ".other-abcd_123.png", "a.png"):
        Path("out", name).touch()
    clear_leftovers(items)
    assert sorted(path.name for path in Path("out").iterdir()) == [".other-abcd_123.png", "a.png"]


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "none.engine").write_bytes(b"an engine without a manifest")
    for name in ("none.onnx", "text.onnx", "none.engine"):
        with pytest.raises(ModelFileError, match=name):
            _settings(tmp_path / name)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in (".a-abcd_123.mp4", ".a-b-abcd_123.mp4", ".a-abcd_123.png", "a.mp4", ".a-abcd.mp4"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "a.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a-abcd.mp4",
        ".a-abcd_123.png",
        ".a-b-abcd_123.mp4",
        "a.mp4",
    ]
