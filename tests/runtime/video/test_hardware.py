"""`fcnrt run` with a network on a GPU that decodes and encodes as well. See `conftest.py` for the GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from fcnrt.runtime.errors import DeviceError
from fcnrt.runtime.spec import ModelSpec
from fcnrt.runtime.video.hardware import video_gpu

if TYPE_CHECKING:
    from .conftest import FakeGpu, MakeFilm

_DECODES = int(av.__version__.split(".")[0]) >= 18  # earlier PyAV loses what a frame from the GPU says about itself

_RUN = """
import sys
import numpy as np
from fcnrt.__main__ import main
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec

class Runner:
    backend = "fake"
    device = sys.argv.pop(1)
    spec = ModelSpec.from_json(sys.argv.pop(1))

    def run(self, frames, outputs, *, class_map=None):
        return {"class_map": frames.argmax(-1).astype(np.uint8)}

    def close(self):
        pass

Segmenter.open = lambda *_, **__: Segmenter(Runner())
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("device", "index"), [("cpu", None), ("auto", None), ("cuda", 0), ("cuda:0", 0), ("cuda:3", 3)]
)
def test_the_gpu_that_runs_the_network_is_tried(device: str, index: int | None) -> None:
    assert video_gpu(device) == index


def test_a_device_that_is_none() -> None:
    with pytest.raises(DeviceError, match="'gpu' is not a device"):
        video_gpu("gpu")


@pytest.mark.parametrize("save", ["overlay", "color", "classes"])
def test_a_run_on_the_gpu_is_like_one_in_software(
    gpu: FakeGpu, tmp_path: Path, make_film: MakeFilm, tiny_spec: ModelSpec, save: str
) -> None:
    film = gpu.teach(make_film(tmp_path / "film.mp4", audio="aac"))
    results = {}
    for device in ("cpu", "cuda:0"):
        result = tmp_path / f"{device[:3]}.{'mp4' if save != 'classes' else 'd'}"
        arguments = ("run", film, "--model", tmp_path / "no.onnx", "-o", result, "--save", save, "--profile")
        done = gpu.run("-c", _RUN, device, tiny_spec.to_json(), *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"{result}\n"), done.stderr
        results[device] = result, re.sub(r"[0-9.]+ %", "N %", done.stderr.splitlines()[-1].split("busy: ")[1])
        if device == "cpu":
            assert gpu.used() == ""

    assert results["cpu"][1] == "reading N %, inference N %, writing N %"
    decoder = " (NVDEC)" if _DECODES else ""
    encoder = " (NVENC)" if save != "classes" else ""
    assert results["cuda:0"][1] == f"reading N %{decoder}, inference N %, writing N %{encoder}"
    used = gpu.used()
    assert (used.count("d"), used.count("e")) == (40 if decoder else 0, 41 if encoder else 0)

    software, hardware = results["cpu"][0], results["cuda:0"][0]
    if save == "classes":
        for png in software.iterdir():
            assert (hardware / png.name).read_bytes() == png.read_bytes()
        return
    with av.open(str(software)) as one, av.open(str(hardware)) as other:
        assert [packet.pts for packet in one.demux(audio=0)] == [packet.pts for packet in other.demux(audio=0)]
        one.seek(0), other.seek(0)
        assert one.streams.video[0].duration == other.streams.video[0].duration
        frames, same = list(one.decode(video=0)), list(other.decode(video=0))
    assert [frame.pts for frame in frames] == [frame.pts for frame in same]
    for frame, again in zip(frames, same, strict=True):
        assert np.abs(frame.to_ndarray().astype(int) - again.to_ndarray()).mean() < 3
