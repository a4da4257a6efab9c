"""Engines without a manifest, taken on the user's word."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcnrt.runtime.engines.manifest import manifest_path, read_manifest
from fcnrt.runtime.errors import DeviceError, EngineMismatchError, InferenceError, ModelFileError
from fcnrt.runtime.runners.trusted_engine import trust_engine
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec

from .fake_gpu import FakeMemory
from .fake_tensorrt import GPU, LARGE, SMALL, Setup, frames


@pytest.fixture
def stranger(make_setup: Callable[..., Setup], tiny_model: Path) -> Setup:
    """An engine without a manifest, the ONNX file it was built from beside it."""
    setup = make_setup(profiles=(SMALL, replace(LARGE, max_batch=4)))
    manifest_path(setup.path).unlink()
    shutil.copy(tiny_model, setup.path.with_suffix(".onnx"))
    return setup


def trust(setup: Setup) -> Path | None:
    return trust_engine(setup.path, machine=setup.machine)


def test_a_trusted_engine_gets_its_manifest(stranger: Setup, tiny_model: Path, tiny_spec: ModelSpec) -> None:
    assert trust(stranger) == manifest_path(stranger.path)
    assert stranger.memory.closed
    manifest = read_manifest(stranger.path)
    assert manifest.spec == tiny_spec
    assert manifest.profiles == (SMALL, replace(LARGE, max_batch=4))
    assert manifest.key.onnx_sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert (manifest.key.version, manifest.key.gpu, manifest.key.max_batch) == ("11.4.0", GPU.name, 4)
    assert trust(stranger) is None  # it has one now
    assert stranger.trt.plans == [b"plan"]
    stranger.trt.memory = memory = FakeMemory()
    stranger.machine = replace(stranger.machine, memory=memory)
    image = frames(1, 10, 12)
    np.testing.assert_array_equal(stranger.open().run(image, ("class_map",))["class_map"], image.argmax(-1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda setup: setattr(setup.trt, "outputs", ("logits",)),
            EngineMismatchError,
            r"is not the engine of tiny\.onnx that it is said to be: it takes image and returns logits",
        ),
        (
            lambda setup: setattr(setup.trt, "min_batch", 2),
            EngineMismatchError,
            "it takes no fewer than 2 frames at once in profile 0",
        ),
        (lambda setup: setup.trt.refused.add("plan"), InferenceError, r"cannot load .*Version tag mismatch"),
    ],
)
def test_a_trusted_engine_that_does_not_fit_gets_none(
    stranger: Setup, change: Callable[[Setup], object], error: type[Exception], message: str
) -> None:
    change(stranger)
    with pytest.raises(error, match=message):
        trust(stranger)
    assert stranger.memory.closed
    assert sorted(path.name for path in stranger.path.parent.iterdir()) == ["tiny.engine", "tiny.onnx"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.with_suffix(".onnx").unlink(), r"put the ONNX file .* beside it, as tiny\.onnx"),
        (lambda path: path.with_suffix(".onnx").write_bytes(b"other"), "is not an ONNX file"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: manifest_path(path).write_text("{}"), r"tiny\.engine\.json cannot be used"),
    ],
)
def test_trust_alone_does_not_do(stranger: Setup, change: Callable[[Path], object], message: str) -> None:
    change(stranger.path)
    with pytest.raises(ModelFileError, match=message):
        trust(stranger)
    assert stranger.trt.plans == []


def test_trust_is_asked_for_by_name(stranger: Setup) -> None:
    with pytest.raises(EngineMismatchError, match="has no manifest"):
        Segmenter.open(stranger.path, device="cuda:99")
    with pytest.raises(DeviceError, match="cuda:99: no such NVIDIA GPU"):
        Segmenter.open(stranger.path, device="cuda:99", trust=True)
    assert trust_engine(stranger.path, device="cpu", machine=stranger.machine) is None
