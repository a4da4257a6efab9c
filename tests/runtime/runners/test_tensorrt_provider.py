"""ONNX Runtime's TensorRT provider, with a stand-in that keeps engines as it does and computes on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fcnrt.runtime.device import Device
from fcnrt.runtime.engines.store import EngineStore
from fcnrt.runtime.errors import DeviceError, FrameError, OutputError
from fcnrt.runtime.gpu.cuda import PROVIDER as CUDA
from fcnrt.runtime.gpu.gpu import Gpu, find_gpu
from fcnrt.runtime.runners import open_runner
from fcnrt.runtime.runners._onnxruntime_tensorrt import TensorRtProviderRunner, open_stored
from fcnrt.runtime.runners.tensorrt_provider import PROVIDER, find_library, require_tensorrt_provider
from fcnrt.runtime.spec import ModelSpec, OutputName

L4 = Gpu("NVIDIA L4", "8.9", 24 << 30)
GPU = Device("cuda", 1)


class FakeOnnxRuntime:
    """A build for GPUs: its sessions build an engine into the folder they are given, or load the one that is there."""

    __version__ = "1.31.1"

    def __init__(self, *providers: str) -> None:
        self.providers = providers or (PROVIDER, CUDA, "CPUExecutionProvider")
        self.built: list[dict[str, str]] = []
        self.settings: dict[str, str] = {}
        self.refusal = ""
        self.chosen = PROVIDER

    def get_available_providers(self) -> list[str]:
        return list(self.providers)

    def preload_dlls(self) -> None:
        pass

    def SessionOptions(self) -> Any:  # noqa: N802
        return SimpleNamespace(add_session_config_entry=self.settings.__setitem__)

    def InferenceSession(self, path: str, settings: Any, *, providers: list[Any], enable_fallback: int) -> Any:  # noqa: N802
        ((name, options),) = providers
        assert (name, enable_fallback, settings.log_severity_level) == (PROVIDER, 0, 4)
        engine = Path(options["trt_engine_cache_path"]) / "graph_sm89.engine"
        if not engine.exists():
            self.built.append(options)
            engine.write_bytes(b"eng")  # in pieces, as a large file is
            if self.refusal:
                raise RuntimeError(self.refusal)
            engine.write_bytes(b"engine")
        elif engine.read_bytes() != b"engine":
            raise RuntimeError(
                "[ONNXRuntimeError] : 11 : EP_FAIL : TensorRT EP could not deserialize engine from cache: x"
            )
        session = onnxruntime.InferenceSession(path)
        return SimpleNamespace(
            get_providers=lambda: [self.chosen, "CPUExecutionProvider"],
            io_binding=session.io_binding,
            run_with_iobinding=session.run_with_iobinding,
        )


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def opened(fake: FakeOnnxRuntime, model: Path, store: EngineStore, **changes: Any) -> Any:
    options = {"gpu": L4, "tensorrt_version": "10.13.3", "store": store} | changes
    return open_stored(fake, model, GPU, None, **options)


def runner(fake: FakeOnnxRuntime, model: Path, spec: ModelSpec, store: EngineStore) -> TensorRtProviderRunner:
    return TensorRtProviderRunner(opened(fake, model, store), spec, GPU)


def test_computes(tiny_model: Path, tiny_spec: ModelSpec, store: EngineStore) -> None:
    trt = runner(FakeOnnxRuntime(), tiny_model, tiny_spec, store)
    assert (trt.backend, trt.device) == ("onnxruntime with tensorrt", "cuda:1")
    for batch in (1, 3):
        frames = np.random.default_rng(batch).integers(0, 256, (batch, 33, 40, 3), np.uint8)
        out = np.zeros((batch, 33, 40), np.uint8)
        assert trt.run(frames, ("class_map",), class_map=out)["class_map"] is out
        np.testing.assert_array_equal(out, frames.argmax(-1))
        np.testing.assert_array_equal(trt.run(frames, ("class_map",))["class_map"], out)


def test_all_outputs_of_a_batch(tmp_path: Path, write_tiny_model, tiny_spec: ModelSpec, store: EngineStore) -> None:
    outputs: tuple[OutputName, ...] = ("class_map", "confidence", "logits", "overlay")
    model = write_tiny_model(tmp_path / "all.onnx", outputs=outputs)
    spec = replace(tiny_spec, outputs=outputs)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    results = runner(FakeOnnxRuntime(), model, spec, store).run(frames, outputs)
    np.testing.assert_array_equal(results["confidence"], frames.max(-1))
    np.testing.assert_array_equal(results["logits"], frames.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(results["overlay"], 255 - frames)


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1081, 64), (64, 1921)])
def test_sizes_outside_the_engine(
    tiny_model: Path, tiny_spec: ModelSpec, store: EngineStore, size: tuple[int, int]
) -> None:
    trt = runner(FakeOnnxRuntime(), tiny_model, tiny_spec, store)
    with pytest.raises(FrameError, match=rf"frames of {size[0]}x{size[1]} are outside .*\(32x32\.\.1080x1920\)"):
        trt.run(np.zeros((1, *size, 3), np.uint8), ("class_map",))


def test_options(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    opened(fake, tiny_model, store)
    (options,) = fake.built
    folder = Path(options.pop("trt_engine_cache_path"))
    assert folder.parent == store.directory
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": "image:1x32x32x3",
        "trt_profile_opt_shapes": "image:1x512x512x3",
        "trt_profile_max_shapes": "image:1x1080x1920x3",
        "trt_engine_cache_enable": "1",
        "trt_max_workspace_size": str(24 << 30),
    }
    assert fake.settings["session.disable_cpu_ep_fallback"] == "1"


def test_onnxruntime_refuses_what_would_run_on_the_cpu(tiny_model: Path) -> None:
    """The real one: the setting that the provider is opened with does what it is for."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Exception, match="assigned to the default CPU EP"):
        onnxruntime.InferenceSession(str(tiny_model), settings, providers=[])


def test_the_engine_is_built_once(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    for _ in range(2):
        opened(fake, tiny_model, store)
    assert len(fake.built) == 1
    (entry,) = store.entries()
    assert (entry.path.suffix, entry.size_bytes, entry.manifest) == (".ort", len(b"engine"), None)
    store.remove(entry)
    assert store.entries() == []


def test_of_several_at_once_one_builds(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: opened(fake, tiny_model, store), range(8)))
    assert len(fake.built) == 1


@pytest.mark.parametrize(
    "changes", [{"gpu": Gpu("NVIDIA L40", "8.9", 48 << 30)}, {"tensorrt_version": "10.14.1"}, {}], ids=str
)
def test_what_an_engine_depends_on(
    tmp_path: Path, tiny_model: Path, write_tiny_model, store: EngineStore, changes: dict[str, Any]
) -> None:
    fake = FakeOnnxRuntime()
    opened(fake, tiny_model, store)
    other = tiny_model if changes else write_tiny_model(tmp_path / "other.onnx", outputs=("class_map", "logits"))
    opened(fake, other, store, **changes)
    assert len(fake.built) == 2
    fake.__version__ = "1.32.0"  # type: ignore[misc]
    opened(fake, tiny_model, store)
    assert len(fake.built) == 3


def test_what_is_damaged_is_built_again(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    opened(fake, tiny_model, store)
    (engine,) = store.entries()[0].path.iterdir()
    engine.write_bytes(b"eng")
    opened(fake, tiny_model, store)
    assert len(fake.built) == 2


def test_what_a_killed_process_left_is_built_again(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    opened(fake, tiny_model, store)
    folder = store.entries()[0].path
    half = folder.rename(folder.with_suffix(".unfinished"))
    (half / "graph_sm89.engine").write_bytes(b"eng")
    opened(fake, tiny_model, store)
    assert len(fake.built) == 2
    assert not half.exists()


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ("[ONNXRuntimeError] : 11 : EP_FAIL : TensorRT EP failed to create engine", r"on cuda:1: TensorRT EP failed"),
        (
            "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has "
            "been explicitly disabled by the user.",
            "TensorRT does not take the whole network",
        ),
    ],
)
def test_a_failed_build_leaves_nothing(tiny_model: Path, store: EngineStore, refusal: str, message: str) -> None:
    fake = FakeOnnxRuntime()
    fake.refusal = refusal
    with pytest.raises(DeviceError, match=message):
        opened(fake, tiny_model, store)
    assert [path.suffix for path in store.directory.iterdir()] == [".lock"]


def test_a_session_that_got_something_else_is_refused(tiny_model: Path, store: EngineStore) -> None:
    fake = FakeOnnxRuntime()
    fake.chosen = "CUDAExecutionProvider"
    with pytest.raises(DeviceError, match="it refused it and chose CUDAExecutionProvider"):
        opened(fake, tiny_model, store)
    assert store.entries() == []


def test_a_store_that_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        opened(FakeOnnxRuntime(), tiny_model, EngineStore(tmp_path / "file"))


def require(fake: FakeOnnxRuntime, device: Device, version: str | None) -> str:
    return require_tensorrt_provider(fake, device, count_devices=lambda: 2, find=lambda: version)


@pytest.mark.parametrize(
    ("device", "providers", "version", "message"),
    [
        (Device("cpu"), (PROVIDER, CUDA), "10.13.3", "needs a CUDA device, not the cpu"),
        (GPU, ("CPUExecutionProvider",), "10.13.3", "cannot be used on cuda:1: the installed onnxruntime has no CUDA"),
        (Device("cuda", 7), (PROVIDER, CUDA), "10.13.3", "there is no device 7"),
        (GPU, (CUDA,), "10.13.3", "the installed onnxruntime-gpu was built without TensorRT"),
        (GPU, (PROVIDER, CUDA), None, r'libnvinfer\.so\.10 cannot be loaded; run: pip install "tensorrt-cu13>=10\.13'),
    ],
)
def test_what_stands_in_the_way(device: Device, providers: tuple[str, ...], version: str | None, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        require(FakeOnnxRuntime(*providers), device, version)
    assert require(FakeOnnxRuntime(), GPU, "10.13.3") == "10.13.3"


def test_the_library_is_the_one_that_the_wheels_bring() -> None:
    loaded: list[str] = []

    def load(name: str) -> Any:
        if loaded != ["tensorrt"]:
            raise OSError(f"{name}: cannot open shared object file")
        return SimpleNamespace(getInferLibVersion=lambda: 101303)

    assert find_library(load=load, import_=lambda name: (_ for _ in ()).throw(ImportError(name))) is None
    assert find_library(load=load, import_=loaded.append) == "10.13.3"


@pytest.mark.skipif(find_gpu() is not None, reason="written for a machine without a GPU")
def test_asked_for_in_vain(tiny_model: Path) -> None:
    with pytest.raises(DeviceError, match="ONNX Runtime's TensorRT provider cannot be used on cuda:0"):
        open_runner(tiny_model, provider="tensorrt")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.onnx", {"provider": "openvino"}, "provider must be auto or tensorrt, got 'openvino'"),
        ("x.onnx", {"provider": "tensorrt", "backend": "tensorrt"}, "provider is for ONNX Runtime"),
        ("x.engine", {"provider": "tensorrt"}, r"provider is for ONNX Runtime, which runs \.onnx files; got x\.engine"),
    ],
)
def test_options_that_contradict(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_runner(name, **options)
