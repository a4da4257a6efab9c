from __future__ import annotations

from pathlib import Path

import pytest

from fcnrt.runtime.atomic import make_folder
from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.run.outputs import Save, image_outputs, video_output
from fcnrt.runtime.sources import ImageSource, VideoSource


def _images(*names: str) -> ImageSource:
    root = Path("in")
    single = len(names) == 1
    files = tuple(root / name for name in names)
    return ImageSource(files, root=root, name=files[0].stem if single else "in", single=single)


def _names(outputs: list[Path]) -> list[str]:
    return [str(path) for path in outputs]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "output", "save", "expected"),
    [
        ("a.jpg", None, "overlay", "a-overlay.jpg"),
        ("a.jpg", None, "color", "a-color.png"),
        ("a.jpg", None, "classes", "a-classes.png"),
        ("a.gif", None, "overlay", "a-overlay.png"),
        ("a", None, "overlay", "a-overlay.png"),
        ("a.jpg", "result.png", "overlay", "result.png"),
        ("a.jpg", "out", "overlay", "out/a.jpg"),
        ("a.jpg", "out", "classes", "out/a.png"),
        ("a.jpg", "out.v1/", "overlay", "out.v1/a.jpg"),
        ("a.jpg", "out.png/", "overlay", "out.png/a.jpg"),
    ],
)
def test_one_image(name: str, output: str | None, save: Save, expected: str) -> None:
    assert _names(image_outputs(_images(name), output, save)) == [expected]


def test_several_images_keep_their_names() -> None:
    source = _images("a.jpg", "b.PNG", "sub/a.jpg", "c.gif")

    assert _names(image_outputs(source, None, "overlay")) == [
        "in-overlay/a.jpg",
        "in-overlay/b.PNG",
        "in-overlay/sub/a.jpg",
        "in-overlay/c.gif.png",
    ]
    assert _names(image_outputs(source, Path("out.d"), "classes")) == [
        "out.d/a.png",
        "out.d/b.png",
        "out.d/sub/a.png",
        "out.d/c.png",
    ]


def test_results_of_the_same_name_are_told_apart() -> None:
    assert _names(image_outputs(_images("a.jpg", "a.png", "b.jpg"), Path("out"), "classes")) == [
        "out/a.jpg.png",
        "out/a.png.png",
        "out/b.jpg.png",
    ]
    assert _names(image_outputs(_images("a.gif", "a.gif.png"), Path("out"), "overlay")) == [
        "out/a.gif.png",
        "out/a.gif.png.png",
    ]


def test_sources_are_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"in/a\.jpg: it is one of the inputs; give another name"):
        image_outputs(_images("a.jpg", "b.jpg"), Path("in"), "overlay")
    with pytest.raises(OutputError, match=r"a\.png: it is one of the inputs"):
        image_outputs(_images("a.png"), Path("in/../in/a.png"), "overlay")
    clip = VideoSource("file:clip.mp4", label="clip.mp4", name="clip", path=Path("clip.mp4"))
    with pytest.raises(OutputError, match=r"clip\.mp4: it is one of the inputs"):
        video_output(clip, tmp_path / "clip.mp4", "overlay")


def test_suffixes_must_fit() -> None:
    clip = VideoSource("file:clip.mkv", label="clip.mkv", name="clip", path=Path("clip.mkv"))
    with pytest.raises(OutputError, match=r"cannot write a\.gif: the suffix of this result must be \.jpg or"):
        image_outputs(_images("a.png"), Path("a.gif"), "overlay")
    with pytest.raises(OutputError, match=r"cannot write a\.jpg: the suffix of this result must be \.png"):
        image_outputs(_images("a.png"), Path("a.jpg"), "classes")
    with pytest.raises(OutputError, match=r"cannot write a\.avi: the suffix of this result must be \.mp4"):
        video_output(clip, Path("a.avi"), "overlay")


def test_videos() -> None:
    clip = VideoSource("file:in/clip.mkv", label="in/clip.mkv", name="clip", path=Path("in/clip.mkv"))

    assert video_output(clip, None, "overlay") == Path("clip-overlay.mp4")
    assert video_output(clip, None, "color") == Path("clip-color.mp4")
    assert video_output(clip, None, "classes") == Path("clip-classes")
    assert video_output(clip, Path("out"), "overlay") == Path("out/clip.mp4")
    assert video_output(clip, Path("x.mp4"), "overlay") == Path("x.mp4")
    assert video_output(clip, "out.v1/", "overlay") == Path("out.v1/clip.mp4")
    assert video_output(clip, Path("out"), "classes") == Path("out")


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    clip = VideoSource("file:clip.mkv", label="clip.mkv", name="clip", path=Path("clip.mkv"))
    file = tmp_path / "file"
    file.write_text("here")
    with pytest.raises(OutputError, match="it is a file; several images need a folder"):
        image_outputs(_images("a.png", "b.png"), file, "overlay")
    with pytest.raises(OutputError, match="it is a file; give a folder, or a name with a suffix"):
        image_outputs(_images("a.png"), file, "overlay")
    with pytest.raises(OutputError, match="it is a file; the class maps of a video need a folder"):
        video_output(clip, file, "classes")
    for taken in (file, Path("/dev/null")):
        with pytest.raises(OutputError, match=f"into {taken}: it is a file; give a folder, or a name with a suffix"):
            video_output(clip, taken, "overlay")
    with pytest.raises(OutputError, match="is not empty, and frames of another run would stay among the new ones"):
        video_output(clip, tmp_path, "classes")
    with pytest.raises(OutputError, match=r"cannot make the folder .*file/deeper: Not a directory"):
        make_folder(file / "deeper")
