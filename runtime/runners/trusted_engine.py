"""Taking an engine without a manifest on the user's word, such as one that NVIDIA's `trtexec` built."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from ..device import Device
from ..engines.manifest import EngineKey, EngineManifest, manifest_path, read_manifest, write_manifest
from ..errors import EngineMismatchError
from ..file_hash import file_hash
from ..onnx_header import read_metadata, read_onnx_header
from ..self_test import SELF_TEST_KEY
from ._tensorrt import TensorRtRunner
from .machine import Machine, find_machine


def trust_engine(path: Path, *, device: str = "auto", machine: Machine | None = None) -> Path | None:
    """Write the manifest of an engine that has none, for this machine and from the ONNX file ``NAME.onnx`` beside it.

    That the engine was built from that file and is harmless (engines hold programs) is the caller's word. Its inputs,
    outputs and sizes are read from the engine itself and have to fit the file. From then on it is an engine like any
    other: an exchanged file or another machine is noticed, and it need not be trusted again.

    Args:
        path: The engine.
        device: Where to load it: ``cuda``, ``cuda:N``, or ``auto``.
        machine: What to load it on; found if not given.

    Returns:
        The manifest that was written; None if there was one already, or the device is the CPU, which runs no engines.

    Raises:
        EngineMismatchError: If there is no engine, its manifest is damaged, or it is not what the ONNX file promises.
        ModelFileError: If the ONNX file is not one that fcnrt exported.
        DeviceError: If there is no such GPU.
        MissingDependencyError: If TensorRT or a package for GPU memory is not installed.
        InferenceError: If TensorRT cannot load the engine.
        OutputError: If the manifest cannot be written.
    """
    if not path.is_file() or manifest_path(path).exists():
        read_manifest(path)  # says what is wrong, if anything is
        return None
    place = Device.parse(device) or Device("cuda")
    if place.kind == "cpu":
        return None
    onnx = path.with_suffix(".onnx")
    if not onnx.is_file():
        raise EngineMismatchError(
            f"{path} cannot be used on trust alone, for nothing says what its classes are: put the ONNX file that it "
            f"was built from beside it, as {onnx.name}"
        )
    spec, self_test = read_onnx_header(onnx).spec, read_metadata(onnx).get(SELF_TEST_KEY)
    try:
        plan = path.read_bytes()
    except OSError as exc:
        raise EngineMismatchError(f"{path} cannot be read: {exc.strerror}") from exc
    machine = machine or find_machine(path, None, place)
    bound = machine.library.flavor == "tensorrt"  # engines of TensorRT-RTX run on every GPU that it supports
    key = EngineKey(
        onnx_sha256=file_hash(onnx),
        flavor=machine.library.flavor,
        version=machine.library.version,
        gpu=machine.gpu.name if bound else None,
        compute_capabilities=(machine.gpu.compute_capability,) if bound else (),
        profiles=(),
        max_batch=1,
        workspace_bytes=None,
        optimization_level=None,
    )
    manifest = EngineManifest(
        key=key,
        profiles=(),
        onnx_name=onnx.name,
        onnx_bytes=onnx.stat().st_size,
        engine_bytes=len(plan),
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        convolutions={},  # nobody has looked
        spec=spec,
        self_test=self_test,
    )
    runner = TensorRtRunner.load(path, manifest, machine, place)
    profiles = runner.profiles
    runner.close()
    max_batch = max(profile.max_batch for profile in profiles)
    key = replace(key, profiles=tuple(map(str, profiles)), max_batch=max_batch)
    write_manifest(path, replace(manifest, key=key, profiles=profiles))
    return manifest_path(path)
