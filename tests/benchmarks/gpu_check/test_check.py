"""The GPU check on the CPU: everything but the GPU itself."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.gpu_check.arrays import compare_class_maps
from fcnrt.benchmarks.gpu_check.check import GpuCheck, describe, main, measure, missed, require_device
from fcnrt.benchmarks.gpu_check.models import CheckedNetwork, exported_file
from fcnrt.benchmarks.gpu_check.models import main as export_main
from fcnrt.benchmarks.gpu_check.parity import measure_parity
from fcnrt.benchmarks.gpu_check.speed import measure_speed
from fcnrt.benchmarks.gpu_check.ways import TorchWay
from fcnrt.benchmarks.report import Outcome, Report, Row
from fcnrt.fcn_models.checkpoint import Checkpoint, load_checkpoint
from fcnrt.runtime.errors import DeviceError, MissingDependencyError
from fcnrt.runtime.spec import ImageSize

CPU = torch.device("cpu")
SIZE = ImageSize(48, 64)

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")


@pytest.fixture
def network(tiny_files: Any) -> CheckedNetwork:
    """A network with the classes of the scenes, which cannot be exported here."""
    checkpoint = load_checkpoint(tiny_files.checkpoint)

    def refuse() -> Checkpoint:
        raise MissingDependencyError("exporting needs onnx, which is not installed")

    return CheckedNetwork("tiny", "a tiny FCN-8s", checkpoint.model, refuse, checkpoint.preprocessing, trained=True)


@pytest.fixture
def settings(network: CheckedNetwork, tiny_files: Any, tmp_path: Path) -> GpuCheck:
    shutil.copy(tiny_files.onnx, tmp_path / "tiny-fp32.onnx")
    return GpuCheck(
        networks=(lambda: network,),
        models=tmp_path,
        device="cpu",
        points=((SIZE, 1), (SIZE, 2)),
        scenes=3,
        scene_size=ImageSize(64, 64),
        matmul_size=64,
        compiled=False,
    )


def test_measures_all_that_works_here_and_says_what_does_not(settings: GpuCheck, tmp_path: Path) -> None:
    kept: list[int] = []
    lines: list[str] = []
    path = tmp_path / "check.json"

    def keep(report: Report) -> None:
        kept.append(len(report.rows))
        report.write(path)

    report = measure(settings, keep=keep, progress=lines.append)
    assert Report.read(path) == report
    names = [
        "matmul",
        "tiny-class-maps",
        *(f"tiny-48x64-{batch}-{kind}" for batch in (1, 2) for kind in ("device", "memory")),
    ]
    assert [row.name for row in report.rows] == names
    assert kept == [1, 2, 3, 4, 5, 6, 6]  # after each, so that nothing is lost
    ways = {"PyTorch fp32", "PyTorch fp16", "fcnrt onnxruntime fp32"}
    for row in report.rows[2:]:
        assert set(row.samples) == ways
        assert all(len(samples) >= 5 and min(samples) > 0 for samples in row.samples.values())
        compared = {outcome.meaning.split(": ")[1] for outcome in row.outcomes if "times as fast" in outcome.meaning}
        assert compared == ways - {"PyTorch fp32"}
    assert missed(report) == []
    assert any(note.startswith("onnxruntime ") and note.endswith(": cpu") for note in report.notes)
    *_, half, engine = report.notes
    assert half == "onnxruntime is left out for tiny in fp16: exporting needs onnx, which is not installed"
    assert engine == "tensorrt is left out for tiny in fp16: it runs on NVIDIA GPUs only"
    for row in report.rows:
        assert describe(row)[0] == row.title
        assert set(describe(row)) <= set(lines)


def test_time_that_is_up_ends_it(settings: GpuCheck) -> None:
    report = measure(dataclasses.replace(settings, budget_s=0.0))
    assert [row.name for row in report.rows] == ["matmul", "tiny-class-maps"]
    assert "no time was left for a tiny FCN-8s at 48x64, batch 1" in report.notes


def test_weights_that_are_not_those_of_a_file_are_not_compared(settings: GpuCheck, network: CheckedNetwork) -> None:
    untrained = dataclasses.replace(network, trained=False)
    report = measure(dataclasses.replace(settings, networks=(lambda: untrained,), points=()))
    assert [row.name for row in report.rows] == ["matmul"]
    assert "class maps are not compared, nor scored: a tiny FCN-8s" in report.notes


class Wrong:
    """A way that gives other class maps: everywhere, or only for frames that are on the device."""

    arithmetic = "fp16"

    def __init__(self, way: TorchWay, *, there: bool) -> None:
        self.way, self.there = way, there

    def on_device(self, frames: torch.Tensor) -> Callable[[], torch.Tensor]:
        return lambda: (self.way.on_device(frames)() + self.there) % 21

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return (self.way(frames) + (not self.there)) % 21


@pytest.mark.parametrize(
    ("there", "complaint"),
    [(False, "% of the pixels not as PyTorch fp32: wrong"), (True, "for frames that are on the device already: wrong")],
)
def test_class_maps_that_are_wrong_are_told(network: CheckedNetwork, there: bool, complaint: str) -> None:
    way = TorchWay(network.deployable("fp32"), CPU, "fp32")
    ways = {"PyTorch fp32": way, "wrong": Wrong(way, there=there)}
    row = measure_parity(network, ways, CPU, scenes=2, size=ImageSize(64, 64), note=lambda text: None)
    wrong = [outcome.meaning for outcome in row.outcomes if outcome.met is False]
    assert any(meaning.endswith(complaint) for meaning in wrong)
    assert not any(meaning.endswith(": PyTorch fp32") for meaning in wrong)
    assert any("MISSED: at most 0.15" in line for line in describe(row))


def test_every_case_of_arrays_is_judged() -> None:
    notes: list[str] = []
    expected = np.array([[0, 1], [2, 1]])

    def fail() -> NoReturn:
        raise RuntimeError("an illegal memory access\nwas encountered")

    cases: dict[str, Callable[[], Any]] = {
        "right": lambda: expected.copy(),
        "a pixel off": lambda: np.array([[0, 1], [2, 2]]),
        "failing": fail,
    }
    outcomes = compare_class_maps(cases, expected, note=notes.append)
    assert [(outcome.value, outcome.met) for outcome in outcomes] == [(100, True), (75, False), (0, False)]
    assert notes == ["failing failed: an illegal memory access was encountered"]
    kept = Outcome(value=16, meaning="MiB not given back", at_most=4)
    row = Row(name="arrays", title="", scope="", unit="", samples={}, outcomes=(*outcomes, kept))
    assert missed(Report(environment=Environment.here(), rows=(row,))) == [
        "75 % of the pixels right: a pixel off (at least 100)",
        "0 % of the pixels right: failing (at least 100)",
        "16 MiB not given back (at most 4)",
    ]


class Broken:
    arithmetic = "fp16"

    def on_device(self, frames: torch.Tensor) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 GiB")

    def __call__(self, frames: np.ndarray) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 GiB")


def test_a_way_that_fails_is_named_and_the_others_go_on(network: CheckedNetwork) -> None:
    fp32 = TorchWay(network.deployable("fp32"), CPU, "fp32")
    ways = {"PyTorch fp32": fp32, "broken": Broken()}
    notes: list[str] = []
    rows = measure_speed(network, ways, CPU, SIZE, 1, peaks={}, note=notes.append)
    assert [set(row.samples) for row in rows] == [{"PyTorch fp32"}] * 2
    parity = measure_parity(network, ways, CPU, scenes=1, size=ImageSize(64, 64), note=notes.append)
    assert not any("broken" in outcome.meaning for outcome in parity.outcomes)
    assert notes == [
        "broken failed on a tiny FCN-8s at 48x64, batch 1: CUDA out of memory. Tried to allocate 20.00 GiB",
        "broken failed on a tiny FCN-8s: CUDA out of memory. Tried to allocate 20.00 GiB",
    ]
    assert measure_speed(network, {"broken": Broken()}, CPU, SIZE, 1, peaks={}, note=notes.append) == []


@pytest.mark.parametrize("failing", ["PyTorch fp32", "fcnrt onnxruntime fp16"])
def test_neither_the_reference_nor_fcnrt_may_fail(network: CheckedNetwork, failing: str) -> None:
    fp32 = TorchWay(network.deployable("fp32"), CPU, "fp32")
    ways = {"PyTorch fp32": fp32, "fcnrt onnxruntime fp16": fp32, failing: Broken()}
    row = measure_parity(network, ways, CPU, scenes=1, size=ImageSize(64, 64), note=lambda text: None)
    assert missed(Report(environment=Environment.here(), rows=(row,))) == [
        f"100 % of the pixels not as PyTorch fp32: {failing} (at most 0.15)"
    ]


class OnePixelOff:
    """A way in float32 that gives another class to one pixel in memory."""

    arithmetic = "fp32"

    def __init__(self, way: TorchWay) -> None:
        self.way = way
        self.on_device = way.on_device

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        class_maps = self.way(frames).copy()
        class_maps[0, 0, 0] = (class_maps[0, 0, 0] + 1) % 21
        return class_maps


@pytest.mark.parametrize(("side", "met"), [(260, False), (320, True)])
def test_shares_near_what_is_tolerated_are_told_apart(network: CheckedNetwork, side: int, met: bool) -> None:
    """One pixel of 67,600 is more than 0.001 %; one of 102,400 is less."""
    way = TorchWay(network.deployable("fp32"), CPU, "fp32")
    ways = {"PyTorch fp32": way, "off": OnePixelOff(way)}
    row = measure_parity(network, ways, CPU, scenes=1, size=ImageSize(side, side), note=lambda text: None)
    (outcome,) = (outcome for outcome in row.outcomes if outcome.meaning.endswith("not as PyTorch fp32: off"))
    assert outcome.met is met


def test_the_score_is_held_against_the_references_with_each_ways_own_tolerance(network: CheckedNetwork) -> None:
    fp32 = TorchWay(network.deployable("fp32"), CPU, "fp32")
    ways = {"PyTorch fp32": fp32, "single": fp32, "half": Wrong(fp32, there=True)}
    row = measure_parity(network, ways, CPU, scenes=1, size=ImageSize(64, 64), note=lambda text: None)
    scores = [outcome for outcome in row.outcomes if outcome.meaning.startswith("mIoU")]
    iou = scores[0].value
    assert [outcome.at_least for outcome in scores] == [None, pytest.approx(iou - 0.05), pytest.approx(iou - 0.2)]


@needs_no_gpu
def test_without_a_gpu_it_says_so_and_stops(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: there is no cuda:0: PyTorch .* sees 0 CUDA devices; .* --device cpu"):
        main(["--output", str(tmp_path / "check.json")])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="'gpu7' is not a device; write cuda:0"):
        require_device("gpu7")
    with pytest.raises(DeviceError, match="there is no cuda: "):
        require_device("cuda")
    require_device("cpu")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="the check needs PyTorch"):
        require_device("cpu")


def test_exporting_without_the_packages(network: CheckedNetwork, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="exporting needs onnx"):
        exported_file(network, "fp32", tmp_path)
    with pytest.raises(SystemExit, match=r"error: cannot make the folder .*file"):
        (tmp_path / "file").touch()
        export_main([str(tmp_path / "file" / "models")])


def test_takes_nothing_but_pytorch_and_numpy() -> None:
    code = """
import importlib.util, sys
missing = {"typer", "rich", "av", "cv2", "onnx", "onnxscript", "onnxruntime", "safetensors", "torchvision", "PIL"}
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in missing else real(name, package)
for name in missing:
    sys.modules[name] = None
import torch
from pathlib import Path
from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.gpu_check.check import GpuCheck, measure
from fcnrt.benchmarks.gpu_check.models import CheckedNetwork, demo_network
from fcnrt.benchmarks.random_network import random_network
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.runtime.spec import ImageSize

assert not demo_network().trained
config = FCNConfig(variant="fcn8s", width=1 / 16, fc_channels=16)
for trained in (False, True):
    network = CheckedNetwork("tiny", "tiny", random_network(config), lambda: None, trained=trained)
    settings = GpuCheck(
        networks=(lambda: network,), models=Path(), device="cpu", points=((ImageSize(32, 32), 1),), scenes=2,
        scene_size=ImageSize(40, 32), matmul_size=32, compiled=False,
    )
    report = measure(settings)
    assert len(report.rows) == 3 + trained, report
    assert any("onnxruntime is left out for tiny in fp32: it is not installed" in note for note in report.notes), report
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
