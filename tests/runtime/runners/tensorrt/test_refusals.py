"""What TensorRT, the GPU or the runner itself refuses; nothing of it makes the runner useless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.device import Device
from fcnrt.runtime.engines.manifest import manifest_path
from fcnrt.runtime.errors import (
    DeviceError,
    EngineMismatchError,
    InferenceError,
    MissingDependencyError,
    ModelFileError,
)
from fcnrt.runtime.runners import open_runner
from fcnrt.runtime.runners._tensorrt import TensorRtRunner

from .fake_tensorrt import GPU, LARGE, SMALL, Setup, frames


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("shape", r"TensorRT refused frames of shape \(1, 8, 8, 3\): it gave no reason"),
        ("address", "TensorRT refused the address of image"),
        ("execute", r"TensorRT refused to run frames of shape \(1, 8, 8, 3\): Cask \(no kernel image\)"),
        ("context", "not enough memory on cuda:0 for frames of 16x16, batch 1: TensorRT gave no reason"),
        ("profile", "not enough memory on cuda:0 for frames of 16x16, batch 1"),
    ],
)
def test_every_refusal_of_tensorrt_is_an_error_and_passes(setup: Setup, step: str, message: str) -> None:
    runner, image = setup.open(), frames(1, 8, 8)
    setup.trt.refused.add(step)
    for _ in range(5):  # more often than there are lanes
        with pytest.raises(InferenceError, match=message):
            runner.run(image, ("class_map",))
        assert not any(stream.queued for stream in setup.memory.streams.values())  # they would use the buffers
    setup.trt.refused.clear()
    np.testing.assert_array_equal(runner.run(image, ("class_map",))["class_map"], image.argmax(-1))


def test_a_failure_on_the_gpu_is_an_error(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(SMALL,))
    runner, images = setup.open(), frames(5, 8, 8)
    runner.run(images, ("class_map",))
    setup.memory.failure = "CUDA failed in cudaStreamSynchronize: an illegal memory access was encountered"
    for _ in range(3):
        with pytest.raises(InferenceError, match="illegal memory access"):
            runner.run(images, ("class_map",))
    setup.memory.failure = ""
    np.testing.assert_array_equal(runner.run(images, ("class_map",))["class_map"], images.argmax(-1))


def test_memory_that_does_not_suffice(setup: Setup) -> None:
    setup.memory.limit = 1000
    with pytest.raises(InferenceError, match="not enough memory on the GPU for"):
        setup.open().run(frames(1, 8, 8), ("class_map",))


def test_tensorrt_that_does_not_start(setup: Setup) -> None:
    setup.trt.refused.add("runtime")
    with pytest.raises(InferenceError, match=r"TensorRT 11\.4\.0 cannot start on cuda:0: CUDA initialization failure"):
        setup.open()
    assert setup.memory.closed


def test_refused_plan(setup: Setup) -> None:
    setup.trt.refused.add("plan")
    message = r"TensorRT 11\.4\.0 cannot load .*: Serialization \(Version tag mismatch\)\. Rebuild it: fcnrt build"
    with pytest.raises(InferenceError, match=message):
        setup.open()
    assert setup.memory.closed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda setup: setattr(setup.trt, "profiles", [SMALL]), "it has the profiles 4x4,8x8,16x16, batch 1. Rebuild"),
        (
            lambda setup: setattr(setup.trt, "profiles", [SMALL, replace(LARGE, max_batch=2)]),
            r"it has the profiles 4x4,8x8,16x16, batch 1 or 8x8,32x32,40x60, batch 2\. Rebuild it: fcnrt build",
        ),
        (lambda setup: setattr(setup.trt, "outputs", ("logits",)), "it takes image and returns logits"),
        (lambda setup: setup.trt.types.update(class_map="float"), "is not the engine of tiny.onnx that it is said"),
    ],
)
def test_engine_that_is_not_what_its_manifest_says(
    setup: Setup, change: Callable[[Setup], object], message: str
) -> None:
    change(setup)
    with pytest.raises(EngineMismatchError, match=message):
        setup.open()


def test_another_machine_is_refused_before_tensorrt_sees_the_engine(setup: Setup) -> None:
    setup.machine = replace(setup.machine, gpu=replace(GPU, name="NVIDIA Other"))
    with pytest.raises(EngineMismatchError, match="was built for an NVIDIA Fake; this machine has an NVIDIA Other"):
        setup.open()
    assert setup.trt.plans == []
    assert setup.memory.closed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"pla"), "has 3 bytes, its manifest says 4"),
        (lambda path: path.write_bytes(b"PLAN"), "is damaged"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: manifest_path(path).unlink(), r"has no manifest tiny\.engine\.json .* with --trust$"),
        (lambda path: path.with_name("tiny.onnx").write_bytes(b"another"), "was built from another tiny.onnx"),
    ],
)
def test_damaged_files_are_refused_before_tensorrt_sees_them(
    setup: Setup, damage: Callable[[Path], object], message: str
) -> None:
    damage(setup.path)
    with pytest.raises(EngineMismatchError, match=message):
        setup.open()
    assert setup.trt.plans == []


def test_the_cpu_is_refused(setup: Setup) -> None:
    with pytest.raises(DeviceError, match=r"tiny\.engine is a TensorRT engine and runs on NVIDIA GPUs only"):
        TensorRtRunner.open(setup.path, device=Device("cpu"), machine=setup.machine)


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_an_engine_file_is_opened_with_tensorrt(setup: Setup, backend: Any) -> None:
    with pytest.raises((DeviceError, EngineMismatchError, MissingDependencyError), match=r"tiny\.engine|TensorRT"):
        open_runner(setup.path, backend=backend, device="cuda:99")


def test_an_engine_file_is_not_for_onnxruntime(setup: Setup) -> None:
    with pytest.raises(ModelFileError, match=r"is a TensorRT engine; ONNX Runtime runs the \.onnx file"):
        open_runner(setup.path, backend="onnxruntime")
