"""What gets imported, checked in fresh interpreters: the test process itself has imported everything."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import fcnrt
import fcnrt.runtime

TRAINING_SIDE = ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "lightning", "matplotlib", "scipy")
HEAVY = (*TRAINING_SIDE, "onnxruntime", "numpy", "cv2", "av")


def _run(code: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_segmenting_needs_neither_torch_nor_onnx(tiny_model: Path) -> None:
    code = f"""
import sys
import numpy as np
from fcnrt.runtime.segmenter import Segmenter
with Segmenter.open(sys.argv[1], device="cpu") as segmenter:
    assert segmenter(np.zeros((4, 5, 3), np.uint8)).shape == (4, 5)
loaded = sorted(set({TRAINING_SIDE}) & set(sys.modules))
assert not loaded, loaded
"""
    _run(code, str(tiny_model))


def test_frames_that_are_there_already_take_numpy_and_onnxruntime_alone(tiny_model: Path) -> None:
    """What is left of docs/embedding.md's installation for little room when there is even less."""
    code = f"""
import sys
for name in {(*TRAINING_SIDE, "cv2", "av", "typer", "rich", "PIL")}:
    sys.modules[name] = None
import numpy as np
from fcnrt import Segmenter
with Segmenter.open(sys.argv[1], device="cpu") as segmenter:
    assert segmenter(np.zeros((4, 5, 3), np.uint8)).shape == (4, 5)
    assert segmenter.spec.class_names
"""
    _run(code, str(tiny_model))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["verify"], 1, "carries no self-test"),  # it read the file
        (["info"], 0, "classes"),
        (["doctor"], 0, "OpenCV is not installed"),
        (["cache", "list"], 0, "engines"),
        (["run", "still.png", "--model"], 1, "error: OpenCV is not installed. Run: pip install opencv-python (or"),
        (["run", "film.mp4", "--model"], 1, "error: OpenCV is not installed. Run: pip install opencv-python (or"),
        (["bench"], 1, "error: OpenCV is not installed. Run: pip install opencv-python (or"),
        (["pack"], 1, "error: OpenCV is not installed. Run: pip install opencv-python (or"),
    ],
)
def test_commands_without_opencv_and_pyav(tiny_model: Path, arguments: list[str], code: int, said: str) -> None:
    """What docs/embedding.md installs for cameras and robots that have no room for more."""
    model = [] if arguments[0] in ("doctor", "cache") else [str(tiny_model)]
    program = f"""
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cv2", "av"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = {["fcnrt", *arguments, *model]}
from fcnrt.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_loading_a_checkpoint_needs_no_compiler() -> None:
    """PyTorch's takes 150 MB and a second, and comes uninvited with arithmetic on the meta device."""
    code = """
import sys
from fcnrt.fcn_models.fitting import empty
from fcnrt.fcn_models.registry import NETWORKS
for variant, architecture in NETWORKS.items():
    empty(architecture.config(variant=variant))
    assert "torch._dynamo" not in sys.modules, variant
"""
    _run(code)


def test_every_runtime_module_imports_without_extras() -> None:
    code = f"""
import importlib, pkgutil, sys
for name in {(*TRAINING_SIDE, "onnxruntime")}:
    sys.modules[name] = None
import fcnrt.runtime
names = [module.name for module in pkgutil.walk_packages(fcnrt.runtime.__path__, "fcnrt.runtime.")]
assert "fcnrt.runtime.runners._onnxruntime" in names, names
for name in names:
    importlib.import_module(name)
"""
    _run(code)


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import contextlib, io, sys
import typer
from fcnrt.cli.app import app
from fcnrt.cli.lazy_group import load_command

def check(command, path):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        command.main([*path[1:], "--help"], prog_name=path[0], standalone_mode=False)
    assert "Usage" in text.getvalue(), path
    loaded = sorted(set({HEAVY}) & set(sys.modules))
    assert not loaded, (path, loaded)

root = typer.main.get_command(app)
pending = [(root, ["fcnrt"])]
pending += [(load_command(name), ["fcnrt", name]) for name in root.first_lines]
seen = 0
while pending:
    command, path = pending.pop()
    check(root, path)
    seen += 1
    if command is not root:
        pending += [(child, [*path, name]) for name, child in getattr(command, "commands", {{}}).items()]
assert seen > len(root.first_lines) + 3, seen
"""
    _run(code)


def test_importing_the_package_loads_no_part_of_it() -> None:
    code = """
import sys
import fcnrt
import fcnrt.runtime
loaded = sorted(name for name in sys.modules if name.startswith("fcnrt.") and name != "fcnrt.runtime")
assert not loaded, loaded
"""
    _run(code)


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (fcnrt, {"FcnrtError", "ImageSize", "ModelSpec", "Segmenter", "__version__"}),
        (fcnrt.runtime, {"ImageSize", "ModelSpec", "Prediction", "Runner", "Segmenter", "open_runner"}),
    ],
    ids=["fcnrt", "fcnrt.runtime"],
)
def test_public_names(package: types.ModuleType, names: set[str]) -> None:
    assert set(package.__all__) == names
    assert names <= set(dir(package))
    for name in names:
        assert getattr(package, name) is not None
    assert _names_seen_by_type_checkers(package) == names
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


def _names_seen_by_type_checkers(package: types.ModuleType) -> set[str]:
    """The names that the block `if TYPE_CHECKING:` imports or declares."""
    assert package.__file__ is not None
    names: set[str] = set()
    for statement in ast.parse(Path(package.__file__).read_text()).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            for line in statement.body:
                if isinstance(line, ast.ImportFrom):
                    names |= {alias.asname for alias in line.names if alias.asname is not None}
                elif isinstance(line, ast.AnnAssign):
                    names.add(ast.unparse(line.target))
    return names
