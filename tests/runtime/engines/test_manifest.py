from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fcnrt.runtime.engines.manifest import (
    EngineKey,
    EngineManifest,
    check_machine,
    manifest_path,
    read_manifest,
    read_plan,
    rebuild_command,
    write_engine,
)
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import EngineMismatchError, OutputError
from fcnrt.runtime.gpu.gpu import Gpu
from fcnrt.runtime.spec import ModelSpec

PLAN = b"serialized engine"
RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", "8.9", 24 << 30)
TENSORRT = TensorRtLibrary("tensorrt", "11.4.0", SimpleNamespace())


@pytest.fixture
def manifest(tiny_spec: ModelSpec) -> EngineManifest:
    return EngineManifest(
        key=EngineKey(
            onnx_sha256=hashlib.sha256(b"graph").hexdigest(),
            flavor="tensorrt",
            version="11.4.0",
            gpu=RTX_4090.name,
            compute_capabilities=("8.9",),
            profiles=("32x32,64x64,128x128",),
            max_batch=2,
            workspace_bytes=1 << 30,
            optimization_level=4,
        ),
        profiles=(OptimizationProfile.parse("32x32,64x64,128x128", max_batch=2),),
        onnx_name="net.onnx",
        onnx_bytes=len(b"graph"),
        engine_bytes=len(PLAN),
        engine_sha256=hashlib.sha256(PLAN).hexdigest(),
        convolutions={"fp16": 15, "fp32": 3},
        spec=tiny_spec,
    )


@pytest.fixture
def engine(tmp_path: Path, manifest: EngineManifest) -> Path:
    path = tmp_path / "net.engine"
    write_engine(path, PLAN, manifest)
    return path


def test_round_trip(engine: Path, manifest: EngineManifest) -> None:
    assert read_manifest(engine) == manifest
    assert read_plan(engine, manifest) == PLAN
    assert sorted(path.name for path in engine.parent.iterdir()) == ["net.engine", "net.engine.json"]


def test_digest_depends_on_every_field(manifest: EngineManifest) -> None:
    key = manifest.key
    others = [
        replace(key, onnx_sha256="0" * 64),
        replace(key, flavor="tensorrt_rtx"),
        replace(key, version="11.5.0"),
        replace(key, gpu=None),
        replace(key, compute_capabilities=()),
        replace(key, profiles=()),
        replace(key, max_batch=1),
        replace(key, workspace_bytes=None),
        replace(key, optimization_level=None),
    ]
    assert len({key.digest, *(other.digest for other in others)}) == 1 + len(others)
    assert replace(key).digest == key.digest
    assert key.differences(others[2]) == ["version: 11.4.0, wanted 11.5.0"]


def test_rebuild_command_repeats_the_options(engine: Path, manifest: EngineManifest) -> None:
    assert rebuild_command(engine, manifest) == (
        f"fcnrt build {engine.parent}/net.onnx -o {engine} --profile 32x32,64x64,128x128 --max-batch 2 "
        "--workspace 1073741824 --optimization-level 4"
    )
    portable = replace(manifest, key=replace(manifest.key, flavor="tensorrt_rtx", gpu=None, compute_capabilities=()))
    assert f" -o {engine} --target rtx --profile" in rebuild_command(engine, portable)
    some = replace(portable, key=replace(portable.key, compute_capabilities=("8.6", "8.9")))
    assert " --target rtx --compute-capability 8.6,8.9 --profile" in rebuild_command(engine, some)


def test_fits_the_machine_it_was_built_on(engine: Path, manifest: EngineManifest) -> None:
    check_machine(engine, manifest, TENSORRT, RTX_4090)


@pytest.mark.parametrize(
    ("library", "gpu", "message"),
    [
        (
            TensorRtLibrary("tensorrt", "11.5.0", None),
            RTX_4090,
            r"was built with TensorRT 11\.4\.0; this machine has TensorRT 11\.5\.0\. Rebuild it: fcnrt build",
        ),
        (TensorRtLibrary("tensorrt_rtx", "11.4.0", None), RTX_4090, "this machine has TensorRT-RTX 11.4.0"),
        (
            TENSORRT,
            Gpu("NVIDIA L4", "8.9", 1),
            "was built for an NVIDIA GeForce RTX 4090; this machine has an NVIDIA L4",
        ),
        (
            TENSORRT,
            replace(RTX_4090, compute_capability="12.0"),
            r"was built for compute capability 8\.9; the NVIDIA GeForce RTX 4090 of this machine has 12\.0",
        ),
    ],
)
def test_refuses_another_machine(
    engine: Path, manifest: EngineManifest, library: TensorRtLibrary, gpu: Gpu, message: str
) -> None:
    with pytest.raises(EngineMismatchError, match=message):
        check_machine(engine, manifest, library, gpu)


def test_portable_engine_fits_any_gpu(engine: Path, manifest: EngineManifest) -> None:
    key = replace(manifest.key, flavor="tensorrt_rtx", gpu=None, compute_capabilities=())
    library = TensorRtLibrary("tensorrt_rtx", "11.4.0", None)
    check_machine(engine, replace(manifest, key=key), library, Gpu("NVIDIA L4", "8.9", 1))


def test_truncated_engine(engine: Path, manifest: EngineManifest) -> None:
    engine.write_bytes(PLAN[:-3])
    with pytest.raises(EngineMismatchError, match=r"has 14 bytes, its manifest says 17\. Rebuild it: fcnrt build"):
        read_plan(engine, manifest)


def test_damaged_engine(engine: Path, manifest: EngineManifest) -> None:
    engine.write_bytes(PLAN[:-1] + b"?")
    with pytest.raises(EngineMismatchError, match="is damaged: its SHA-256 is not the one in its manifest"):
        read_plan(engine, manifest)


@pytest.mark.parametrize("graph", [b"grown graph", b"Graph"])
def test_changed_onnx_beside_the_engine(engine: Path, manifest: EngineManifest, graph: bytes) -> None:
    engine.with_name("net.onnx").write_bytes(b"graph")
    assert read_plan(engine, manifest) == PLAN
    engine.with_name("net.onnx").write_bytes(graph)
    with pytest.raises(EngineMismatchError, match=r"was built from another net\.onnx than the one there now"):
        read_plan(engine, manifest)


def test_missing_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineMismatchError, match=r"no\.engine does not exist; build it with: fcnrt build"):
        read_manifest(tmp_path / "no.engine")


def test_missing_manifest(engine: Path) -> None:
    manifest_path(engine).unlink()
    with pytest.raises(EngineMismatchError, match=r"has no manifest net\.engine\.json beside it"):
        read_manifest(engine)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 99}', "not json", '{"format": 1, "key": 3}', "[" * 100_000]
)
def test_damaged_manifest(engine: Path, text: str) -> None:
    manifest_path(engine).write_text(text)
    with pytest.raises(EngineMismatchError, match=r"net\.engine\.json cannot be used: .*Build the engine again"):
        read_manifest(engine)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("key", {"flavor": "foo"}, "the flavor must be tensorrt or tensorrt_rtx, got 'foo'"),
        ("key", {"compute_capabilities": [8]}, "misuses the field compute_capabilities"),
        ("key", {"profiles": [1]}, "misuses the field profiles"),
        ("key", {"max_batch": "2"}, "misuses the field max_batch"),
        ("spec", {"palette": [[999, 0, 0]] * 3}, "the values of a colour must be 0 to 255, got 999, 0, 0"),
        ("", {"engine_bytes": float("inf")}, "it is damaged: cannot convert float infinity"),
        ("", {"format": "1"}, "it has format '1', this fcnrt reads 1"),
    ],
)
def test_altered_manifest(engine: Path, place: str, change: dict[str, object], message: str) -> None:
    data = json.loads(manifest_path(engine).read_text())
    (data[place] if place else data).update(change)
    manifest_path(engine).write_text(json.dumps(data))
    with pytest.raises(
        EngineMismatchError, match=rf"net\.engine\.json cannot be used: .*{message}.*Build the engine again"
    ):
        read_manifest(engine)


def test_manifest_without_a_field(engine: Path) -> None:
    data = json.loads(manifest_path(engine).read_text())
    del data["key"]["gpu"]
    manifest_path(engine).write_text(json.dumps(data))
    with pytest.raises(EngineMismatchError, match="gpu"):
        read_manifest(engine)


def test_writes_both_files_or_none(tmp_path: Path, manifest: EngineManifest) -> None:
    (tmp_path / "net.engine").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*net\.engine"):
        write_engine(tmp_path / "net.engine", PLAN, manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["net.engine"]
