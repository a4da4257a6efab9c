"""The engine in the user's cache that belongs to an ONNX file and to this machine."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..device import Device
from ..engines.manifest import EngineManifest, check_machine
from ..engines.store import EngineStore
from ..engines.tensorrt_library import TensorRtLibrary, choose_library
from ..errors import EngineMismatchError, ModelFileError
from ..file_hash import file_hash
from ..gpu.gpu import Gpu, require_gpu
from ..onnx_header import read_onnx_header


def find_stored_engine(
    onnx: Path,
    device: Device | None,
    *,
    store: EngineStore | None = None,
    machine: tuple[TensorRtLibrary, Gpu] | None = None,
) -> Path:
    """The newest engine that was built from an ONNX file for the TensorRT and the GPU of this machine.

    Args:
        onnx: The exported file.
        device: Where it will run; None: the first CUDA device.
        store: Where to look; the user's cache if not given.
        machine: TensorRT and GPU; found if not given.

    Raises:
        ModelFileError: If the ONNX file is no exported model, or there is no engine for it.
        DeviceError: If there is no such GPU.
        MissingDependencyError: If no TensorRT is installed.
    """
    read_onnx_header(onnx)
    device = device or Device("cuda")
    if machine is None:
        gpu = require_gpu(device)
        machine = (choose_library("auto", gpu_present=True), gpu)
    library, found_gpu = machine

    def fits(manifest: EngineManifest) -> bool:
        try:
            check_machine(onnx, manifest, library, found_gpu)
        except EngineMismatchError:
            return False
        return True

    engine = (store or EngineStore()).newest(onnx_sha256=file_hash(onnx), fits=fits)
    if engine is None:
        raise ModelFileError(
            f"there is no engine for {onnx} that fits {library} on {found_gpu}. Build one, and name it instead: "
            f"fcnrt build {shlex.quote(str(onnx))}"
        )
    return engine
