from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fcnrt.runtime.device import Device
from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, manifest_path, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.engines.store import EngineStore
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.errors import DeviceError, ModelFileError, OutputError
from fcnrt.runtime.gpu.gpu import Gpu
from fcnrt.runtime.runners.stored_engine import find_stored_engine
from fcnrt.runtime.spec import ModelSpec

KEY = EngineKey(
    onnx_sha256="0" * 64,
    flavor="tensorrt",
    version="11.4.0",
    gpu="NVIDIA L4",
    compute_capabilities=("8.9",),
    profiles=(),
    max_batch=1,
    workspace_bytes=None,
    optimization_level=None,
)
PLAN = b"plan"

Build = Callable[[Path], None]


@pytest.fixture
def builder(tiny_spec: ModelSpec) -> Callable[[EngineKey], Build]:
    """A function that makes the function which writes an engine with a key."""

    def make(key: EngineKey) -> Build:
        manifest = EngineManifest(
            key=key,
            profiles=(OptimizationProfile.parse("1x1,2x2,3x3"),),
            onnx_name="/models/tiny.onnx",
            onnx_bytes=1,
            engine_bytes=len(PLAN),
            engine_sha256=hashlib.sha256(PLAN).hexdigest(),
            convolutions={"fp32": 1},
            spec=tiny_spec,
        )
        return lambda path: write_engine(path, PLAN, manifest)

    return make


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def refuse(path: Path) -> None:
    pytest.fail("built although it is there")


def test_builds_once_and_finds_it_again(store: EngineStore, builder: Callable[[EngineKey], Build]) -> None:
    assert store.find(KEY) is None
    path = store.get_or_build(KEY, builder(KEY))
    assert path == store.path(KEY) == store.find(KEY)
    assert path.read_bytes() == PLAN
    assert store.get_or_build(KEY, refuse) == path
    assert store.find(replace(KEY, version="11.5.0")) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(PLAN[:2]),
        lambda path: manifest_path(path).unlink(),
        lambda path: manifest_path(path).write_text("{}"),
        lambda path: path.unlink(),
    ],
)
def test_what_is_damaged_is_built_again(
    store: EngineStore, builder: Callable[[EngineKey], Build], damage: Callable[[Path], object]
) -> None:
    path = store.get_or_build(KEY, builder(KEY))
    damage(path)
    assert store.find(KEY) is None
    assert store.get_or_build(KEY, builder(KEY)) == path
    assert path.read_bytes() == PLAN


def test_a_failed_build_leaves_nothing(store: EngineStore) -> None:
    def fail(path: Path) -> None:
        raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        store.get_or_build(KEY, fail)
    assert store.entries() == []
    assert store.find(KEY) is None


def test_of_several_threads_one_builds(store: EngineStore, builder: Callable[[EngineKey], Build]) -> None:
    builds, waited = [], []
    everyone_waits = threading.Event()

    def build(path: Path) -> None:
        everyone_waits.wait(10)
        builds.append(path)
        builder(KEY)(path)

    def on_wait() -> None:
        waited.append(1)
        if len(waited) == 3:
            everyone_waits.set()

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: store.get_or_build(KEY, build, on_wait=on_wait), range(4)))
    assert len(builds) == 1
    assert set(paths) == {store.path(KEY)}


_CHILD = """
import os, signal, sys, time
from pathlib import Path
from fcnrt.runtime.atomic import atomic_path
from fcnrt.runtime.engines.store import EngineStore
from fcnrt.runtime.engines.manifest import EngineKey, manifest_path, read_manifest, write_engine
folder, template, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
manifest = read_manifest(template)
def build(path):
    with open(folder / "log", "a") as log:
        log.write("built\\n")
    print("building", flush=True)
    if mode == "hang":
        time.sleep(60)
    if mode == "die writing":
        with atomic_path(path) as half, atomic_path(manifest_path(path)):
            half.write_bytes(b"eng")
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    write_engine(path, template.read_bytes(), manifest)
print(EngineStore(folder / "engines").get_or_build(manifest.key, build))
"""


def test_of_two_processes_one_builds(store: EngineStore, builder: Callable[[EngineKey], Build], tmp_path: Path) -> None:
    template = tmp_path / "template.engine"
    builder(KEY)(template)
    command = [sys.executable, "-c", _CHILD, tmp_path, template, "build"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [child.communicate(timeout=60)[0].splitlines()[-1] for child in children]
    assert answers == [str(store.path(KEY))] * 2
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_killed_builder_does_not_lock_out_the_next(
    store: EngineStore, builder: Callable[[EngineKey], Build], tmp_path: Path
) -> None:
    template = tmp_path / "template.engine"
    builder(KEY)(template)
    command = [sys.executable, "-c", _CHILD, tmp_path, template, "hang"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "building\n"
        os.kill(child.pid, signal.SIGKILL)
    assert store.entries() == []
    assert store.get_or_build(KEY, builder(KEY)) == store.path(KEY)


def test_what_a_killed_builder_had_written_goes_with_the_next_build(
    store: EngineStore, builder: Callable[[EngineKey], Build], tmp_path: Path
) -> None:
    template = tmp_path / "template.engine"
    builder(KEY)(template)
    done = subprocess.run([sys.executable, "-c", _CHILD, tmp_path, template, "die writing"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert store.find(KEY) is None
    assert len(list(store.directory.iterdir())) == 3  # the lock and two temporary files
    path = store.get_or_build(KEY, builder(KEY))
    assert set(store.directory.iterdir()) == {path, manifest_path(path), path.with_suffix(".lock")}


def test_entries_and_removal(store: EngineStore, builder: Callable[[EngineKey], Build]) -> None:
    assert store.entries() == []
    older = store.get_or_build(KEY, builder(KEY))
    other_key = replace(KEY, max_batch=4)
    newer = store.get_or_build(other_key, builder(other_key))
    os.utime(older, (1000, 1000))
    manifest_path(newer).write_text("damaged")
    first, second = store.entries()
    assert (first.path, first.manifest, first.size_bytes) == (newer, None, len(PLAN))
    assert (second.path, second.modified) == (older, 1000)
    assert second.manifest is not None
    store.remove(first)
    assert [entry.path for entry in store.entries()] == [older]
    assert not manifest_path(newer).exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        EngineStore(tmp_path / "file" / "engines").get_or_build(KEY, refuse)


def test_default_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    assert EngineStore().directory == tmp_path / "engines"


class TestEngineOfAnOnnxFile:
    MACHINE = (TensorRtLibrary("tensorrt", "11.4.0", None), Gpu("NVIDIA L4", "8.9", 1))

    def key(self, onnx: Path) -> EngineKey:
        return replace(KEY, onnx_sha256=hashlib.sha256(onnx.read_bytes()).hexdigest())

    def test_the_newest_that_fits(
        self, store: EngineStore, builder: Callable[[EngineKey], Build], tiny_model: Path
    ) -> None:
        key = self.key(tiny_model)
        keys = [key, replace(key, max_batch=2), replace(key, max_batch=3, version="10.9.0"), KEY]
        for age, other in enumerate(reversed(keys)):
            os.utime(store.get_or_build(other, builder(other)), (1000 + age, 1000 + age))
        # The newest two are of this model; of those that are not for this machine or model, one is newer than either.
        os.utime(store.path(keys[2]), (5000, 5000))
        found = find_stored_engine(tiny_model, None, store=store, machine=self.MACHINE)
        assert found == store.path(key)

    def test_none(self, store: EngineStore, tiny_model: Path) -> None:
        message = r"there is no engine for .*tiny\.onnx that fits TensorRT 11\.4\.0 on NVIDIA L4 \(8\.9\)\. Build one"
        with pytest.raises(ModelFileError, match=message):
            find_stored_engine(tiny_model, None, store=store, machine=self.MACHINE)

    def test_no_gpu(self, tiny_model: Path) -> None:
        with pytest.raises(DeviceError, match="TensorRT runs on NVIDIA GPUs only"):
            find_stored_engine(tiny_model, Device("cpu"))
        with pytest.raises(DeviceError, match="there is no cuda:99 here"):
            find_stored_engine(tiny_model, Device("cuda", 99))

    def test_foreign_onnx(self, tmp_path: Path) -> None:
        (tmp_path / "net.onnx").write_bytes(b"nonsense")
        with pytest.raises(ModelFileError, match="is not an ONNX file"):
            find_stored_engine(tmp_path / "net.onnx", None)
