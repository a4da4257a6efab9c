from __future__ import annotations

import os
from pathlib import Path

import pytest

from fcnrt.runtime.errors import SourceError
from fcnrt.runtime.sources import ImageSource, VideoSource, find_source

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, a file that is none, a hidden file and a subfolder with one more image."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "notes.txt", ".hidden.png", "more/c.png"):
        (folder / name).write_bytes(_PNG if name.endswith("png") else b"text")
    return folder


def test_one_image(folder: Path) -> None:
    path = folder / "b.png"

    assert find_source(str(path)) == ImageSource((path,), root=folder, name="b", single=True)


def test_a_folder_has_the_images_directly_in_it_sorted(folder: Path) -> None:
    source = find_source(str(folder))

    assert source == ImageSource(
        (folder / "a.jpg", folder / "b.png"), root=folder, name="photos", skipped=(folder / "notes.txt",)
    )


def test_a_link_that_leads_nowhere_is_one_of_the_images(tmp_path: Path) -> None:
    """A card that was taken out: its pictures are missing, and reading them says so."""
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    for text in (str(tmp_path), str(tmp_path / "*.jpg")):
        found = find_source(text)
        assert isinstance(found, ImageSource)
        assert [path.name for path in found.files] == ["a.jpg", "b.jpg"]


def test_a_folder_is_named_even_as_a_dot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    assert find_source(".").name == "photos"


def test_a_pattern(folder: Path) -> None:
    assert find_source(f"{folder}/*.png") == ImageSource((folder / "b.png",), root=folder, name="photos")
    assert find_source(f"{folder}/**/*.png") == ImageSource(
        (folder / "b.png", folder / "more" / "c.png"), root=folder, name="photos"
    )


def test_a_file_whose_name_looks_like_a_pattern(folder: Path) -> None:
    path = folder / "frame[1].png"
    path.write_bytes(_PNG)

    assert find_source(str(path)) == ImageSource((path,), root=folder, name="frame[1]", single=True)


def test_any_other_file_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"anything")

    assert find_source(str(path)) == VideoSource(f"file:{path}", label=str(path), name="clip", path=path)


def test_a_film_with_the_name_of_a_picture_is_a_film_but_not_in_a_folder(folder: Path) -> None:
    path = folder / "a.jpg"
    path.write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41")

    assert find_source(str(path)) == VideoSource(f"file:{path}", label=str(path), name="a", path=path)
    among_pictures = find_source(str(folder))
    assert isinstance(among_pictures, ImageSource)
    assert path in among_pictures.files


@pytest.mark.parametrize(
    ("url", "label", "name"),
    [
        ("rtsp://user:secret@10.0.0.7:554/stream1", "rtsp://10.0.0.7:554/stream1", "stream1"),
        ("http://example.org/films/street.mp4?token=secret", "http://example.org/films/street.mp4", "street"),
        ("rtsp://camera.local", "rtsp://camera.local", "camera.local"),
    ],
)
def test_urls_lose_their_secrets_in_messages(url: str, label: str, name: str) -> None:
    source = find_source(url)

    assert isinstance(source, VideoSource)
    assert (source.address, source.label, source.name, source.path) == (url, label, name, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/my%20film.mp4", "my film"),
        ("/films/stra%C3%9Fe.mp4", "straße"),
        ("/100%.mp4", "100%"),
        ("/a%2F..%2F..%2Fb.mp4", "a%2F..%2F..%2Fb"),
        ("/%2E%2E", "%2E%2E"),
        ("/%2Ehidden.mp4", "%2Ehidden"),
        ("/a%0Ab%1B.mp4", "a%0Ab%1B"),
        ("/a%00.mp4", "a%00"),
        ("/stra%DFe.mp4", "stra%DFe"),
    ],
)
def test_names_in_urls_are_decoded_unless_they_would_lead_elsewhere(path: str, name: str) -> None:
    assert find_source(f"http://camera{path}").name == name


def test_streams_that_do_not_wait_are_told_from_files(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()

    def is_live(text: str) -> bool:
        source = find_source(text)
        assert isinstance(source, VideoSource)
        return source.is_live

    assert is_live("rtsp://camera/1")
    assert is_live("RTSPS://camera/1")
    (tmp_path / "camera.SDP").touch()
    assert is_live(str(tmp_path / "camera.SDP"))
    assert not is_live("https://example.org/clip.mp4")
    assert not is_live(str(tmp_path / "clip.mp4"))


def test_schemes_are_handed_on_in_the_letters_that_ffmpeg_knows() -> None:
    source = find_source("RtSp://User:Word@camera/Live")
    assert isinstance(source, VideoSource)
    assert source.address == "rtsp://User:Word@camera/Live"


def test_an_empty_name() -> None:  # of a variable of the shell that is not set
    with pytest.raises(SourceError, match="the source is empty"):
        find_source("")


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(SourceError, match=r"x: cannot be read \(File name too long\)"):
        find_source("x" * 300)


def test_a_url_that_is_none() -> None:
    with pytest.raises(SourceError, match="this URL cannot be understood: Invalid IPv6 URL") as caught:
        find_source("rtsp://admin:secret@[::1/stream")
    assert "secret" not in str(caught.value)


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.mp4")
    with pytest.raises(SourceError, match=r"film\.mp4 is a pipe, not a file; save what it gives to a file first"):
        find_source(str(tmp_path / "film.mp4"))
    with pytest.raises(SourceError, match="/dev/null is a device, not a file"):
        find_source("/dev/null")
    read, write = os.pipe()
    try:
        with pytest.raises(SourceError, match=f"/dev/fd/{read} is a pipe"):  # as shells write `<(command)`
            find_source(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


def test_nothing_there(tmp_path: Path, folder: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "albums" / "2012").mkdir(parents=True)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("text")

    for text, message in [
        (str(tmp_path / "gone.mp4"), r"gone\.mp4: no such file or folder; give an image, a folder"),
        (str(empty), r"empty: no image in this folder \(it is empty\)"),
        (str(tmp_path / "albums"), r"albums: no image in this folder \(only folders in it\)"),
        (str(notes), r"notes: no image in this folder \(1 other file\)"),
        (f"{empty}/*.jpg", r"\*\.jpg: no image matches this pattern \(nothing matches\)"),
        (f"{folder}/*.txt", r"\(only 1 other file; run videos one at a time\)"),
        ("97", r"camera 97: there is no /dev/video97; this machine has"),
    ]:
        with pytest.raises(SourceError, match=message):
            find_source(text)
