from __future__ import annotations

import subprocess
import sys

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


def test_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "fcnrt", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: python -m fcnrt" in done.stdout
    wrong = subprocess.run([sys.executable, "-m", "fcnrt", "info", "none.onnx"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: none.onnx does not exist")
