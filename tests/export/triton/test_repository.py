from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fcnrt.export.triton.repository import write_triton_repository
from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.errors import EngineMismatchError, ModelFileError, OutputError
from fcnrt.runtime.spec import METADATA_KEY, ModelSpec

WriteTinyModel = Callable[..., Path]

_PARSE = """
import sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(open(sys.argv[1], encoding="utf-8").read(), model_config_pb2.ModelConfig())
print(json_format.MessageToJson(config, preserving_proto_field_name=True))
"""


def _parsed(folder: Path) -> dict[str, Any]:
    """The configuration as Triton's own schema understands it."""
    packages = Path(sys.prefix) / "triton"
    if not (packages / "tritonclient").is_dir():
        pytest.skip("needs tritonclient: make install")
    command = [sys.executable, "-c", _PARSE, str(folder / "config.pbtxt")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(packages), "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def _write_engine(path: Path, spec: ModelSpec, *, flavor: str = "tensorrt") -> Path:
    plan = b"an engine"
    profiles = tuple(
        OptimizationProfile.parse(text, max_batch=batch)
        for text, batch in (("64x64,128x256,256x512", 4), ("512x512,720x1280,1080x1920", 2))
    )
    manifest = EngineManifest(
        key=EngineKey(
            flavor=flavor,  # type: ignore[arg-type]
            version="10.13.3",
            gpu="NVIDIA H200",
            compute_capabilities=("9.0",),
            profiles=(),
            max_batch=4,
            workspace_bytes=None,
            optimization_level=None,
            onnx_sha256="0" * 64,
        ),
        profiles=profiles,
        onnx_name="tiny.onnx",
        onnx_bytes=1,
        engine_bytes=len(plan),
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        convolutions={"fp16": 1},
        spec=spec,
    )
    write_engine(path, plan, manifest)
    return path


def test_an_onnx_file_is_one_model_without_an_ensemble(
    write_tiny_model: WriteTinyModel, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx", outputs=("class_map", "confidence", "logits", "overlay"))

    folder = write_triton_repository(model, tmp_path / "models", name="street")

    assert folder == tmp_path / "models" / "street"
    assert (folder / "1" / "model.onnx").read_bytes() == model.read_bytes()
    assert (folder / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert len((folder / "client.py").read_text().splitlines()) <= 30
    config = _parsed(folder)
    assert (config["name"], config["platform"], config["max_batch_size"]) == ("street", "onnxruntime_onnx", 8)
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["-1", "-1", "3"]}]
    assert config["output"] == [
        {"name": "class_map", "data_type": "TYPE_UINT8", "dims": ["-1", "-1"]},
        {"name": "confidence", "data_type": "TYPE_UINT8", "dims": ["-1", "-1"]},
        {"name": "logits", "data_type": "TYPE_FP32", "dims": ["3", "-1", "-1"]},
        {"name": "overlay", "data_type": "TYPE_UINT8", "dims": ["-1", "-1", "3"]},
    ]
    assert config["dynamic_batching"] == {}
    (warm_up,) = config["model_warmup"]
    assert warm_up["inputs"]["image"] == {"data_type": "TYPE_UINT8", "dims": ["512", "512", "3"], "zero_data": True}
    assert config["parameters"]["cudnn_conv_algo_search"] == {"string_value": "1"}
    spec = ModelSpec.from_json(config["parameters"]["model_spec"]["string_value"])
    assert spec == replace(tiny_spec, outputs=("class_map", "confidence", "logits", "overlay"))


def test_an_engine_is_served_with_all_its_profiles(tiny_spec: ModelSpec, tmp_path: Path) -> None:
    folder = write_triton_repository(_write_engine(tmp_path / "a.engine", tiny_spec), tmp_path, name="street")

    assert (folder / "1" / "model.plan").read_bytes() == b"an engine"
    config = _parsed(folder)
    assert (config["platform"], config["max_batch_size"]) == ("tensorrt_plan", 2)
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_GPU", "profile": ["0", "1"]}]
    sizes = [warm_up["inputs"]["image"]["dims"] for warm_up in config["model_warmup"]]
    assert sizes == [["128", "256", "3"], ["720", "1280", "3"]]
    assert "cudnn_conv_algo_search" not in config["parameters"]


def test_the_python_backend_takes_an_engine_with_its_manifest(tiny_spec: ModelSpec, tmp_path: Path) -> None:
    engine = _write_engine(tmp_path / "a.engine", tiny_spec, flavor="tensorrt_rtx")

    folder = write_triton_repository(engine, tmp_path, name="street", backend="python")

    assert sorted(path.name for path in (folder / "1").iterdir()) == ["model.engine", "model.engine.json", "model.py"]
    config = _parsed(folder)
    assert config["backend"] == "python"
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_GPU"}]  # with profiles Triton would not load it


def test_a_model_of_another_form_takes_the_place_of_the_first(
    tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    engine = _write_engine(tmp_path / "a.engine", tiny_spec)
    for model, backend, files in (
        (engine, "python", ["model.engine", "model.engine.json", "model.py"]),
        (tiny_model, "python", ["model.onnx", "model.py"]),
        (engine, "auto", ["model.plan"]),
    ):
        folder = write_triton_repository(model, tmp_path, name="street", backend=backend)  # type: ignore[arg-type]
        assert sorted(path.name for path in (folder / "1").iterdir()) == files


def test_names_with_quotes_and_accents_survive(
    write_tiny_model: WriteTinyModel, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    spec = replace(tiny_spec, class_names=('"quoted"\\', "Straße\t", "猫"))
    model = write_tiny_model(tmp_path / "tiny.onnx", metadata={METADATA_KEY: spec.to_json()})

    folder = write_triton_repository(model, tmp_path, name="street")

    parameters = _parsed(folder)["parameters"]
    assert ModelSpec.from_json(parameters["model_spec"]["string_value"]).class_names == spec.class_names


def test_engines_that_triton_cannot_run_are_refused(tiny_spec: ModelSpec, tmp_path: Path) -> None:
    engine = _write_engine(tmp_path / "a.engine", tiny_spec, flavor="tensorrt_rtx")
    with pytest.raises(ModelFileError, match="Triton's TensorRT backend does not run engines of TensorRT-RTX"):
        write_triton_repository(engine, tmp_path / "models", name="street")
    (tmp_path / "a.engine.json").unlink()
    with pytest.raises(EngineMismatchError, match="manifest"):
        write_triton_repository(engine, tmp_path / "models", name="street")
    assert not (tmp_path / "models").exists()


def test_what_cannot_be_written_is_said(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file/street/1: Not a directory"):
        write_triton_repository(tiny_model, tmp_path / "file", name="street")
