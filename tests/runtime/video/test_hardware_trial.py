"""What of a GPU works for video is tried. See `conftest.py` for the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from fcnrt.runtime.video.hardware_trial import write_film

if TYPE_CHECKING:
    from .conftest import FakeGpu

_DECODES = int(av.__version__.split(".")[0]) >= 18  # earlier PyAV loses what a frame from the GPU says about itself


@pytest.mark.parametrize(
    ("fails", "works"),
    [
        ("session", ["NVDEC"] if _DECODES else []),
        ("", ["NVENC"]),  # the GPU was taught the film of software, not its own
        ("encode 5", ["NVDEC"] if _DECODES else []),
        ("device", []),
    ],
)
def test_what_works(gpu: FakeGpu, tmp_path: Path, fails: str, works: list[str]) -> None:
    write_film(tmp_path / "film.mp4", "cpu")
    gpu.teach(tmp_path / "film.mp4")
    script = (
        "from fcnrt.runtime.video.hardware_trial import working_hardware; print(sorted(working_hardware('cuda:0')))"
    )

    done = gpu.run("-c", script, fails=fails)

    assert (done.stdout, done.stderr) == (f"{works}\n", "")
