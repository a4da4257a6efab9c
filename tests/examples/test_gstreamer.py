"""The GStreamer example on GStreamer's own test picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "gstreamer" / "segment_stream.py"
_IMPORT = "import gi; gi.require_version('GstApp', '1.0'); gi.require_version('GstVideo', '1.0')"
_DEBIAN = Path("/usr/lib/python3/dist-packages")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which this python finds GStreamer. Without it the test is skipped, or fails in CI.

    Debian has the bindings for its own python only; of that one's packages, which are others than ours, only they are
    taken.
    """
    folder = tmp_path_factory.mktemp("bindings")
    if (_DEBIAN / "gi").is_dir():
        (folder / "gi").symlink_to(_DEBIAN / "gi")
    variables = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", _IMPORT], env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"needs GStreamer and its bindings: {done.stderr.strip().splitlines()[-1]}"
        if os.environ.get("FCNRT_REQUIRE_GSTREAMER") == "1":
            pytest.fail(f"FCNRT_REQUIRE_GSTREAMER=1, but it {reason}")
        pytest.skip(reason)
    return variables


def _run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_every_frame_arrives_painted(environment: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    # 322 columns: GStreamer pads the rows of such pictures.
    source = "videotestsrc num-buffers=12 pattern=blue ! video/x-raw,width=322,height=240,framerate=10/1"
    done = _run(environment, tiny_model, source, f"avimux ! filesink location={film}")
    assert (done.returncode, done.stdout) == (0, "12 frames\n"), done.stderr
    with av.open(str(film)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([number / 10 for number in range(12)])
    for _, image in frames:
        assert image.shape == (240, 322, 3)
        assert np.all(np.abs(image.astype(int) - (0, 0, 255)) <= 3)  # blue, with its class colour over it: blue


@pytest.mark.parametrize(
    ("source", "sink", "message"),
    [
        ("nonsense", "fakesink", "nonsense"),
        ("videotestsrc num-buffers=3", "filesink location=/proc/no/file", "Could not open file"),
        ("videotestsrc num-buffers=30", "filesink location=/dev/full", "No space left"),
        ("filesrc location=/no/file ! decodebin", "fakesink", "Resource not found"),
    ],
)
def test_what_fails_is_one_line(
    environment: dict[str, str], tiny_model: Path, source: str, sink: str, message: str
) -> None:
    done = _run(environment, tiny_model, source, sink)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: ")
