"""Building the C++ examples and running them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fcnrt.export.demo import demo_model
from fcnrt.export.pack.golden_pack import write_pack

EXAMPLES = Path(__file__).parents[2] / "examples"
# Not optimised: what takes time here is the compiler, not the programs.
_FLAGS = ("-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-O0 -g0 -Wall -Wextra -Werror")


@dataclass(frozen=True)
class Built:
    """A built example: the folder with its programs, and what CMake said."""

    folder: Path
    log: str

    def segment(self, program: str, model: Path, frame: Path, output: Path) -> str:
        """What a program prints when it segments a frame."""
        command = [self.folder / program, model, frame, output]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


Build = Callable[..., Built]


@pytest.fixture(scope="session")
def cpp_compiler() -> Iterator[str]:
    """The C++ compiler. Without it and CMake the test is skipped, or fails if FCNRT_REQUIRE_CPP=1."""
    with pytest.MonkeyPatch.context() as patch:
        # CMake comes with the development environment, which need not be activated.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for tool in ("cmake", "g++"):
            if shutil.which(tool) is None:
                if os.environ.get("FCNRT_REQUIRE_CPP") == "1":
                    pytest.fail(f"FCNRT_REQUIRE_CPP=1, but there is no {tool}")
                pytest.skip(f"needs {tool}, to compile C++")
        yield "g++"


@pytest.fixture(scope="session")
def build(cpp_compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A function that builds one of the examples with definitions for CMake."""

    def run(example: str, *definitions: str) -> Built:
        folder = tmp_path_factory.mktemp(example)
        options = [*_FLAGS, f"-DCMAKE_CXX_COMPILER={cpp_compiler}", *(f"-D{text}" for text in definitions)]
        log = ""
        for command in (["cmake", "-S", EXAMPLES / example, "-B", folder, *options], ["cmake", "--build", folder]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            log += done.stdout + done.stderr
            assert done.returncode == 0, log
        return Built(folder, log)

    return run


@pytest.fixture(scope="session")
def demo_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden pack of the demo FCN-8s."""
    folder = tmp_path_factory.mktemp("pack")
    shutil.copy(demo_model(), folder / "fcn8s.onnx")
    write_pack(folder / "fcn8s.onnx", folder / "fcn8s.fcnrt")
    return folder / "fcn8s.fcnrt"
