"""What there is to segment: image files or a video, found from what the user typed."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from .errors import SourceError
from .images.files import holds_video, is_image

_CAMERA_DEVICES = "/dev/video"
_CAMERA_FORMAT = "v4l2"

# Whoever sends these goes on at the speed of the clock; over HTTP there are files, and streams that wait.
_LIVE_SCHEMES = ("rtsp", "rtsps", "rtp", "udp", "srt", "rtmp", "rtmps")

SESSION_SUFFIX = ".sdp"
"""Of files that say where an RTP stream comes from and what is in it."""


@dataclass(frozen=True)
class ImageSource:
    """One or several image files.

    Attributes:
        files: The images, in the order in which they are read; some may turn out to be damaged.
        root: The folder that results mirror: every file lies below it.
        name: What results are named after, unless told otherwise: the file's stem, or the folder's name.
        single: Whether one file was asked for, rather than a folder or a pattern.
        skipped: Other files found beside the images.
    """

    files: tuple[Path, ...]
    root: Path
    name: str
    single: bool = False
    skipped: tuple[Path, ...] = ()


@dataclass(frozen=True)
class VideoSource:
    """A video file, a camera or a stream.

    Attributes:
        address: What FFmpeg opens.
        label: How messages call it, without passwords.
        name: What results are named after, unless told otherwise.
        path: The file, if it is one.
        device_format: FFmpeg's name of the capture device's format, for a camera.
        is_live: Whether its frames come at the speed of the clock, however fast they are read.
    """

    address: str
    label: str
    name: str
    path: Path | None = None
    device_format: str | None = None
    is_live: bool = False


def find_source(text: str, *, images_needed: bool = True) -> ImageSource | VideoSource:
    """The images or the video that a user's text stands for.

    Args:
        text: An image or video file, a folder (the images directly in it), a glob pattern of images (``**`` for any
            depth), a camera's index or device, a URL that FFmpeg can open (RTSP, HTTP, ...), or the ``.sdp`` file of
            an RTP stream.
        images_needed: Whether a folder or a pattern without an image is an error, even if there are other files.

    Raises:
        SourceError: If there is no such thing, it is a pipe, or no image is in the folder or among the matches.
    """
    if not text:
        raise SourceError("the source is empty; give an image, a folder, a video, a camera's index or a URL")
    path = Path(text)
    if "://" in text:
        return _stream(text)
    try:
        is_folder, is_file, exists = path.is_dir(), path.is_file(), path.exists()
    except OSError as exc:  # in a folder that may not be entered, or a name that is too long
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc
    if is_folder:
        return _folder(path, images_needed)
    if exists and not is_file:
        return _device(path)
    if exists:
        if is_image(path) and not holds_video(path):
            return ImageSource((path,), root=path.parent, name=path.stem, single=True)
        if path.suffix.lower() == SESSION_SUFFIX:
            return VideoSource(f"file:{path}", label=str(path), name=path.stem, is_live=True)
        # A plain path, even one like `concat:...`, must not be taken for one of FFmpeg's protocols.
        return VideoSource(f"file:{path}", label=str(path), name=path.stem, path=path)
    if text.isdecimal():
        return _camera(int(text))
    if glob.has_magic(text):
        return _matches(text, images_needed)
    raise SourceError(
        f"{text}: no such file or folder; give an image, a folder, a quoted glob pattern, a video, "
        f"a camera's index or a URL"
    )


def _device(path: Path) -> VideoSource:
    """The camera of this device; pipes and all else are refused, as sources are read more than once.

    Opening a pipe that nobody writes to would wait for ever.
    """
    index = str(path.resolve()).removeprefix(_CAMERA_DEVICES)
    if index.isdecimal():
        return _camera(int(index))
    kind = "pipe" if path.is_fifo() else "socket" if path.is_socket() else "device"
    raise SourceError(f"{path} is a {kind}, not a file; save what it gives to a file first, or give a URL")


def _stream(url: str) -> VideoSource:
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise SourceError(f"this URL cannot be understood: {exc}") from exc  # it may hold a password
    host = parts.netloc.rpartition("@")[2]
    name = _name_in_url(parts.path) or host.partition(":")[0] or "stream"
    url = url.replace(url.partition(":")[0], parts.scheme, 1)  # FFmpeg knows them in small letters only
    return VideoSource(
        url, label=f"{parts.scheme}://{host}{parts.path}", name=name, is_live=parts.scheme in _LIVE_SCHEMES
    )


def _name_in_url(path: str) -> str:
    """The last part of a URL's path without its suffix; decoded, unless that is no name for a file."""
    name = PurePosixPath(path).name
    decoded = unquote(name, errors="surrogateescape")  # other encodings than UTF-8 become unprintable
    if "/" in decoded or decoded.startswith(".") or not decoded.isprintable():
        decoded = name
    return PurePosixPath(decoded).stem


def _camera(index: int) -> VideoSource:
    device = Path(f"{_CAMERA_DEVICES}{index}")
    if not device.exists():
        present = sorted(str(other)[len(_CAMERA_DEVICES) :] for other in device.parent.glob("video[0-9]*"))
        raise SourceError(
            f"camera {index}: there is no {device}; "
            + (f"this machine has camera {', '.join(present)}" if present else "this machine has no camera")
        )
    return VideoSource(
        str(device), label=f"camera {index}", name=f"camera{index}", device_format=_CAMERA_FORMAT, is_live=True
    )


def _folder(folder: Path, images_needed: bool) -> ImageSource:
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
        files = sorted(path for path in entries if _is_file(path))
        folders = any(path.is_dir() for path in entries)
    except OSError as exc:
        raise SourceError(f"{folder}: cannot be read ({exc.strerror})") from exc
    images = tuple(path for path in files if is_image(path))
    if not images and (images_needed or not files):
        others = _files(len(files)) if files else "only folders in it" if folders else "it is empty"
        raise SourceError(f"{folder}: no image in this folder ({others})")
    skipped = tuple(path for path in files if path not in set(images))
    return ImageSource(images, root=folder, name=folder.resolve().name, skipped=skipped)


def _matches(pattern: str, images_needed: bool) -> ImageSource:
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    files = sorted(path for path in map(Path, names) if _is_file(path))
    images = tuple(path for path in files if is_image(path))
    if not images and (images_needed or not files):
        others = f"only {_files(len(files))}; run videos one at a time" if files else "nothing matches"
        raise SourceError(f"{pattern}: no image matches this pattern ({others})")
    root = _common_parent(images or tuple(files))
    skipped = tuple(path for path in files if path not in set(images))
    return ImageSource(images, root=root, name=root.resolve().name, skipped=skipped)


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere: that one is counted and reported, not passed over."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _common_parent(paths: tuple[Path, ...]) -> Path:
    parent = paths[0].parent
    while not all(path.is_relative_to(parent) for path in paths):
        parent = parent.parent
    return parent


def _files(count: int) -> str:
    return "1 other file" if count == 1 else f"{count:,} other files"
