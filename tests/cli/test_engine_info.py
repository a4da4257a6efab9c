from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, manifest_path, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.spec import ModelSpec


@pytest.fixture
def manifest(tiny_spec: ModelSpec) -> EngineManifest:
    return EngineManifest(
        key=EngineKey(
            onnx_sha256="ab" * 32,
            flavor="tensorrt",
            version="11.4.0",
            gpu="NVIDIA L4",
            compute_capabilities=("8.9",),
            profiles=(),
            max_batch=2,
            workspace_bytes=None,
            optimization_level=None,
        ),
        profiles=tuple(
            OptimizationProfile.parse(text, max_batch=2) for text in ("32x32,64x64,128x128", "64x64,256x256,512x640")
        ),
        onnx_name="../net.onnx",
        onnx_bytes=1,
        engine_bytes=4,
        engine_sha256="0" * 64,
        convolutions={"fp16": 15, "fp32": 3},
        spec=tiny_spec,
    )


def test_lines(fcnrt, tmp_path: Path, manifest: EngineManifest) -> None:
    path = tmp_path / "net.engine"
    write_engine(path, b"plan", manifest)
    code, out, err = fcnrt("info", path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "net.engine · fcn8s · 0.0 kB",
        "  input       image uint8 [batch, height, width, 3] RGB",
        "  frames      32x32 .. 128x128, best 64x64, batch 2",
        "  frames      64x64 .. 512x640, best 256x256, batch 2",
        "  output      class_map uint8 [batch, height, width]",
        "  precision   fp32, convolution layers: 15 in fp16, 3 in fp32",
        "  built with  TensorRT 11.4.0",
        "  runs on     NVIDIA L4 (8.9)",
        f"  built from  {tmp_path.parent}/net.onnx sha256 {'ab' * 32}",
        "  source      made by hand for tests",
        "  classes     3",
        "      0  #ff0000  red",
        "      1  #00ff00  green",
        "      2  #0000ff  blue",
    ]


@pytest.mark.parametrize(
    ("capabilities", "machine"),
    [((), "any GPU that TensorRT-RTX supports"), (("8.6", "8.9"), "GPUs of compute capability 8.6, 8.9")],
)
def test_engines_that_are_not_bound_to_a_gpu(
    fcnrt, tmp_path: Path, manifest: EngineManifest, capabilities: tuple[str, ...], machine: str
) -> None:
    key = replace(manifest.key, flavor="tensorrt_rtx", gpu=None, compute_capabilities=capabilities)
    write_engine(tmp_path / "net.engine", b"plan", replace(manifest, key=key))
    assert f"  runs on     {machine}\n" in fcnrt("info", tmp_path / "net.engine").out


def test_json_for_programs(fcnrt, tmp_path: Path, manifest: EngineManifest) -> None:
    path = tmp_path / "net.engine"
    write_engine(path, b"plan", manifest)
    data = json.loads(fcnrt("info", path, "--json").out)
    assert data["file"] == str(path)
    assert data["key"]["gpu"] == "NVIDIA L4"
    assert data["profiles"][0]["max"] == "128x128"


def test_without_a_manifest(fcnrt, tmp_path: Path, manifest: EngineManifest) -> None:
    path = tmp_path / "net.engine"
    write_engine(path, b"plan", manifest)
    manifest_path(path).unlink()
    code, out, err = fcnrt("info", path)
    assert (code, out) == (1, "")
    assert "has no manifest net.engine.json beside it" in err


def test_an_engine_that_was_cut_off(fcnrt, tmp_path: Path, manifest: EngineManifest) -> None:
    path = tmp_path / "net.engine"
    write_engine(path, b"pla", manifest)
    code, out, err = fcnrt("info", path)
    assert (code, out) == (1, "")
    assert "net.engine has 3 bytes, its manifest says 4. Rebuild it: fcnrt build" in err
