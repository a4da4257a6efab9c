from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcnrt.benchmarks.bench.agreement import verdict
from fcnrt.benchmarks.bench.line_up import open_line_up
from fcnrt.benchmarks.bench.peers import PYTORCH, USUAL_ROUTE
from fcnrt.benchmarks.bench.probe import Probe, load_and_run, probe
from fcnrt.benchmarks.bench.recipe import Recipe
from fcnrt.benchmarks.bench.report import BenchReport
from fcnrt.benchmarks.bench.run_bench import BenchSettings, measure_on_device, run_bench
from fcnrt.benchmarks.bench.subject import Entry, open_subject
from fcnrt.benchmarks.bench.tables import tables
from fcnrt.benchmarks.timing import WarmUp
from fcnrt.datasets.synthetic import render_scene
from fcnrt.datasets.voc_writer import write_voc
from fcnrt.runtime.errors import CheckpointError, DatasetError, DeviceError, InferenceError, ModelFileError
from fcnrt.runtime.onnx_header import read_onnx_header
from fcnrt.runtime.spec import ImageSize

FCNRT = "fcnrt onnxruntime cpu"


def no_probe(recipe: Recipe, size: ImageSize, batch: int) -> Probe:
    return Probe(load_s=0.5, peak_memory_mib=100.0)


@pytest.fixture
def settings(tiny_files) -> BenchSettings:
    return BenchSettings(
        models=[tiny_files.onnx],
        sizes=[ImageSize(48, 64)],
        device="cpu",
        scenes=3,
        rounds=4,
        reference=tiny_files.checkpoint,
        scene_size=ImageSize(64, 64),
        files=2,
        warm_up=WarmUp(window=1, max_rounds=2),
    )


@pytest.fixture(scope="session")
def report(tiny_files) -> BenchReport:
    return run_bench(
        BenchSettings(
            models=[tiny_files.onnx],
            sizes=[ImageSize(48, 64), ImageSize(33, 40)],
            batches=[1, 2],
            device="cpu",
            scenes=3,
            rounds=4,
            reference=tiny_files.checkpoint,
            scene_size=ImageSize(64, 64),
            files=2,
            warm_up=WarmUp(window=1, max_rounds=2),
        ),
        probe=no_probe,
    )


def test_every_scope_size_and_batch_is_measured_for_everybody(report: BenchReport) -> None:
    assert [(member.name, member.role) for member in report.members] == [(PYTORCH, "reference"), (FCNRT, "fcnrt")]
    measured = {(s.member, s.scope, s.size, s.batch): len(s.samples_ms) for s in report.series}
    expected = {
        (name, scope, size, batch): 3 if scope == "pipeline" else 4
        for name in (PYTORCH, FCNRT)
        for scope in ("infer", "end_to_end", "pipeline")
        for size in ("48x64", "33x40")
        for batch in (1, 2)
    }
    assert measured == expected
    assert all(min(series.samples_ms) > 0 for series in report.series)
    assert report.points() == [("48x64", 1), ("48x64", 2), ("33x40", 1), ("33x40", 2)]


def test_accuracy_is_that_of_the_whole_set_and_equal_to_pytorch(report: BenchReport) -> None:
    pytorch, fcnrt = (report.accuracy_of(name) for name in (PYTORCH, FCNRT))
    assert pytorch is not None and fcnrt is not None
    # One matrix over all three scenes; void pixels and the timed frames, which have no labels, are not in it.
    labels = [render_scene(2, index, ImageSize(64, 64)).label for index in range(3)]
    truth = np.concatenate([label[label != 255] for label in labels])
    assert np.array_equal(np.sum(fcnrt.counts, axis=1), np.bincount(truth, minlength=21))
    assert fcnrt.pixels == 3 * 64 * 64 + 48 * 64 + 33 * 40
    assert fcnrt.faults == 0
    assert pytorch.mean_iou() == pytest.approx(fcnrt.mean_iou(), abs=0.05)
    matches, sentence = verdict(report)
    assert matches
    assert sentence.startswith(f"every backend matches {PYTORCH} within 0.0")


def test_the_report_survives_being_written(report: BenchReport, tmp_path: Path) -> None:
    report.write(tmp_path / "bench.json")
    assert BenchReport.read(tmp_path / "bench.json") == report
    document = json.loads((tmp_path / "bench.json").read_text())
    first = document["series"][0]
    assert first["summary"]["median"] == pytest.approx(np.median(first["samples_ms"]), rel=1e-3)
    assert set(first["summary"]) == {"median", "p90", "p95", "p99", "max"}
    assert set(document["scopes"]) == {"infer", "device", "end_to_end", "pipeline"}
    assert document["environment"]["cpu"]


def test_the_tables_show_everybody(report: BenchReport) -> None:
    *speed, accuracy = tables(report)
    assert [table.title for table in speed] == [f"Speed at {s}, batch {b}: ms per call" for s, b in report.points()]
    for table in (*speed, accuracy):
        assert [row[0] for row in table.rows] == [PYTORCH, FCNRT]
        assert all(len(row) == len(table.header) for row in table.rows)
        lines = table.plain().splitlines()
        assert len(lines) == 4
    assert "100 %" in accuracy.rows[1] or "99.99" in "".join(accuracy.rows[1])


def test_another_network_than_the_reference_is_found_out(settings: BenchSettings, tiny_files) -> None:
    found = run_bench(dataclasses.replace(settings, models=[tiny_files.other_onnx]), probe=no_probe)
    matches, sentence = verdict(found)
    assert not matches
    assert f"does not match {PYTORCH}: {FCNRT}: " in sentence
    assert "pixels differ without being ties" in sentence
    assert any("seed1.onnx was not exported from this seed0.safetensors" in note for note in found.notes)


def test_without_a_reference_speed_is_measured_and_it_is_said(settings: BenchSettings) -> None:
    found = run_bench(dataclasses.replace(settings, reference=None), probe=no_probe)
    assert [member.name for member in found.members] == [FCNRT]
    assert any("no PyTorch reference: seed0.onnx was not exported from the bundled" in note for note in found.notes)
    assert any("--reference CHECKPOINT" in note for note in found.notes)
    assert verdict(found) == (True, "nothing was compared with PyTorch: speed alone was measured")
    assert found.accuracy_of(FCNRT).mean_iou() is not None


def test_models_are_compared_with_the_first_where_there_is_no_reference(settings: BenchSettings, tiny_files) -> None:
    models = [tiny_files.onnx, tiny_files.other_onnx]
    found = run_bench(dataclasses.replace(settings, models=models, reference=None), probe=no_probe)
    assert [member.name for member in found.members] == ["seed0 onnxruntime cpu", "seed1 onnxruntime cpu"]
    assert [member.compared_with for member in found.members] == [None, "seed0 onnxruntime cpu"]
    # Other weights need not agree.
    assert verdict(found)[0]


def test_labels_of_a_data_set_are_used(settings: BenchSettings, tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", count=10, seed=5, size=ImageSize(40, 56))
    found = run_bench(dataclasses.replace(settings, data=tmp_path / "voc"), probe=no_probe)
    assert found.pictures == "2 of 2 pictures of voc, split val"
    assert found.accuracy_of(FCNRT).pixels == 2 * 40 * 56 + 48 * 64


def test_data_may_have_any_layout_that_evaluate_takes(settings: BenchSettings, tmp_path: Path) -> None:
    write_voc(tmp_path, count=10, seed=5, size=ImageSize(40, 56))
    (tmp_path / "ImageSets").rename(tmp_path / "lists")
    (tmp_path / "JPEGImages").rename(tmp_path / "images")
    (tmp_path / "SegmentationClass").rename(tmp_path / "masks")
    found = run_bench(dataclasses.replace(settings, data=tmp_path), probe=no_probe)
    assert found.pictures == f"2 of 2 pictures of {tmp_path.name}, split val"
    assert np.sum(found.accuracy_of(FCNRT).counts) > 0.8 * 2 * 40 * 56  # void borders are not counted


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    for number in range(10):
        scene = render_scene(3, number, ImageSize(40, 56)).image
        cv2.imwrite(str(tmp_path / f"p{number}.png"), scene)
        cv2.imwrite(str(tmp_path / f"p{number}_matte.png"), np.full(scene.shape[:2], 255, np.uint8))
    return tmp_path


def test_labels_that_mean_other_classes_are_noted(settings: BenchSettings, portraits: Path) -> None:
    found = run_bench(dataclasses.replace(settings, data=portraits), probe=no_probe)
    assert [note for note in found.notes if "compared by their indices" in note] == [
        "class 1 is 'person' in portraits and mattes and 'aeroplane' to the network; classes are compared by their "
        "indices"
    ]


def test_data_without_a_label_has_no_score(settings: BenchSettings, tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", count=10, seed=5, size=ImageSize(40, 56))
    for mask in (tmp_path / "voc" / "SegmentationClass").iterdir():
        cv2.imwrite(str(mask), np.full((40, 56), 255, np.uint8))
    found = run_bench(dataclasses.replace(settings, data=tmp_path / "voc"), probe=no_probe)
    assert found.accuracy_of(FCNRT).counts is None
    assert not [cell for table in tables(found) for row in table.rows for cell in row if "nan" in cell]
    assert verdict(found)[0]


def test_a_folder_that_is_no_data_set_is_refused_at_once(settings: BenchSettings, tmp_path: Path) -> None:
    def never(recipe: Recipe, size: ImageSize, batch: int) -> Probe:
        raise AssertionError

    with pytest.raises(DatasetError, match="is no data set of a known layout: PASCAL VOC"):
        run_bench(dataclasses.replace(settings, data=tmp_path), probe=never)


def test_memory_that_cannot_be_measured_is_noted(settings: BenchSettings) -> None:
    def fail(recipe: Recipe, size: ImageSize, batch: int) -> Probe:
        raise InferenceError("it broke")

    found = run_bench(settings, probe=fail)
    assert f"loading and memory of {FCNRT} could not be measured: it broke" in found.notes
    assert found.members[1].load_s is None


def test_progress_goes_from_nothing_to_everything(settings: BenchSettings) -> None:
    steps: list[float] = []
    run_bench(settings, probe=no_probe, progress=lambda done, step: steps.append(done))
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0.0, 1.0)


@pytest.fixture
def line_up(tiny_files, tmp_path: Path) -> Callable[..., tuple]:
    def open_with(**changes: object) -> tuple:
        options = {"backends": [], "device": "cpu", "reference": tiny_files.checkpoint, "peers": False}
        with ExitStack() as stack:
            models = changes.pop("models", [tiny_files.onnx])
            found = open_line_up(stack, models, folder=tmp_path, **(options | changes))
            frames = np.stack([render_scene(5, 1, ImageSize(40, 56)).image] * 2)
            maps = {entry.member.name: entry.subject.end_to_end_call(frames)() for entry in found.entries}
            for entry in found.entries:
                entry.subject.infer_call(frames)()
        return found, maps

    return open_with


def test_peers_compute_what_pytorch_computes(line_up: Callable[..., tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "compile", lambda model: model)  # a minute of a C++ compiler's time
    _, maps = line_up(peers=True)
    assert {PYTORCH, "PyTorch channels_last", "torch.compile", USUAL_ROUTE, FCNRT} <= set(maps)
    assert ("usual route, OpenVINO" in maps) == (find_spec("openvino") is not None)
    for name, class_maps in maps.items():
        assert class_maps.shape == (2, 40, 56), name
        # OpenVINO by itself computes in bfloat16 where the processor can: 1.6 % of the pixels would differ.
        assert np.mean(class_maps == maps[PYTORCH]) > 0.999, name
    assert "PyTorch fp16" not in maps  # half precision is for GPUs


def test_a_peer_that_does_not_run_here_is_noted(line_up: Callable[..., tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(model: object) -> object:
        raise RuntimeError("no C++ compiler\nlong trace")

    monkeypatch.setattr(torch, "compile", fail)
    found, maps = line_up(peers=True)
    assert "torch.compile" not in maps
    assert "torch.compile does not run here: no C++ compiler" in found.notes


def test_peers_need_a_checkpoint(line_up: Callable[..., tuple]) -> None:
    with pytest.raises(
        CheckpointError, match=r"peers run the network as it was before export, and seed0\.onnx was not"
    ):
        line_up(peers=True, reference=None)


def test_what_was_asked_for_by_name_is_had_or_refused(line_up: Callable[..., tuple], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.onnx"):
        line_up(models=[tmp_path / "nothing.onnx"])
    with pytest.raises(DeviceError, match="cuda:7 cannot be used"):
        line_up(device="cuda:7", backends=["onnxruntime"])


def test_an_engine_that_does_not_run_here_says_why(line_up: Callable[..., tuple], tmp_path: Path) -> None:
    engine = tmp_path / "missing.engine"
    with pytest.raises(ModelFileError, match=r"missing\.engine does not exist; build it with: fcnrt build"):
        line_up(models=[engine], device="auto")
    with pytest.raises(DeviceError, match=r"missing\.engine is a TensorRT engine and runs on NVIDIA GPUs only"):
        line_up(models=[engine], device="cpu")
    with pytest.raises(ModelFileError, match="ONNX Runtime runs the"):
        line_up(models=[engine], backends=["onnxruntime"])


def test_models_of_other_classes_are_measured_apart(line_up: Callable[..., tuple], tiny_files, tiny_network) -> None:
    with pytest.raises(ModelFileError, match="has 5 classes and seed0 onnxruntime cpu 21"):
        line_up(models=[tiny_files.onnx, tiny_network.onnx_path])


def test_frames_reach_a_bgr_model_in_its_order(tiny_files, tmp_path: Path) -> None:
    from fcnrt.export.to_onnx import export_onnx
    from fcnrt.fcn_models.checkpoint import load_checkpoint

    bgr = export_onnx(load_checkpoint(tiny_files.checkpoint), tmp_path / "bgr.onnx", channel_order="bgr").path
    frames = render_scene(5, 1, ImageSize(40, 56)).image[None]
    maps = []
    for path in (tiny_files.onnx, bgr):
        recipe = Recipe(way="fcnrt", path=path, backend="onnxruntime", device="cpu", spec=read_onnx_header(path).spec)
        with open_subject(recipe) as subject:
            maps.append(subject.end_to_end_call(frames)())
    assert np.mean(maps[0] == maps[1]) > 0.999


def test_loading_and_memory_are_seen_in_a_process_without_pytorch(tiny_files) -> None:
    spec = read_onnx_header(tiny_files.onnx).spec
    recipe = Recipe(way="fcnrt", path=tiny_files.onnx, backend="onnxruntime", device="cpu", spec=spec)
    assert Recipe.from_json(recipe.to_json()) == recipe
    found = probe(recipe, ImageSize(32, 32), 1)
    assert 0 < found.load_s < 30
    assert 20 < found.peak_memory_mib < 300  # with PyTorch it would be more
    with pytest.raises(InferenceError, match=r"gone\.onnx"):
        probe(dataclasses.replace(recipe, path=tiny_files.onnx.with_name("gone.onnx")), ImageSize(32, 32), 1)


class OnGpu:
    """A network that says it works on a GPU, with frames that are there already; it counts its calls."""

    device = "cuda:0"

    def __init__(self) -> None:
        self.calls = 0

    def device_call(self, rgb: np.ndarray) -> Callable[[], None]:
        assert rgb.shape == (2, 24, 32, 3)

        def call() -> None:
            self.calls += 1

        return call


def test_a_gpu_is_measured_by_its_own_clock(report: BenchReport) -> None:
    pytorch, fcnrt = report.members
    subjects = OnGpu(), OnGpu()
    entries = [
        Entry(dataclasses.replace(member, device=device), None, subject)
        for member, device, subject in (
            (pytorch, "cuda:0", subjects[0]),
            (fcnrt, "cuda:0", subjects[1]),
            (fcnrt, "cpu", None),
        )
    ]

    def clock(calls: dict[str, Callable[[], None]], device: str, rounds: int) -> dict[str, tuple[float, ...]]:
        assert device == "cuda:0"
        for call in calls.values():
            call()
        return {name: (float(index + 1),) * rounds for index, name in enumerate(calls)}

    series = measure_on_device(entries, ImageSize(24, 32), 2, rounds=5, clock=clock)
    assert [(s.member, s.scope, s.samples_ms) for s in series] == [
        (PYTORCH, "device", (1.0,) * 5),
        (FCNRT, "device", (2.0,) * 5),
    ]
    assert [subject.calls for subject in subjects] == [4, 4]  # three to warm up
    at_size = tuple(dataclasses.replace(s, size="48x64", batch=1) for s in series)
    members = tuple(dataclasses.replace(member, device_memory_mib=1234.5) for member in report.members)
    speed, *_, accuracy = tables(dataclasses.replace(report, members=members, series=(*report.series, *at_size)))
    assert (speed.header[2], speed.rows[1][2]) == ("on the GPU", "2.00")
    assert (accuracy.header[7], accuracy.rows[1][7]) == ("on the GPU", "1,234")
    assert "on the GPU" not in tables(report)[0].header


def test_on_the_cpu_there_is_no_gpu_to_measure(tiny_files) -> None:
    spec = read_onnx_header(tiny_files.onnx).spec
    recipe = Recipe(way="fcnrt", path=tiny_files.onnx, backend="onnxruntime", device="cpu", spec=spec)
    with open_subject(recipe) as subject:
        assert subject.device_call(np.zeros((1, 8, 8, 3), np.uint8)) is None


def test_memory_of_a_gpu_is_what_opening_and_running_take_of_it(tiny_files) -> None:
    spec = read_onnx_header(tiny_files.onnx).spec
    recipe = Recipe(way="fcnrt", path=tiny_files.onnx, backend="onnxruntime", device="cpu", spec=spec)
    taken = iter((100 << 20, 350 << 20))
    assert load_and_run(recipe, ImageSize(32, 32), 1, memory_taken=lambda: next(taken))[1] == 250
    assert load_and_run(recipe, ImageSize(32, 32), 1, memory_taken=None)[1] is None


def test_a_model_is_measured_where_pytorch_is_not_installed(tiny_files) -> None:
    code = """
import sys
for name in ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "PIL"):
    sys.modules[name] = None
from pathlib import Path
from fcnrt.benchmarks.bench.run_bench import BenchSettings, run_bench
from fcnrt.benchmarks.bench.probe import Probe
from fcnrt.benchmarks.timing import WarmUp
from fcnrt.runtime.spec import ImageSize
small = ImageSize(32, 32)
report = run_bench(
    BenchSettings(models=[Path(sys.argv[1])], sizes=[small], scene_size=small, scenes=1, rounds=2, files=1,
                  device="cpu", warm_up=WarmUp(max_rounds=1)),
    probe=lambda *_: Probe(0.1, 1.0),
)
assert [member.role for member in report.members] == ["fcnrt"], report.members
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_files.onnx)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
