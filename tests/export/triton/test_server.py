"""End to end: a real Triton server with the Python backend, asked by the client that lies in the model repository.

The server comes with nvidia-pytriton, which has no other backend. It runs a Python environment of its own, because its
release knows NumPy 1 only.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fcnrt
from fcnrt.export.triton.repository import write_triton_repository

_PACKAGES = Path(sys.prefix) / "triton"
_NUMPY_1 = Path(sys.prefix) / "triton-numpy"
_START_S = 120


def _server_files(folder: Path) -> tuple[Path, Path]:
    """The server's program, and a folder with its Python backend for this release of Python."""
    server = _PACKAGES / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not (server / "bin" / "tritonserver").is_file() or not _NUMPY_1.is_dir():
        pytest.skip("needs nvidia-pytriton and NumPy 1: make install")
    if not stub.is_file():
        pytest.skip(f"this nvidia-pytriton has no Python backend for Python {version}")
    linked = subprocess.run(["ldd", stub], capture_output=True, text=True, check=False)
    if linked.returncode != 0 or "not found" in linked.stdout:
        pytest.skip(f"Triton's Python backend does not load on this {platform.platform()}: {linked.stdout}")
    backend = folder / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(stub, backend)
    for program in (server / "bin" / "tritonserver", backend / stub.name):
        program.chmod(0o755)
    return server / "bin" / "tritonserver", folder


def _server_environment(folder: Path) -> dict[str, str]:
    """The variables that give the server NumPy 1, and fcnrt with everything else it needs."""
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "fcnrt").symlink_to(Path(fcnrt.__file__).parent)
    paths = [_NUMPY_1, Path(np.__file__).parents[1], folder]
    packages = folder / "lib" / version / "site-packages"
    (packages / "paths.pth").write_text("".join(f"{path}\n" for path in paths))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    environment["LD_LIBRARY_PATH"] = str(_PACKAGES / "nvidia_pytriton.libs")
    return environment


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def server(tiny_model: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a Triton server with the tiny model as ``street``."""
    program, backends = _server_files(tmp_path / "backends")
    write_triton_repository(tiny_model, tmp_path / "models", name="street", backend="python")
    http, grpc = _free_ports(2)
    log = tmp_path / "server.log"
    command: list[str | Path] = [program, "--model-repository", tmp_path / "models", "--backend-directory", backends]
    command += ["--http-port", str(http), "--grpc-port", str(grpc), "--allow-metrics", "false"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=_server_environment(tmp_path / "venv")
        ) as running,
    ):
        try:
            deadline = time.monotonic() + _START_S
            while not _is_ready(http):
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield f"localhost:{grpc}"
        finally:
            running.terminate()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/v2/models/street/ready", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_a_real_server_gives_the_class_map(server: str, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")

    done = subprocess.run(
        [sys.executable, tmp_path / "models" / "street" / "client.py", tmp_path / "picture.png", server],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(_PACKAGES)},
    )

    assert done.returncode == 0, done.stderr
    class_map = picture.argmax(-1)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "picture-classes.png")), class_map)
    shares = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert shares == {
        name: f"{share:.1%}"
        for name, share in zip(("red", "green", "blue"), np.bincount(class_map.ravel()) / class_map.size, strict=True)
    }
