"""Downloading one file: resumed where it was cut off, and checked by its hash before anybody sees it."""

from __future__ import annotations

import dataclasses
import http.client
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from ..runtime.errors import DownloadError
from ..runtime.file_hash import file_hash

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes there are and the bytes there will be (None if the server does not say)."""

MIRROR_VARIABLE = "FCNRT_WEIGHTS_MIRROR"
"""Environment variable with the address of a folder that has the published files under their names."""

_BLOCK = 1 << 18  # bytes
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: What it is called here.
        url: Where its bytes are.
        algorithm: Hash function of `digest`.
        digest: Published hash, hexadecimal. There is none without: nothing is handed on unchecked.
        page: Where a person can fetch it with a browser.
        size_bytes: Published size, if there is one.
    """

    name: str
    url: str
    algorithm: Literal["sha256", "md5", "sha1"]
    digest: str
    page: str
    size_bytes: int | None = None


def download(remote: RemoteFile, directory: Path, *, progress: Progress | None = None, timeout_s: float = 30.0) -> Path:
    """The file in a directory, downloaded if it is not there; either way its hash is checked.

    An interrupted download leaves a ``.part`` file, with which the next one goes on. Proxies are taken from the
    environment (``https_proxy``, ``no_proxy``), and so is a mirror (`MIRROR_VARIABLE`); the hash is the same there.

    Args:
        remote: What to download.
        directory: Where to put it; made if missing.
        progress: Told how far it is.
        timeout_s: Seconds to wait for an answer, or for more bytes.

    Raises:
        DownloadError: If the server cannot be reached or sends something else, if the connection is cut, if the hash
            is not the published one, or if the file cannot be read or written.
    """
    path = directory / remote.name
    part = directory / f"{remote.name}.part"
    if mirror := os.environ.get(MIRROR_VARIABLE):
        remote = dataclasses.replace(remote, url=f"{mirror.rstrip('/')}/{quote(remote.name)}")
    try:
        if path.is_file():
            _check_kept(remote, path)
            return path
        directory.mkdir(parents=True, exist_ok=True)
        _receive(remote, part, progress, timeout_s)
        _check_downloaded(remote, part)
        part.replace(path)
    except DownloadError:
        raise
    except OSError as exc:
        raise DownloadError(f"cannot read or write {exc.filename or part}: {exc.strerror}") from exc
    return path


def _by_hand(remote: RemoteFile, part: Path) -> str:
    """The way without this program, for messages."""
    return f"or fetch it by hand from {remote.page} and save it as {part.with_name(remote.name)}"


def _receive(remote: RemoteFile, part: Path, progress: Progress | None, timeout_s: float) -> None:
    """Add to the part file what it lacks."""
    done = part.stat().st_size if part.exists() else 0
    response = _request(remote, part, done, timeout_s)
    if response is None:
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            # Google Drive answers so when too many people fetched a file, or when it wants a click.
            raise DownloadError(
                f"{remote.url} answered with a web page instead of {remote.name}. Try again later, "
                f"{_by_hand(remote, part)}."
            )
        resumed = response.status == http.client.PARTIAL_CONTENT
        if not resumed:
            done = 0
        total = None if response.length is None else done + response.length
        if total is not None and remote.size_bytes is not None and total != remote.size_bytes:
            raise DownloadError(
                f"{remote.url} offers {total:,} bytes, where {remote.name} has {remote.size_bytes:,}: another file, or "
                f"an incomplete one. Try again later, {_by_hand(remote, part)}."
            )
        with part.open("ab" if resumed else "wb") as file:
            for block in _blocks(response, remote, part, timeout_s):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise _cut(remote, part, f"after {done:,} of {total:,} bytes")


def _request(remote: RemoteFile, part: Path, done: int, timeout_s: float) -> http.client.HTTPResponse | None:
    """The server's answer, from byte `done` on if it can; None if there is nothing after that byte."""
    headers = {"User-Agent": "fcnrt"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        response = urlopen(Request(remote.url, headers=headers), timeout=timeout_s)
    except HTTPError as exc:
        exc.close()
        if done and exc.code == _RANGE_NOT_SATISFIABLE:
            return None  # all of it is here; the hash will tell
        raise DownloadError(
            f"{remote.url} answered {exc.code} {exc.reason}. Try again, {_by_hand(remote, part)}."
        ) from exc
    except (URLError, OSError, http.client.HTTPException) as exc:
        reason = exc.reason if isinstance(exc, URLError) else exc
        raise DownloadError(
            f"cannot download {remote.name} from {remote.url}: {reason}. Check the connection, "
            f"{_by_hand(remote, part)}."
        ) from exc
    except ValueError as exc:  # of the user's address, or of one that a server passes on to
        raise DownloadError(
            f"{remote.url} does not lead to an HTTP address ({exc}). Set {MIRROR_VARIABLE} to one that begins with "
            f"http, {_by_hand(remote, part)}."
        ) from exc
    if not isinstance(response, http.client.HTTPResponse):
        # urlopen knows more than HTTP, and an address may be the user's.
        response.close()
        raise DownloadError(f"{remote.url} is not an HTTP address; set {MIRROR_VARIABLE} to one that begins with http")
    return response


def _blocks(response: http.client.HTTPResponse, remote: RemoteFile, part: Path, timeout_s: float) -> Iterator[bytes]:
    try:
        while block := response.read(_BLOCK):
            yield block
    except TimeoutError as exc:
        raise _cut(remote, part, f"by silence for {timeout_s:g} s") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise _cut(remote, part, f"({exc})") from exc


def _cut(remote: RemoteFile, part: Path, how: str) -> DownloadError:
    return DownloadError(
        f"the download of {remote.name} from {remote.url} was cut off {how}. Run the command again to go on from "
        f"there, {_by_hand(remote, part)}."
    )


def _check_kept(remote: RemoteFile, path: Path) -> None:
    # Somebody may have put it there by hand, and disks lose bits.
    if difference := _difference(remote, path):
        raise DownloadError(f"{path} {difference}: another file, or damaged. Delete it and run the command again.")


def _check_downloaded(remote: RemoteFile, part: Path) -> None:
    if difference := _difference(remote, part):
        part.unlink()
        raise DownloadError(
            f"{remote.name} from {remote.url} {difference}; what was downloaded is deleted. "
            f"Try again, {_by_hand(remote, part)}."
        )


def _difference(remote: RemoteFile, file_path: Path) -> str:
    """What is wrong with a file's bytes, in words; empty if they are the published ones."""
    found = file_hash(file_path, remote.algorithm)
    return "" if found == remote.digest else f"has {remote.algorithm} {found} instead of {remote.digest}"
