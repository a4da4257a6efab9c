"""Real builds with TensorRT-RTX, which needs no GPU for that. Nothing here runs an engine."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fcnrt.benchmarks.published.engine_memory import counted_activation_bytes
from fcnrt.export.engine import build
from fcnrt.export.engine.build import EngineOptions, EnginePlan, build_engine
from fcnrt.export.engine.memory_estimate import estimate_memory
from fcnrt.export.engine.network import parse_onnx, planned_convolutions
from fcnrt.export.to_onnx import export_onnx
from fcnrt.runtime.engines.manifest import read_manifest, read_plan
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import DeviceError, EngineBuildError, ModelFileError, OutputError
from fcnrt.runtime.gpu.gpu import Gpu
from fcnrt.runtime.onnx_header import read_onnx_header
from fcnrt.runtime.runners.tensorrt_messages import MessageLog
from fcnrt.runtime.spec import METADATA_KEY, ImageSize

PROFILES = tuple(map(OptimizationProfile.parse, ("32x32,64x64,128x128", "64x64,256x256,512x640")))


@pytest.fixture(scope="session")
def library(tensorrt_rtx: Any) -> TensorRtLibrary:
    return TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)


@pytest.fixture(scope="session")
def fcn8s(library: TensorRtLibrary, make_checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported slim FCN-8s, same alignment, fp32; do not modify it."""
    path = tmp_path_factory.mktemp("fcn8s") / "net.onnx"
    export_onnx(make_checkpoint(), path)
    return path


def write_graph(path: Path, nodes: list[Any], weights: list[Any], spec_json: str) -> Path:
    """An ONNX file under the contract of exported graphs, with other contents."""
    dims = ["batch", "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            *nodes,
            helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["class_map"], to=TensorProto.UINT8),
        ],
        "handmade",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*dims, 3])],
        [helper.make_tensor_value_info("class_map", TensorProto.UINT8, dims)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec_json})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("align", ["same", "caffe"])
@pytest.mark.parametrize("variant", ["fcn8s", "fcn16s", "fcn32s"])
def test_builds_exported_networks(
    library: TensorRtLibrary,
    fcn8s: Path,
    make_checkpoint,
    tmp_path: Path,
    variant: str,
    align: str,
    precision: Any,
) -> None:
    model, engine = tmp_path / "net.onnx", tmp_path / "net.engine"
    if (variant, align, precision) == ("fcn8s", "same", "fp32"):
        shutil.copy(fcn8s, model)
    else:
        export_onnx(make_checkpoint(variant=variant, align=align), model, precision=precision)
    result = build_engine(model, engine, EngineOptions(profiles=PROFILES), machine=(library, None))
    manifest = read_manifest(engine)
    assert manifest == result.manifest
    assert manifest.spec == read_onnx_header(model).spec
    assert manifest.spec.precision == precision
    assert manifest.profiles == PROFILES
    layers, scores = {"fcn32s": (16, 1), "fcn16s": (17, 2), "fcn8s": (18, 3)}[variant]
    half = {"fp16": layers - scores, "fp32": scores}
    assert manifest.convolutions == (half if precision == "fp16" else {"fp32": layers})
    assert (manifest.key.flavor, manifest.key.version) == ("tensorrt_rtx", library.version)
    assert manifest.key.onnx_sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert len(read_plan(engine, manifest)) == engine.stat().st_size > 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.engine", "net.engine.json", "net.onnx"]


def test_refuses_another_precision_than_promised(library: TensorRtLibrary, fcn8s: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = onnx.load(fcn8s)
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"precision": "fp32"', '"precision": "fp16"')
    onnx.save(model, path)
    with pytest.raises(EngineBuildError, match=r"the graph is not the fp16 that its metadata promise: conv1_1 is fp32"):
        build_engine(path, tmp_path / "net.engine", machine=(library, None))
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]


def test_float_is_for_the_layers_that_make_scores(library: TensorRtLibrary, tiny_spec, tmp_path: Path) -> None:
    """Not for every layer with as many channels as there are classes: one may be anywhere in a network."""
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    weights = [
        onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "features.weight"),
        onnx.numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float16), "more.weight"),
        onnx.numpy_helper.from_array(np.ones((3, 4, 1, 1), np.float32), "score.weight"),
        onnx.numpy_helper.from_array(np.ones((3, 3, 2, 2), np.float32), "upscore.weight"),
    ]
    nodes = [
        helper.make_node("Conv", ["planes", "features.weight"], ["a"], name="features"),
        helper.make_node("Cast", ["a"], ["b"], to=half),
        helper.make_node("Conv", ["b", "more.weight"], ["c"], name="more"),
        helper.make_node("Cast", ["c"], ["d"], to=single),
        helper.make_node("Conv", ["d", "score.weight"], ["e"], name="score", strides=[2, 2]),
        helper.make_node("ConvTranspose", ["e", "upscore.weight"], ["logits"], name="upscore", strides=[2, 2]),
    ]
    spec = replace(tiny_spec, precision="fp16")
    path = write_graph(tmp_path / "net.onnx", nodes, weights, spec.to_json())
    with pytest.raises(EngineBuildError, match=r"is not the fp16 that its metadata promise: features is fp32\. Export"):
        build_engine(path, tmp_path / "net.engine", machine=(library, None))
    parsed = parse_onnx(path, library)
    assert planned_convolutions(parsed, spec) == ["features", "more"]


def test_reports_progress_and_plan(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    fractions: list[float] = []
    plans: list[EnginePlan] = []
    build_engine(
        tiny_model,
        tmp_path / "tiny.engine",
        machine=(library, None),
        on_plan=plans.append,
        on_progress=lambda fraction, phase: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] <= 1
    (plan,) = plans
    assert [str(profile) for profile in plan.profiles] == ["32x32,512x512,1080x1920"]
    assert plan.warning is None


def test_builds_for_chosen_gpus(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    options = EngineOptions(target="rtx", compute_capabilities=("8.6", "12.0"))
    result = build_engine(tiny_model, tmp_path / "tiny.engine", options, machine=(library, None))
    assert result.manifest.key.compute_capabilities == ("8.6", "12.0")


def test_unknown_compute_capability(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    options = EngineOptions(target="rtx", compute_capabilities=("9.0",))
    with pytest.raises(EngineBuildError, match=r"does not build for compute capability 9\.0; it knows 7\.5, 8\.0"):
        build_engine(tiny_model, tmp_path / "tiny.engine", options, machine=(library, None))


def test_tensorrt_rtx_keeps_no_timing_cache(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    options = EngineOptions(timing_cache=tmp_path / "measured.cache")
    with pytest.raises(EngineBuildError, match=r"TensorRT-RTX .* keeps no timing cache; leave it out"):
        build_engine(tiny_model, tmp_path / "tiny.engine", options, machine=(library, None))
    build_engine(tiny_model, tmp_path / "tiny.engine", EngineOptions(use_timing_cache=False), machine=(library, None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.engine", "tiny.engine.json"]


def test_names_the_node_that_tensorrt_cannot_take(library: TensorRtLibrary, tiny_spec, tmp_path: Path) -> None:
    nodes = [helper.make_node("Resize", ["planes", "", "scales"], ["logits"], name="blur", mode="linear", antialias=1)]
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    path = write_graph(tmp_path / "net.onnx", nodes, [scales], tiny_spec.to_json())
    with pytest.raises(EngineBuildError, match=r"cannot take .*net\.onnx: node blur \(Resize\): .*[Aa]ntialias"):
        build_engine(path, tmp_path / "net.engine", machine=(library, None))
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]


def test_translates_a_failed_build(library: TensorRtLibrary, fcn8s: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineBuildError, match=r"cannot build an engine .*workspace.* Raise --workspace, or leave it"):
        build_engine(fcn8s, tmp_path / "net.engine", EngineOptions(workspace_bytes=1 << 12), machine=(library, None))
    assert list(tmp_path.iterdir()) == []


def test_interrupt_ends_the_build(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    interrupted = threading.Event()

    def interrupt(fraction: float, phase: str) -> None:
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the build goes on only once the main thread has heard it

    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_model, tmp_path / "tiny.engine", machine=(library, None), on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_while_tensorrt_reads_the_graph(
    library: TensorRtLibrary, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised in what TensorRT calls of ours, it would be lost there."""
    add, calls = MessageLog.add, []

    def interrupt(log: MessageLog, severity: int, text: str) -> None:
        calls.append(text)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        add(log, severity, text)

    monkeypatch.setattr(MessageLog, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_model, tmp_path / "tiny.engine", machine=(library, None))
    assert len(calls) > 1
    assert list(tmp_path.iterdir()) == []


def test_kill_in_the_middle_leaves_nothing(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from fcnrt.export.engine.build import EngineOptions, build_engine
build_engine(Path(sys.argv[1]), Path(sys.argv[2]), EngineOptions(target="rtx"),
             on_progress=lambda fraction, phase: os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run([sys.executable, "-c", code, tiny_model, tmp_path / "tiny.engine"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


SMALL_GPU = Gpu("NVIDIA Small", "8.6", 40 << 20)


def test_default_profile_shrinks_to_the_memory(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    result = build_engine(tiny_model, tmp_path / "tiny.engine", machine=(library, SMALL_GPU))
    assert [str(profile) for profile in result.manifest.profiles] == ["32x32,512x512,720x1280"]


def test_refuses_what_cannot_fit(library: TensorRtLibrary, tiny_model: Path, tmp_path: Path) -> None:
    options = EngineOptions(profiles=(OptimizationProfile.parse("32x32,64x64,2160x3840"),))
    with pytest.raises(EngineBuildError, match=r"1 x 2160x3840 needs about 0\.\d GB, and the NVIDIA Small has 0\.0 GB"):
        build_engine(tiny_model, tmp_path / "tiny.engine", options, machine=(library, SMALL_GPU))
    plans: list[EnginePlan] = []
    forced = EngineOptions(profiles=options.profiles, force=True)
    build_engine(tiny_model, tmp_path / "tiny.engine", forced, machine=(library, SMALL_GPU), on_plan=plans.append)
    assert plans[0].warning is not None


def test_memory_is_that_of_the_tensors_alive_together(library: TensorRtLibrary, tiny_model: Path) -> None:
    parsed = parse_onnx(tiny_model, library)
    estimate = estimate_memory(parsed, batch=2, size=ImageSize(10, 20), weight_bytes=7)
    assert estimate is not None
    pixels = 2 * 10 * 20
    # At the convolution: the frame (kept), its input and its output as float32; the indices are smaller than either.
    assert estimate.activation_bytes == pixels * (3 + 3 * 4 + 3 * 4)
    assert estimate.total_bytes == estimate.activation_bytes + 7
    assert tuple(parsed.network.get_input(0).shape) == (-1, -1, -1, 3)  # as before


def test_memory_of_a_whole_network(library: TensorRtLibrary, fcn8s: Path) -> None:
    estimate = estimate_memory(parse_onnx(fcn8s, library), batch=1, size=ImageSize(512, 512), weight_bytes=0)
    assert estimate is not None
    channels, float_bytes = 4, 4  # conv1_2 of the slim network reads and writes that much per pixel
    assert estimate.activation_bytes >= 2 * channels * float_bytes * 512 * 512
    assert estimate.activation_bytes < 3 * 2 * channels * float_bytes * 512 * 512


@pytest.mark.parametrize(("batch", "size"), [(1, ImageSize(1080, 1920)), (4, ImageSize(512, 512))], ids=str)
def test_memory_is_what_tensorrt_counts(library: TensorRtLibrary, fcn8s: Path, batch: int, size: ImageSize) -> None:
    """Nearly: how nearly is measured in fcnrt.benchmarks.published.engine_memory."""
    counted = counted_activation_bytes(fcn8s, library, batch=batch, size=size)
    estimate = estimate_memory(parse_onnx(fcn8s, library), batch=batch, size=size, weight_bytes=0)
    assert estimate is not None
    assert 0.7 * counted < estimate.activation_bytes < 1.2 * counted


@pytest.mark.parametrize(
    ("make_target", "message"),
    [
        (lambda folder: folder / "missing" / "x.engine", "there is no folder .*missing"),
        (lambda folder: folder, "it is a folder"),
    ],
)
def test_unwritable_output(
    library: TensorRtLibrary, tiny_model: Path, tmp_path: Path, make_target: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        build_engine(tiny_model, make_target(tmp_path), machine=(library, None))


def test_foreign_onnx(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="is not an ONNX file"):
        build_engine(tmp_path / "net.onnx", tmp_path / "net.engine")


def test_tensorrt_that_does_not_start(tiny_model: Path, tmp_path: Path) -> None:
    class Trt:
        class ILogger:
            pass

        def Builder(self, logger: Any) -> None:  # noqa: N802
            logger.log(1, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    broken = TensorRtLibrary("tensorrt", "11.4.0", Trt())
    with pytest.raises(EngineBuildError, match=r"TensorRT 11\.4\.0 cannot start a build: CUDA initialization failure"):
        build_engine(tiny_model, tmp_path / "x.engine", machine=(broken, Gpu("NVIDIA L4", "8.9", 24 << 30)))


def test_tensorrt_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_gpu", lambda index: None)
    monkeypatch.setattr(
        build, "choose_library", lambda target, gpu_present: TensorRtLibrary("tensorrt", "11.4.0", None)
    )
    with pytest.raises(DeviceError, match=r"TensorRT 11\.4\.0 measures kernels on the GPU it builds for"):
        build.choose_machine("tensorrt")


def test_tensorrt_builds_for_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [Gpu("NVIDIA L4", "8.9", 1), Gpu("NVIDIA L4", "8.9", 2), Gpu("NVIDIA T4", "7.5", 1)]
    library = TensorRtLibrary("tensorrt", "11.4.0", None)
    monkeypatch.setattr(build, "find_gpu", lambda index=0: gpus[index])
    monkeypatch.setattr(build, "choose_library", lambda target, gpu_present: library)
    assert build.choose_machine("auto", 1) == (library, gpus[1])
    message = r"for the first GPU, here an NVIDIA L4 \(8\.9\), and cuda:2 is an NVIDIA T4 \(7\.5\); make it the first"
    with pytest.raises(DeviceError, match=message):
        build.choose_machine("auto", 2)
    monkeypatch.setattr(build, "choose_library", lambda target, gpu_present: replace(library, flavor="tensorrt_rtx"))
    assert build.choose_machine("auto", 2)[1] == gpus[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "tensorrt", "compute_capabilities": ("8.6",)}, "for TensorRT-RTX only"),
        ({"optimization_level": 6}, "the optimization level must be 0 to 5, got 6"),
        ({"max_batch": 2, "profiles": PROFILES}, "every profile must have the batch of max_batch"),
    ],
)
def test_options_that_contradict(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineOptions(**options)
