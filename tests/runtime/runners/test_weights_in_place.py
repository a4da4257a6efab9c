from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.external_data_helper import load_external_data_for_model

from fcnrt.export.demo import demo_checkpoint
from fcnrt.export.to_onnx import export_onnx
from fcnrt.runtime.runners.weights_in_place import open_in_place

FRAME = np.random.default_rng(0).integers(0, 256, (1, 97, 131, 3), np.uint8)


@pytest.fixture(scope="module")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "fcn8s.onnx"
    export_onnx(demo_checkpoint(), path)
    return path


def class_map(session: Any) -> np.ndarray:
    result: np.ndarray = session.run(["class_map"], {"image": FRAME})[0]
    return result


def in_place(path: Path) -> np.ndarray:
    return class_map(open_in_place(onnxruntime, path, onnxruntime.SessionOptions()))


class Recorder:
    """Stands for ONNX Runtime's module; remembers what it was given instead of opening it."""

    def __init__(self, release: str) -> None:
        self.__version__ = release
        self.given: str | bytes = b""
        self.entries: dict[str, str] = {}
        self.options = SimpleNamespace(add_session_config_entry=self.entries.__setitem__)

    def InferenceSession(self, model: str | bytes, *args: object, **kwargs: object) -> None:  # noqa: N802 its name
        self.given = model


def test_the_class_map_is_the_same(demo_model: Path) -> None:
    expected = class_map(onnxruntime.InferenceSession(str(demo_model)))
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(in_place(demo_model), expected)


def test_it_is_the_whole_model_but_for_its_weights(demo_model: Path) -> None:
    recorder = Recorder("1.21.0")
    open_in_place(recorder, demo_model, recorder.options)
    assert isinstance(recorder.given, bytes)
    assert len(recorder.given) < demo_model.stat().st_size / 20
    model = onnx.load_model_from_string(recorder.given)
    left = [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    assert len(left) > 10
    load_external_data_for_model(model, str(demo_model.parent))
    for tensor in left:
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    assert model == onnx.load(demo_model)


def test_releases_that_cannot_do_it_are_given_the_file(demo_model: Path) -> None:
    recorder = Recorder("1.20.1")
    open_in_place(recorder, demo_model, recorder.options)
    assert (recorder.given, recorder.entries) == (str(demo_model), {})


def test_a_file_of_that_name_in_the_working_directory_is_left_alone(
    demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_place(demo_model)
    (tmp_path / demo_model.name).write_bytes(bytes(demo_model.stat().st_size))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(in_place(demo_model), expected)


@pytest.mark.parametrize("name", ["net.onnx", "night shift/straße 夜.onnx"])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_wherever_the_file_is(
    demo_model: Path, tmp_path: Path, name: str, relative: bool, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_place(demo_model)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if linked:  # as caches of models have them: a name that leads to another folder and another name
        path.symlink_to(demo_model)
    else:
        shutil.copy2(demo_model, path)
    monkeypatch.chdir(path.parent)
    np.testing.assert_array_equal(in_place(Path(path.name) if relative else path), expected)


def test_a_file_that_is_replaced_stays_what_it_was(demo_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shutil.copy2(demo_model, path)
    session = open_in_place(onnxruntime, path, onnxruntime.SessionOptions())
    expected = class_map(session)
    (tmp_path / "other.onnx").write_bytes(bytes(demo_model.stat().st_size))
    (tmp_path / "other.onnx").replace(path)
    np.testing.assert_array_equal(class_map(session), expected)
