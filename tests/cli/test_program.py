from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from fcnrt.runtime.images.files import write_image

TELEMETRY = "ORT_DISABLE_TELEMETRY"

_INTERRUPTED_IMPORT = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from fcnrt.__main__ import main
main()
"""


def test_ctrl_c_while_it_starts_is_one_word() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED_IMPORT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_while_a_command_works_is_one_word() -> None:
    code = """
import sys
import fcnrt.runtime.engines.engine_file as engine_file
def interrupt(path):
    raise KeyboardInterrupt
engine_file.is_engine = interrupt
sys.argv = ["fcnrt", "info", "net.onnx"]
from fcnrt.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_full_disk_behind_stdout_is_one_line(tiny_model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fcnrt", "info", tiny_model, "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to stdout: No space left on device\n"


def test_a_reader_that_has_seen_enough_is_no_error(tiny_model: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fcnrt", "info", tiny_model, "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_service_without_stdout_and_stderr_gets_its_results(tiny_model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    command = f'"{sys.executable}" -m fcnrt run a.png --model "{tiny_model}" -o b.png >&- 2>&-'
    assert subprocess.run(command, shell=True, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "b.png").exists()


def test_nothing_is_reported_to_anybody(tiny_model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    command = [sys.executable, "-m", "fcnrt", "run", tmp_path / "a.png", "--model", tiny_model]
    home = tmp_path / "home"
    variables = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", TELEMETRY)}
    subprocess.run(command, cwd=tmp_path, env=variables | {"HOME": str(home)}, check=True, capture_output=True)
    assert list(home.rglob("deviceid")) == []  # where ONNX Runtime keeps its identifier
    asked = f"import fcnrt, os; print(os.environ['{TELEMETRY}'])"
    for value, expected in ((None, "1"), ("0", "0")):  # whoever wants it has it
        chosen = variables if value is None else variables | {TELEMETRY: value}
        assert subprocess.check_output([sys.executable, "-c", asked], env=chosen, text=True).strip() == expected


def test_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "fcnrt", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: python -m fcnrt" in done.stdout
    wrong = subprocess.run([sys.executable, "-m", "fcnrt", "info", "none.onnx"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: none.onnx does not exist")
