"""Whatever of TensorRT's interface fcnrt uses exists in every TensorRT that it supports.

The interface comes from NVIDIA's own bindings. They load without TensorRT's libraries, which are large and need a GPU,
if libraries of the same names offer the few functions that are looked up on loading: empty ones, compiled here.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
BINDINGS = Path(sys.prefix) / "tensorrt-bindings"
RELEASES = ["10.0.1", "10.13.3.9", "11.4.0.106"]

FILES = [
    "export/engine/progress.py",
    "export/engine/network.py",
    "export/engine/proof.py",
    "export/engine/memory_estimate.py",
    "export/engine/timing_cache.py",
    "export/engine/build.py",
    "runtime/runners/_tensorrt.py",
    "runtime/runners/engine_lane.py",
    "runtime/runners/kernel_cache.py",
    "runtime/runners/tensorrt_messages.py",
]

# What the names of variables and fields stand for, in the files above.
OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "config": "IBuilderConfig",
    "shapes": "IOptimizationProfile",
    "layer": "ILayer",
    "tensor": "ITensor",
    "output": "ITensor",
    "image": "ITensor",
    "inspector": "EngineInspector",
    "_runtime": "Runtime",
    "runtime": "Runtime",
    "_engine": "ICudaEngine",
    "engine": "ICudaEngine",
    "_execution": "IExecutionContext",
    "context": "IExecutionContext",
    "cache": "ITimingCache",
    "runtime_config": "IRuntimeConfig",
    "runtime_cache": "IRuntimeCache",
    "_runtime_cache": "IRuntimeCache",
}

# TensorRT calls these of ours.
OVERRIDDEN = {
    "ILogger.log",
    "IProgressMonitor.phase_start",
    "IProgressMonitor.phase_finish",
    "IProgressMonitor.step_complete",
}

# Names of the same kind that stand for something of ours in one place.
OURS = {
    "export/engine/proof.py": {"layer.get", "tensor.get"},  # JSON
    "runtime/runners/_tensorrt.py": {"image.address", "image.shape"},  # arrays on the GPU
    "runtime/runners/engine_lane.py": {"context.profile"},
}

# Asked for only where it is TensorRT-RTX, and only of TensorRT.
RTX_ONLY = {
    "ComputeCapability",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "ICudaEngine.create_runtime_config",
    "IRuntimeConfig.create_runtime_cache",
    "IRuntimeConfig.set_execution_context_allocation_strategy",
    "IRuntimeConfig.set_runtime_cache",
    "IRuntimeCache.deserialize",
    "IRuntimeCache.serialize",
}

_STUB = """
#define EMPTY(name) void* name() { return 0; }
EMPTY(createInferBuilder_INTERNAL) EMPTY(createInferRuntime_INTERNAL) EMPTY(createInferRefitter_INTERNAL)
EMPTY(createNvOnnxParser_INTERNAL) EMPTY(createNvOnnxParserRefitter_INTERNAL) EMPTY(getBuilderPluginRegistry)
EMPTY(getPluginRegistry) EMPTY(getNvOnnxParserVersion) EMPTY(initLibNvInferPlugins)
"""

_LOOK_UP = """
import json, sys
trt = __import__(sys.argv[1])
missing = []
for path in json.loads(sys.argv[2]):
    thing = trt
    for name in path.split("."):
        thing = getattr(thing, name, None)
    if thing is None:
        missing.append(path)
def complaint(make):
    try:
        return str(make(trt.Logger()))
    except Exception as exc:
        return repr(exc)
print(json.dumps({
    "missing": missing,
    "complaints": [complaint(trt.Builder), complaint(trt.Runtime)] if "bindings" in sys.argv[1] else [],
    "create_execution_context": trt.ICudaEngine.create_execution_context.__doc__,
    "set_timing_cache": trt.IBuilderConfig.set_timing_cache.__doc__,
}))
"""


def used_interface() -> set[str]:
    """Everything fcnrt takes from TensorRT's module or does with its objects, as `Name.name`."""
    used = set(OVERRIDDEN)
    for file in FILES:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            chain = _chain(node)
            for position, name in enumerate(chain[:-1]):
                rest = chain[position + 1 :]
                if name in ("trt", "_trt"):
                    used.add(".".join(rest).partition(".__")[0])
                elif name in OBJECTS and f"{name}.{rest[0]}" not in OURS.get(file, set()):
                    used.add(f"{OBJECTS[name]}.{rest[0]}")
    return used


def _chain(node: ast.expr) -> list[str]:
    """`a.b.c` as names; what is called or indexed in between begins a chain of its own."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else names


@pytest.fixture(scope="module")
def stub_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("stubs")
    (folder / "stub.c").write_text(_STUB)
    for library in ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin"):
        for major in (10, 11):
            name = f"{library}.so.{major}"
            command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, folder / "stub.c"]
            subprocess.run(command, check=True)
    return folder


def look_up(module: str, names: set[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK_UP, module, json.dumps(sorted(names))],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_what_is_used_is_found() -> None:
    used = used_interface()
    assert {
        "Builder.build_serialized_network",
        "IBuilderConfig.add_optimization_profile",
        "ICudaEngine.create_execution_context",
        "IExecutionContext.execute_async_v3",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "DataType.HALF",
        "OnnxParser.parse_from_file",
    } <= used
    assert len(used) > 70


@pytest.mark.parametrize("release", RELEASES)
def test_tensorrt_has_it(release: str, stub_libraries: Path) -> None:
    if not (BINDINGS / release).is_dir():
        if os.environ.get("FCNRT_REQUIRE_RTX") == "1":
            pytest.fail(f"FCNRT_REQUIRE_RTX=1, but the bindings of TensorRT {release} are not in {BINDINGS}")
        pytest.skip(f"needs the bindings of TensorRT {release}: make install")
    environment = {"LD_LIBRARY_PATH": str(stub_libraries), "PYTHONPATH": str(BINDINGS / release)}
    removed_in_11 = {"BuilderFlag.FP16", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"}
    answer = look_up("tensorrt_bindings", used_interface() - RTX_ONLY | removed_in_11, environment)
    assert set(answer["missing"]) == (removed_in_11 if release.startswith("11.") else set())
    assert "strategy" in answer["create_execution_context"]
    assert "bool" in answer["set_timing_cache"]
    # What cannot be made is a TypeError, and not the None that other functions return; see `made_or_none`.
    assert answer["complaints"] == ["TypeError('pybind11::init(): factory function returned nullptr')"] * 2


def test_tensorrt_rtx_has_it(tensorrt_rtx: Any) -> None:
    used = used_interface()
    assert used >= RTX_ONLY
    answer = look_up(tensorrt_rtx.__name__, used, {})
    assert answer["missing"] == []
    assert "runtime_config" in answer["create_execution_context"]
