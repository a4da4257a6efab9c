"""Which engines work is tried, on a GPU that `conftest.py` describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from fcnrt.runtime.video.engines import write_film

if TYPE_CHECKING:
    from .conftest import FakeGpu

_DECODES = int(av.__version__.split(".")[0]) >= 18  # earlier PyAV loses what a frame from the GPU says about itself


@pytest.mark.parametrize(
    ("fails", "engines"),
    [
        ("session", ["NVDEC"] if _DECODES else []),
        ("", ["NVENC"]),  # the GPU was taught the film of software, not its own
        ("device", []),
    ],
)
def test_which_engines_work(gpu: FakeGpu, tmp_path: Path, fails: str, engines: list[str]) -> None:
    write_film(tmp_path / "film.mp4", "cpu")
    gpu.teach(tmp_path / "film.mp4")
    script = "from fcnrt.runtime.video.engines import working_engines; print(sorted(working_engines('cuda:0')))"

    done = gpu.run("-c", script, fails=fails)

    assert (done.stdout, done.stderr) == (f"{engines}\n", "")
