"""A Triton model repository for an exported model: one model and no ensemble, as everything is inside the graph.

The configuration is the text form of Triton's ``inference.ModelConfig``
(https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

from ...runtime.atomic import atomic_path, write_text
from ...runtime.engines.manifest import manifest_path, read_manifest
from ...runtime.engines.optimization_profile import OptimizationProfile
from ...runtime.engines.tensorrt_library import Flavor, title
from ...runtime.errors import ModelFileError, OutputError
from ...runtime.onnx_header import read_onnx_header
from ...runtime.output_layout import output_layouts
from ...runtime.spec import ImageSize, ModelSpec

TritonBackend = Literal["auto", "python"]

_MAX_BATCH = 8  # of an ONNX file, which takes any; larger batches gain little and wait longer
_WARM_UP = ImageSize(512, 512)
_MODEL_FILES = {"model.onnx", "model.plan", "model.engine", "model.engine.json", "model.py"}
_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


def require_servable(flavor: Flavor, backend: TritonBackend) -> None:
    """Raise unless Triton can run the engines of this TensorRT.

    Raises:
        ModelFileError: If it cannot.
    """
    if backend == "auto" and flavor != "tensorrt":
        raise ModelFileError(
            f"Triton's TensorRT backend does not run engines of {title(flavor)}; build one with TensorRT (fcnrt build "
            "--target tensorrt), serve the ONNX file, or use the Python backend (--triton-backend python)"
        )


def write_triton_repository(model: Path, folder: Path, *, name: str, backend: TritonBackend = "auto") -> Path:
    """Add a model to a Triton model repository, as version 1; what is there of that version is replaced.

    Written are the configuration, ``labels.txt`` (a class name on each line), ``client.py`` (how to ask it) and the
    model itself.

    Args:
        model: Exported ``.onnx`` file, or an ``.engine`` with its manifest beside it.
        folder: The repository; made if it is not there.
        name: Name of the model in it.
        backend: ``auto``: Triton's ONNX Runtime or TensorRT, by the kind of file. ``python``: Triton's Python backend
            with fcnrt, which must then be installed for the server's Python.

    Returns:
        The folder of the model.

    Raises:
        ModelFileError: If the file is not an exported model, or an engine that Triton's TensorRT cannot run.
        EngineMismatchError: If the engine has no manifest.
        OutputError: If the repository cannot be written.
    """
    if model.suffix == ".engine":
        manifest = read_manifest(model)
        require_servable(manifest.key.flavor, backend)
        spec, profiles = manifest.spec, manifest.profiles
    else:
        spec, profiles = read_onnx_header(model).spec, ()
    files = {_model_file(model, backend): model}
    if backend == "python":
        files["model.py"] = Path(__file__).with_name("python_model.py")
        if model.suffix == ".engine":
            files["model.engine.json"] = manifest_path(model)
    config = _render_config(name, spec, profiles, _platform(model, backend))

    target = folder / name
    version = target / "1"
    try:
        version.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot write {version}: {exc.strerror}") from exc
    for file_name, source in files.items():
        _copy(source, version / file_name)
    for other in _MODEL_FILES - files.keys():  # of a form that it had before; the Python backend would prefer an engine
        (version / other).unlink(missing_ok=True)
    _copy(Path(__file__).with_name("client.py"), target / "client.py")
    write_text(target / "labels.txt", "".join(f"{label}\n" for label in spec.class_names))
    write_text(target / "config.pbtxt", config)  # last: with it the model is there
    return target


def _model_file(model: Path, backend: TritonBackend) -> str:
    return "model.plan" if model.suffix == ".engine" and backend == "auto" else f"model{model.suffix}"


def _platform(model: Path, backend: TritonBackend) -> str:
    if backend == "python":
        return 'backend: "python"'
    return f'platform: "{"tensorrt_plan" if model.suffix == ".engine" else "onnxruntime_onnx"}"'


def _render_config(name: str, spec: ModelSpec, profiles: tuple[OptimizationProfile, ...], platform: str) -> str:
    outputs = []
    for name_of_output, layout in output_layouts(spec).items():
        _, *dims = layout.dims(-1, -1, -1)  # Triton adds the batch
        outputs.append(f'output {{ name: "{name_of_output}" data_type: {_TYPES[layout.dtype]} dims: {dims} }}')
    warm_up = [profile.opt for profile in profiles] or [_WARM_UP]
    lines = [
        f"name: {_quote(name)}",
        platform,
        # A batch within every profile, since Triton chooses the instance before the profile.
        f"max_batch_size: {min((profile.max_batch for profile in profiles), default=_MAX_BATCH)}",
        "",
        f"# Frames as they come from the camera: uint8, {spec.channel_order.upper()}, any height and width"
        + (f" of {', '.join(map(str, profiles))} (MIN,OPT,MAX)." if profiles else "."),
        'input { name: "image" data_type: TYPE_UINT8 dims: [-1, -1, 3] }',
        *outputs,
        "",
        "# Requests for frames of the same size that wait at the same time are computed together.",
        "dynamic_batching { }",
    ]
    if profiles:
        # Triton refuses the profiles of models that are not its TensorRT's; fcnrt chooses among them by itself.
        numbers = ", ".join(f'"{number}"' for number in range(len(profiles)))
        chosen = f" profile: [{numbers}]" if "tensorrt" in platform else ""
        lines.append(f"instance_group {{ count: 1 kind: KIND_GPU{chosen} }}")
    lines += [
        f'model_warmup {{ name: "{size}" batch_size: 1 inputs {{ key: "image" value '
        f"{{ data_type: TYPE_UINT8 dims: [{size.height}, {size.width}, 3] zero_data: true }} }} }}"
        for size in warm_up
    ]
    if "onnxruntime" in platform:
        lines += [
            "",
            "# On GPUs: choose convolutions by rule (1). The default tries all of them again for each size of frame.",
            'parameters { key: "cudnn_conv_algo_search" value { string_value: "1" } }',
        ]
    lines += [
        "",
        "# What the model file says about itself, for clients.",
        f'parameters {{ key: "model_spec" value {{ string_value: {_quote(spec.to_json())} }} }}',
    ]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """A string in the text form of protobuf, whose escapes are those of JSON for everything that occurs here."""
    return json.dumps(text, ensure_ascii=False)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
