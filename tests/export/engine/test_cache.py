from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fcnrt.export.engine.cache import cached_engine, explain
from fcnrt.runtime.engines.manifest import read_manifest, read_plan
from fcnrt.runtime.engines.store import EngineStore
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import ModelFileError
from fcnrt.runtime.gpu.gpu import Gpu

Machine = tuple[TensorRtLibrary, Gpu | None]


@pytest.fixture
def machine(tensorrt_rtx: Any) -> Machine:
    return TensorRtLibrary("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx), None


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def refuse(*_: object) -> None:
    pytest.fail("built although it is there")


def test_builds_on_first_use(machine: Machine, store: EngineStore, tiny_model: Path) -> None:
    engine = cached_engine(tiny_model, machine, store=store)
    assert read_plan(engine, read_manifest(engine))
    assert cached_engine(tiny_model, machine, store=store, build=refuse) == engine
    assert cached_engine(tiny_model, machine, store=store, build=refuse, may_build=False) == engine


def test_the_engine_does_not_depend_on_the_files_place(
    machine: Machine, store: EngineStore, tiny_model: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.onnx"
    first.write_bytes(tiny_model.read_bytes())
    engine = cached_engine(first, machine, store=store)
    second = first.rename(tmp_path / "second.onnx")
    first.write_bytes(b"something else")
    assert cached_engine(second, machine, store=store, build=refuse) == engine
    assert read_plan(engine, read_manifest(engine))


def test_may_not_build(machine: Machine, store: EngineStore, tiny_model: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"there is no engine for .*tiny\.onnx on this machine .*--no-build forbids"
    ):
        cached_engine(tiny_model, machine, store=store, may_build=False)
    assert store.entries() == []


def test_explains_what_does_not_fit(machine: Machine, store: EngineStore, tiny_model: Path) -> None:
    assert explain(tiny_model, machine, store) == (None, [])
    engine = cached_engine(tiny_model, machine, store=store)
    assert explain(tiny_model, machine, store) == (engine, [])
    library, _ = machine
    found, [(manifest, differences)] = explain(tiny_model, (replace(library, version="99.0"), None), store)
    assert found is None
    assert manifest == read_manifest(engine)
    assert differences == [f"version: {library.version}, wanted 99.0"]
