from __future__ import annotations

import contextlib
import fcntl
import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import av
import numpy as np
import pytest

from fcnrt.cli import run as command
from fcnrt.runtime.images.files import read_image, write_image
from fcnrt.runtime.run.outputs import Save
from fcnrt.runtime.runners import Backend, Provider
from fcnrt.runtime.spec import ImageSize

MakeVideo = Callable[..., Path]


class Finished(NamedTuple):
    exit_code: int
    out: str
    err: str


RunFcnrt = Callable[..., Finished]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _frame_count(path: str) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_images(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        image = np.zeros((40, 60, 3), np.uint8)
        image[:, :45, 0] = 200
        image[:, 45:, 2] = 200
        write_image(folder / name, image)


def test_options_match_the_library() -> None:
    assert get_args(command.SaveName) == get_args(Save)
    assert get_args(command.BackendName) == ("auto", *get_args(Backend))
    assert get_args(command.ProviderName) == get_args(Provider)


def test_a_video(fcnrt: RunFcnrt, tiny_model: Path, make_video: MakeVideo) -> None:
    make_video(Path("street.mp4"), pts=range(25), audio="aac", size=ImageSize(48, 64))

    done = fcnrt("run", "street.mp4", "--model", tiny_model)

    assert done.exit_code == 0
    assert done.out == "street-overlay.mp4\n"
    first, last = done.err.splitlines()
    assert first == "model fcn8s (tiny.onnx) · onnxruntime on cpu · 64x48, 10 fps, 2.5 s, audio kept"
    assert last.startswith("  25 frames · blue ")
    assert " %  red 2" in last
    assert _frame_count("street-overlay.mp4") == 25


def test_a_report_is_for_pictures(fcnrt: RunFcnrt, tiny_model: Path, make_video: MakeVideo) -> None:
    _write_images(Path("in"), "a.jpg", "b.png")
    make_video(Path("street.mp4"), pts=range(3))

    done = fcnrt("run", "in", "--model", tiny_model, "--save", "report")
    refused = fcnrt("run", "street.mp4", "--model", tiny_model, "--save", "report")

    assert (done.exit_code, _names(Path("in-report"))) == (0, ["a.png", "b.png"])
    assert read_image(Path("in-report", "a.png")).shape[1] == 3 * 240 + 4 * 16
    assert refused.exit_code == 1
    assert refused.err == "error: street.mp4 is a video; --save report is for pictures, a video takes overlay\n"


def test_profile_says_how_busy_each_stage_was(fcnrt: RunFcnrt, tiny_model: Path, make_video: MakeVideo) -> None:
    make_video(Path("street.mp4"), pts=range(25), size=ImageSize(48, 64))

    done = fcnrt("run", "street.mp4", "--model", tiny_model, "--profile")

    found = re.fullmatch(
        r"  ([\d.]+) frames/s in ([\d.]+) s; busy: reading (\d+) %, inference (\d+) %, writing (\d+) %",
        done.err.splitlines()[-1],
    )
    assert found
    assert all(0 <= int(share) <= 100 for share in found.groups()[2:])
    assert any(int(share) > 0 for share in found.groups()[2:])


def test_a_slash_at_the_end_means_a_folder(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path(), "photo.png")

    done = fcnrt("run", "photo.png", "--model", tiny_model, "-o", "results.v1/")

    assert (done.exit_code, done.out) == (0, "results.v1/photo.png\n")
    assert _names(Path("results.v1")) == ["photo.png"]


def test_one_image(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path(), "photo.png")

    done = fcnrt("run", "photo.png", "--model", tiny_model, "--save", "color")

    assert done == (
        0,
        "photo-color.png\n",
        "model fcn8s (tiny.onnx) · onnxruntime on cpu · 1 image\n  1 of 1 images · red 75.0 %  blue 25.0 %\n",
    )
    np.testing.assert_array_equal(read_image(Path("photo-color.png"))[0, 0], (255, 0, 0))


def test_a_folder_where_some_files_are_broken(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path("broken"), "a.png", "b.jpg", "c.png")
    data = Path("broken/b.jpg").read_bytes()
    Path("broken/b.jpg").write_bytes(data[:200])
    Path("broken/notes.txt").write_text("notes")

    done = fcnrt("run", "broken/", "--model", tiny_model, "-o", "out/", "--batch", 4)

    assert done.exit_code == 1
    assert done.out == "out\n"
    assert done.err.splitlines()[1:] == [
        "  2 of 3 images · red 75.0 %  blue 25.0 %",
        "  broken/notes.txt: not an image (skipped)",
        "  broken/b.jpg: truncated after 200 bytes; delete it or fetch it again",
    ]
    assert _names(Path("out")) == ["a.png", "c.png"]


def test_skipped_files_alone_are_no_error_and_fill_no_screen(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path("mixed"), "a.png")
    for number in range(20):
        Path(f"mixed/{number:02}.txt").write_text("text")

    done = fcnrt("run", "mixed", "--model", tiny_model)

    assert done.exit_code == 0
    assert done.out == "mixed-overlay\n"
    assert done.err.splitlines()[-1] == "  and 15 more files that are not images (skipped)"
    assert len(done.err.splitlines()) == 8


def test_a_pattern_with_folders(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path("day"), "1.png", "2.png")
    _write_images(Path("night"), "1.png")

    done = fcnrt("run", "*/1.png", "--model", tiny_model, "-o", "out", "--save", "classes")

    assert (done.exit_code, done.out) == (0, "out\n")
    assert sorted(str(path) for path in Path("out").rglob("*.png")) == ["out/day/1.png", "out/night/1.png"]


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("gone.jpg", None, "gone.jpg: no such file or folder; give an image, a folder, a quoted glob pattern"),
        ("empty.png", b"", "empty.png: empty (0 bytes); delete it or fetch it again"),
        ("empty.mp4", b"", "empty.mp4: empty (0 bytes); delete it or fetch it again"),
        ("text.jpg", b"some text\n", "text.jpg: not an image but text"),
        ("text.mp4", b"some text\n", "text.mp4: neither an image nor a video that can be read"),
    ],
)
def test_bad_input_is_one_line(
    fcnrt: RunFcnrt, tiny_model: Path, name: str, contents: bytes | None, message: str
) -> None:
    if contents is not None:
        Path(name).write_bytes(contents)

    done = fcnrt("run", name, "--model", tiny_model)

    assert (done.exit_code, done.out) == (1, "")
    assert done.err.startswith(f"error: {message}")
    assert done.err.count("\n") == 1
    assert _names(Path()) == ([name] if contents is not None else [])


def test_a_video_cut_off_in_the_middle(fcnrt: RunFcnrt, tiny_model: Path, make_video: MakeVideo) -> None:
    path = make_video(Path("clip.mkv"), pts=range(40))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])

    done = fcnrt("run", "clip.mkv", "--model", tiny_model)

    count = _frame_count("clip-overlay.mp4")
    assert 8 < count < 40
    assert (done.exit_code, done.out) == (1, "clip-overlay.mp4\n")
    assert done.err.splitlines()[-1] == (
        f"error: clip.mkv: truncated; {count} frames before the cut could be read. Fetch the file again"
    )


def test_the_source_is_never_overwritten(fcnrt: RunFcnrt, tiny_model: Path, make_video: MakeVideo) -> None:
    make_video(Path("clip.mp4"))
    before = Path("clip.mp4").read_bytes()

    done = fcnrt("run", "clip.mp4", "--model", tiny_model, "-o", "clip.mp4")

    assert done == (1, "", "error: cannot write clip.mp4: it is one of the inputs; give another name\n")
    assert Path("clip.mp4").read_bytes() == before


def test_an_output_folder_that_is_read_only(fcnrt: RunFcnrt, tiny_model: Path) -> None:
    _write_images(Path(), "photo.png")

    done = fcnrt("run", "photo.png", "--model", tiny_model, "-o", "/proc/photo.png")

    assert (done.exit_code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("error: cannot write /proc/photo.png: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--save", "nothing"],
        ["--opacity", "1.5"],
        ["--backend", "tensorflow"],
        ["--device", "gpu7"],
        ["--batch", "0"],
    ],
)
def test_unknown_values_are_usage_errors(fcnrt: RunFcnrt, arguments: list[str]) -> None:
    done = fcnrt("run", "photo.png", *arguments)

    assert (done.exit_code, done.out) == (2, "")
    assert arguments[0] in done.err


@pytest.fixture
def endless_stream(make_video: MakeVideo, tmp_path: Path) -> Iterator[str]:
    """The address of a video that comes slowly, like a camera's, and stops only when the reader goes."""
    data = make_video(tmp_path / "clip.ts", pts=[9000 * i for i in range(900)]).read_bytes()

    class Slowly(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(data[: len(data) // 3])
            with contextlib.suppress(OSError):
                for start in range(len(data) // 3, len(data), 188):
                    self.wfile.write(data[start : start + 188])
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slowly) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
        server.shutdown()
        thread.join()


def _heed_hangups() -> None:
    """Tests may run under nohup, and what they start inherits that."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_being_stopped_keeps_the_frames_so_far(
    tiny_model: Path, endless_stream: str, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "fcnrt", "run", endless_stream, "--model", tiny_model],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_hangups,
    )
    assert process.stderr is not None
    facts = process.stderr.readline()  # printed when the first frame is there
    time.sleep(1)
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)

    assert process.returncode == code
    assert "64x48" in facts
    assert out == "live-overlay.mp4\n"
    summary, last = err.splitlines()
    assert last == "interrupted"
    assert summary.startswith(f"  {_frame_count(str(work / 'live-overlay.mp4'))} frames · ")
    assert _names(work) == ["live-overlay.mp4"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_before_a_stream_says_anything(
    tiny_model: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-m", "fcnrt", "run", f"http://127.0.0.1:{silent.getsockname()[1]}/live.ts"]
        process = subprocess.Popen(
            [*command, "--model", tiny_model], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(sent)
            out, err = process.communicate(timeout=8)  # the stream is given up after 10 s

    assert (process.returncode, out, err) == (code, "", "interrupted\n")
    assert _names(tmp_path) == []


def test_a_terminal_that_is_gone_keeps_the_frames_so_far(tiny_model: Path, endless_stream: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fcnrt", "run", endless_stream, "--model", tiny_model],
        cwd=work,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: (_heed_hangups(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )
    os.close(theirs)
    shown = b""
    while "fps ·".encode() not in shown:  # the bar's rate of frames
        shown += os.read(ours, 1000)
    os.close(ours)  # the kernel sends SIGHUP
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGHUP)  # and so does a shell

    assert process.wait(30) == 129
    assert _frame_count(str(work / "live-overlay.mp4"))
    assert _names(work) == ["live-overlay.mp4"]


def test_nohup_goes_on_when_the_session_ends(tiny_model: Path, endless_stream: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "fcnrt", "run", endless_stream, "--model", tiny_model],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "no audio" not in process.stderr.readline():  # printed when the first frame is there
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert _names(work) == ["live-overlay.mp4"]


def test_neither_torch_nor_onnx_is_imported(tiny_model: Path, make_video: MakeVideo, tmp_path: Path) -> None:
    make_video(tmp_path / "clip.mp4")
    _write_images(tmp_path, "photo.png")
    script = f"""
import sys
from fcnrt.cli.app import app
for source in ("clip.mp4", "photo.png"):
    app(["run", source, "--model", {str(tiny_model)!r}], standalone_mode=False)
print({{"torch", "onnx", "onnxscript", "torchvision", "safetensors", "PIL"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout.splitlines() == ["clip-overlay.mp4", "photo-overlay.png", "set()"]
