from __future__ import annotations

import hashlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fcnrt.fcn_models.download import MIRROR_VARIABLE, RemoteFile, download
from fcnrt.runtime.errors import DownloadError

CONTENT = bytes(range(256)) * 4000  # about 1 MB: several blocks


@dataclass
class Site:
    """What the test server does. The address is `url`."""

    url: str = ""
    content: bytes = CONTENT
    content_type: str = "application/octet-stream"
    status: int = 200
    location: str | None = None  # of a redirection
    knows_ranges: bool = True
    says_length: bool = True
    cut_after: int | None = None  # bytes of an answer's body, then the connection is closed
    stall_after: int | None = None  # bytes of an answer's body, then silence
    stopped: threading.Event = field(default_factory=threading.Event)
    ranges: list[str | None] = field(default_factory=list)  # asked for, one per request
    paths: list[str] = field(default_factory=list)  # likewise


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.ranges.append(wanted)
        site.paths.append(self.path)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.knows_ranges else 0
        if start and start >= len(site.content):
            self.send_error(416)
            return
        if site.location is not None:
            self.send_response(302)
            self.send_header("Location", site.location)
            self.end_headers()
            return
        if site.status != 200:
            self.send_error(site.status)
            return
        body = site.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", site.content_type)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        if site.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: next((n for n in (site.cut_after, site.stall_after) if n is not None), len(body))])
        if site.stall_after is not None:
            self.wfile.flush()
            site.stopped.wait(10)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    site = Site()
    handler = type("HandlerOfThisTest", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/net.pth"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(site: Site) -> RemoteFile:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return RemoteFile(name="net.pth", url=site.url, algorithm="sha256", digest=digest, page="https://example.org/net")


BY_HAND = r"fetch it by hand from https://example\.org/net and save it as /\S+/net\.pth\."


def test_a_file_arrives_whole_with_progress_and_is_kept(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    path = download(remote, tmp_path / "new" / "folder", progress=lambda done, total: calls.append((done, total)))
    assert path == tmp_path / "new" / "folder" / "net.pth"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert len(calls) > 1
    assert calls == sorted(calls)
    assert download(remote, path.parent) == path
    assert site.ranges == [None]  # the second time needed no server


def test_a_cut_download_goes_on_where_it_stopped(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.cut_after = 300_000
    with pytest.raises(
        DownloadError, match=rf"was cut off after 300,000 of 1,024,000 bytes\. Run the command again.*{BY_HAND}"
    ):
        download(remote, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth.part"]
    site.cut_after = None
    calls: list[tuple[int, int | None]] = []
    path = download(remote, tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]
    assert site.ranges == [None, "bytes=300000-"]
    assert calls[0][0] > 300_000
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_starts_again(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(CONTENT[:1000])
    site.knows_ranges = False
    assert download(remote, tmp_path).read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_length(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.says_length = False
    calls: list[tuple[int, int | None]] = []
    download(remote, tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), None)


def test_a_part_that_is_already_whole_needs_only_its_name(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(CONTENT)
    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_hash_deletes_the_part_and_says_both(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.content = b"something else"
    digest = hashlib.sha256(site.content).hexdigest()
    with pytest.raises(
        DownloadError,
        match=rf"has sha256 {digest} instead of {remote.digest}; what was downloaded is deleted.*{BY_HAND}",
    ):
        download(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_is_found_out(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="what was downloaded is deleted"):
        download(remote, tmp_path)
    assert download(remote, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_hashes_are_those_that_were_published(remote: RemoteFile, tmp_path: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, CONTENT, usedforsecurity=False).hexdigest()
    elsewhere = replace(remote, algorithm=algorithm, digest=digest)  # type: ignore[arg-type]
    assert download(elsewhere, tmp_path / "right").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match=rf"net\.pth from http.* has {algorithm} {digest} instead of 0"):
        download(replace(elsewhere, digest="0" * len(digest)), tmp_path / "wrong")


def test_a_file_that_was_fetched_by_hand_is_found_and_checked(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(CONTENT)
    assert download(remote, tmp_path) == path
    path.write_bytes(CONTENT[:-1])
    digest = hashlib.sha256(CONTENT[:-1]).hexdigest()
    with pytest.raises(
        DownloadError, match=rf"{path} has sha256 {digest} instead of {remote.digest}: .*Delete it and run the command"
    ):
        download(remote, tmp_path)
    assert path.exists()  # it is the user's
    assert site.ranges == []


def test_a_wrong_size_is_found_before_anything_is_downloaded(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    assert download(replace(remote, size_bytes=len(CONTENT)), tmp_path / "right").read_bytes() == CONTENT
    with pytest.raises(
        DownloadError,
        match=rf"{site.url} offers 1,024,000 bytes, where net\.pth has 7: another file, or an inc.*{BY_HAND}",
    ):
        download(replace(remote, size_bytes=7), tmp_path / "wrong")
    assert list((tmp_path / "wrong").iterdir()) == []


def test_a_mirror_is_asked_instead_and_checked_as_well(
    site: Site, remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, site.url.replace("net.pth", "weights/"))
    elsewhere = replace(remote, url="https://unreachable.invalid/net.pth")
    assert download(elsewhere, tmp_path / "right").read_bytes() == CONTENT
    site.content = b"something else"
    with pytest.raises(DownloadError, match=r"net\.pth from http://127.*/weights/net\.pth has sha256"):
        download(elsewhere, tmp_path / "wrong")


def test_the_proxy_of_the_environment_is_asked(
    site: Site, remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", site.url.removesuffix("/net.pth"))
    monkeypatch.setattr(urllib.request, "_opener", None)  # made at the first request, with the proxies of then
    elsewhere = replace(remote, url="http://weights.invalid/net.pth")
    assert download(elsewhere, tmp_path).read_bytes() == CONTENT
    assert site.paths == ["http://weights.invalid/net.pth"]


def test_a_mirror_that_is_no_web_address(remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pth").write_bytes(CONTENT)
    monkeypatch.setenv(MIRROR_VARIABLE, tmp_path.as_uri())
    with pytest.raises(DownloadError, match="is not an HTTP address; set FCNRT_WEIGHTS_MIRROR to one that begins"):
        download(remote, tmp_path / "cache")


@pytest.mark.parametrize(
    "mirror",
    ["mirror.local/weights", "http://localhost/ü", "http://[::1", f"http://{'a' * 70}.com", "data:text"],
)
def test_a_mirror_that_is_no_address_at_all(
    remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, mirror)
    with pytest.raises(DownloadError, match=r"does not lead to an HTTP address \(.*\)\. Set FCNRT_WEIGHTS_MIRROR to"):
        download(remote, tmp_path)


def test_a_server_that_passes_on_to_nowhere(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.location = "http://[::1/net.pth"
    with pytest.raises(DownloadError, match=rf"{site.url} does not lead to an HTTP address.*{BY_HAND}"):
        download(remote, tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_names_the_address_and_the_way_by_hand(
    site: Site, remote: RemoteFile, tmp_path: Path, status: int
) -> None:
    site.status = status
    with pytest.raises(DownloadError, match=rf"{site.url} answered {status} .*Try again, or {BY_HAND}"):
        download(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_instead_of_the_file_is_not_kept(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.content, site.content_type = b"<html>Too many users have viewed this file</html>", "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match=rf"answered with a web page instead of net\.pth.*{BY_HAND}"):
        download(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_silence_ends_the_download(site: Site, remote: RemoteFile, tmp_path: Path) -> None:
    site.stall_after = 300_000
    with pytest.raises(DownloadError, match=r"was cut off by silence for 0\.2 s\. Run the command again"):
        download(remote, tmp_path, timeout_s=0.2)
    assert (tmp_path / "net.pth.part").exists()


def test_no_server_at_all(remote: RemoteFile, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/net.pth"
        with pytest.raises(
            DownloadError, match=rf"cannot download net\.pth from {url}: .*refused.*Check the connection, or {BY_HAND}"
        ):
            download(replace(remote, url=url), tmp_path, timeout_s=1)


def test_a_folder_that_cannot_be_made(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"cannot read or write .*file.*: Not a directory"):
        download(remote, tmp_path / "file" / "folder")
