"""A camera by its index: the kernel's side is `fake_camera.c`, the rest is real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest

_READ = """
import json
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.video.reader import VideoReader

with VideoReader(find_source("0")) as reader:
    frames = [frame for frame, _ in zip(reader, range(20))]
    print(json.dumps({
        "size": str(reader.facts.size),
        "fps": float(reader.facts.fps),
        "times_s": [float(frame.pts * reader.facts.time_base) for frame in frames],
        "pixels": [frames[-1].image[24, x].tolist() for x in (10, 50)],
    }))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is the camera."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler to make a camera")
    path = tmp_path_factory.mktemp("camera") / "fake_camera.so"
    source = Path(__file__).with_name("fake_camera.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return path


def _start(library: Path, behaviour: str, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "LD_PRELOAD": str(library), "FAKE_CAMERA": behaviour},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _frame_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_frames_come_with_their_times(library: Path, tmp_path: Path) -> None:
    out, err = _start(library, "endless", tmp_path, "-c", _READ).communicate(timeout=60)
    assert err == ""
    seen = json.loads(out)

    assert (seen["size"], seen["fps"]) == ("48x64", 50)
    times = seen["times_s"]
    assert len(times) == 20
    assert times[0] == 0
    # Times are those of the camera's clock, which sleeps at least 1/50 s before each picture.
    assert all(later - earlier >= 0.0199 for earlier, later in pairwise(times))
    for pixel, expected in zip(seen["pixels"], [(255, 0, 0), (0, 0, 255)], strict=True):
        assert pixel == pytest.approx(expected, abs=4)


def test_an_unplugged_camera_keeps_the_frames_so_far(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    process = _start(library, "40 unplug", tmp_path, "-m", "fcnrt", "run", "0", "--model", tiny_model, "--profile")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "camera0-overlay.mp4\n")
    facts, summary, profile, error = err.splitlines()
    # Reading is waiting for the camera, and would always look like the bottleneck.
    assert re.search(r"busy: inference \d+ %, writing \d+ %; reading keeps the pace of the source$", profile)
    assert "64x48, 50 fps, no audio" in facts
    assert summary.startswith(f"  {_frame_count(tmp_path / out.strip())} frames")
    assert error == "error: camera 0: broke off after 40 frames (No such device)"


def test_ctrl_c_ends_a_recording(library: Path, tiny_model: Path, tmp_path: Path) -> None:
    process = _start(library, "endless", tmp_path, "-m", "fcnrt", "run", "0", "--model", tiny_model, "-o", "a.mp4")
    assert process.stderr is not None
    facts = process.stderr.readline()  # printed when the first frame is there
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert "64x48" in facts
    assert (process.returncode, out) == (130, "a.mp4\n")
    assert err.splitlines()[-1] == "interrupted"
    assert _frame_count(tmp_path / "a.mp4") >= 5


@pytest.mark.parametrize("name", ["0", "/dev/video0"])
def test_a_camera_that_another_program_has(library: Path, tiny_model: Path, tmp_path: Path, name: str) -> None:
    process = _start(library, "busy", tmp_path, "-m", "fcnrt", "run", name, "--model", tiny_model)

    assert process.communicate(timeout=60) == ("", "error: camera 0: cannot be opened (Device or resource busy)\n")
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == []
