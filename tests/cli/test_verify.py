from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.export.sample_frames import sample_frame
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.voc import voc_palette
from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.self_test import SELF_TEST_KEY, SelfTest
from fcnrt.runtime.spec import METADATA_KEY, ImageSize


def write_checkpoint(path: Path, classes: int, seed: int) -> Path:
    config = FCNConfig(variant="fcn16s", num_classes=classes, width=1 / 16, fc_channels=8)
    save_checkpoint(
        random_checkpoint(config, seed=seed).model,
        path,
        preprocessing="imagenet_rgb",
        class_names=[f"class {index}" for index in range(classes)],
        palette=voc_palette()[:classes],
        notes={},
        dtype="float32",
    )
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "net.safetensors", classes=4, seed=0)


@pytest.fixture(scope="module")
def sound(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "sound.onnx"
    export_onnx(load_checkpoint(checkpoint), path)
    return path


@pytest.fixture(scope="module")
def swapped(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with red and blue exchanged inside."""
    graph = onnx.load(sound)
    for tensor in graph.graph.initializer:
        if tensor.name in ("conv1_1.weight", "mean"):
            values = np.flip(numpy_helper.to_array(tensor), axis=1 if tensor.name != "mean" else 0)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    path = tmp_path_factory.mktemp("swapped") / "swapped.onnx"
    onnx.save(graph, path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), sample_frame(ImageSize(60, 80), index)[..., ::-1])
    return folder


def test_self_test(fcnrt, sound: Path) -> None:
    code, out, err = fcnrt("verify", sound)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "sound.onnx · onnxruntime on cpu"
    assert lines[1].startswith("  self-test  ✔ 2 generated frames: ")
    assert re.search(r"PyTorch's class \([1-4] of 4 classes seen\)", lines[1])
    assert lines[2] == f"  next       fcnrt verify {sound} --reference CHECKPOINT --html verify.html"


def test_self_test_of_a_file_in_which_all_pixels_are_ties(fcnrt, sound: Path, tmp_path: Path) -> None:
    graph = onnx.load(sound)
    (entry,) = (entry for entry in graph.metadata_props if entry.key == SELF_TEST_KEY)
    test = SelfTest.from_json(entry.value)
    ties = [replace(frame, firm=np.zeros_like(frame.firm)) for frame in test.frames]
    entry.value = replace(test, frames=tuple(ties)).to_json()
    onnx.save(graph, tmp_path / "ties.onnx")
    code, out, _ = fcnrt("verify", tmp_path / "ties.onnx")
    assert code == 1
    assert "  self-test  ✘ 2 generated frames prove nothing: no pixel's class leads clearly" in out


def test_self_test_of_a_faulty_file(fcnrt, swapped: Path) -> None:
    code, out, _ = fcnrt("verify", swapped)
    assert code == 1
    assert "  self-test  ✘ 2 generated frames: " in out
    assert "that differ are no ties (allowed: 0)" in out


@pytest.fixture
def large(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sound file that is taken for a large one, with its graph in the cache."""
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("fcnrt.runtime.runners.optimized_graph._LARGE", 1)
    path = Path(shutil.copy2(sound, tmp_path / "large.onnx"))
    Segmenter.open(path, device="cpu").close()
    return path


def damage(path: Path, part: range) -> None:
    """Flip 3,000 bytes in a part of a file, and leave its size and time as they are."""
    status, content = path.stat(), bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(part.start, part.stop, 3000):
        content[place] ^= 0x5A
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_self_test_of_a_large_file_is_also_one_of_what_the_cache_has_of_it(fcnrt, large: Path) -> None:
    code, out, _ = fcnrt("verify", large)
    assert code == 0
    assert out.count("✔ 2 generated frames") == 2


def test_a_damaged_file_fails_though_the_cache_is_right(fcnrt, large: Path) -> None:
    weights = next(tensor for tensor in onnx.load(large).graph.initializer if tensor.name == "fc6.weight").raw_data
    start = large.read_bytes().index(weights)
    damage(large, range(start, start + len(weights)))
    code, out, _ = fcnrt("verify", large)
    assert code == 1
    assert "self-test  ✘" in out
    assert "in cache" not in out


def test_a_damaged_cache_is_named_and_deleted(fcnrt, large: Path, tmp_path: Path) -> None:
    (weights,) = tmp_path.glob("cache/optimized/*/weights.bin")
    damage(weights, range(weights.stat().st_size))
    code, out, _ = fcnrt("verify", large)
    assert code == 1
    assert "self-test  ✔" in out
    assert "in cache   ✘" in out
    assert f"what this machine ran was damaged and is deleted: {weights.parent}\n" in out
    assert not weights.parent.exists()
    assert fcnrt("verify", large).exit_code == 0


def test_self_test_needs_no_place_for_a_cache(fcnrt, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise OutputError("there is no home directory")

    monkeypatch.setattr("fcnrt.runtime.runners.optimized_graph.cache_dir", nowhere)
    assert fcnrt("verify", sound).exit_code == 0


def test_self_test_needs_neither_torch_nor_onnx(sound: Path) -> None:
    code = f"""
import sys
for name in ("torch", "torchvision", "onnx", "onnxscript", "safetensors"):
    sys.modules[name] = None
sys.argv = ["fcnrt", "verify", {str(sound)!r}]
from fcnrt.cli.app import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_without_self_test(fcnrt, tiny_model: Path) -> None:
    code, _, err = fcnrt("verify", tiny_model)
    assert code == 1
    assert err == (
        f"error: {tiny_model} carries no self-test: an older fcnrt exported it. Export it again, or compare it with "
        "its checkpoint: --reference CHECKPOINT\n"
    )


def test_sound_file_against_its_checkpoint(
    fcnrt, sound: Path, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    html = tmp_path / "verify.html"
    code, out, _ = fcnrt("verify", sound, "--reference", checkpoint, "--data", pictures, "--limit", "2", "--html", html)
    assert code == 0
    first, hop, report = out.splitlines()
    assert first == "sound.onnx against net.safetensors: 22 frames"  # 2 pictures, 10 sizes twice
    assert hop.startswith("  PyTorch -> fp32 graph (onnxruntime on cpu)  ✔ ")
    # There are no worst frames where none differs.
    assert report == f"  {'report' if '✔ all' in hop else 'worst frames side by side'}: {html}"


def test_faulty_file_is_explained(fcnrt, swapped: Path, checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    html, junit = tmp_path / "verify.html", tmp_path / "verify.xml"
    arguments = ("verify", swapped, "--reference", checkpoint, "--data", pictures)
    code, out, err = fcnrt(*arguments, "--html", html, "--junit", junit)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[-1] == f"  worst frames side by side: {html}"
    assert "red and blue swapped" in html.read_text(encoding="utf-8")
    assert "red and blue swapped" in junit.read_text(encoding="utf-8")
    assert lines[1].startswith("  PyTorch -> fp32 graph (onnxruntime on cpu)  ✘ ")
    assert "of the pixels differ and are no ties (allowed in fp32: 0 %)" in lines[2]
    assert lines[3].startswith("  looks like: red and blue swapped (")


def test_reports_that_cannot_be_written(fcnrt, sound: Path, checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "verify.html"
    code, _, err = fcnrt("verify", sound, "--reference", checkpoint, "--data", pictures, "--html", missing)
    assert code == 1
    assert err == f"error: cannot write {missing}: there is no folder {missing.parent}\n"
    code, _, err = fcnrt("verify", sound, "--reference", checkpoint, "--data", pictures, "--junit", tmp_path)
    assert (code, err) == (1, f"error: cannot write {tmp_path}: it is a folder\n")


def test_another_network(fcnrt, sound: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path / "other.safetensors", classes=4, seed=9)
    code, out, _ = fcnrt("verify", sound, "--reference", other)
    assert code == 1
    assert "  looks like: made from another checkpoint (it says sha256 " in out
    five = write_checkpoint(tmp_path / "five.safetensors", classes=5, seed=0)
    code, _, err = fcnrt("verify", sound, "--reference", five)
    assert code == 1
    assert err == (
        "error: five.safetensors is another network than the model, which is a fcn16s of 4 classes; give the "
        "checkpoint that the model was exported from\n"
    )


def test_classes_in_another_order(fcnrt, sound: Path, checkpoint: Path, tmp_path: Path) -> None:
    """The class maps are equal, and a car is called a road."""
    graph, other = onnx.load(sound), tmp_path / "other.onnx"
    entry = next(entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    spec = json.loads(entry.value)
    spec["class_names"][1], spec["class_names"][3] = spec["class_names"][3], spec["class_names"][1]
    entry.value = json.dumps(spec)
    onnx.save(graph, other)
    code, _, err = fcnrt("verify", other, "--reference", checkpoint)
    assert code == 1
    assert err == (
        "error: the model has the classes of the checkpoint in another order: class 1 is class 3 in the model and "
        "class 1 in the checkpoint; export it again\n"
    )
    spec["class_names"] = ["sky", "road", "car", "tree"]  # given at the export, perhaps
    entry.value = json.dumps(spec)
    onnx.save(graph, other)
    assert fcnrt("verify", other, "--reference", checkpoint, "--html", tmp_path / "v.html").exit_code == 0


def test_names_are_the_models_where_the_checkpoint_has_none(fcnrt, checkpoint: Path, tmp_path: Path) -> None:
    nameless, names, path = tmp_path / "nameless.pth", tmp_path / "names.txt", tmp_path / "named.onnx"
    torch.save(load_checkpoint(checkpoint).model.state_dict(), nameless)
    names.write_text("sky\nroad\ncar\ntree\n")
    assert fcnrt("export", "--checkpoint", nameless, "--classes", names, "-o", path).exit_code == 0
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.name in ("score_fr.weight", "score_pool4.weight"):  # the biases are zero
            values = numpy_helper.to_array(tensor)[[0, 2, 1, 3]]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    onnx.save(graph, path)
    _, out, _ = fcnrt("verify", path, "--reference", nameless)
    assert "looks like: class scores permuted: road and car exchanged" in out


def test_a_reference_is_needed_for_data(fcnrt, sound: Path, pictures: Path, tmp_path: Path) -> None:
    code, _, err = fcnrt("verify", sound, "--data", pictures)
    assert code == 1
    assert err.startswith(f"error: {sound} was made from net.safetensors, which does not come with fcnrt: give it with")
    graph, other = onnx.load(sound), tmp_path / "other.onnx"
    entry = next(entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"source": "bundled demo weights, trained on synthetic scenes"})
    onnx.save(graph, other)
    code, _, err = fcnrt("verify", other, "--data", pictures)
    assert code == 1
    assert "by their SHA-256 (" in err
    assert "they are not those that come with this fcnrt: give the checkpoint with --reference CHECKPOINT\n" in err
    code, _, err = fcnrt("verify", sound, "--limit", "3")
    assert code == 2
    assert "--limit goes with --data" in err


def test_pictures_that_are_not_there(fcnrt, sound: Path, checkpoint: Path, tmp_path: Path) -> None:
    code, _, err = fcnrt("verify", sound, "--reference", checkpoint, "--data", tmp_path)
    assert code == 1
    assert err == f"error: {tmp_path}: no image in this folder (it is empty)\n"


@pytest.mark.parametrize("reports", [("--html", "MODEL"), ("--junit", "MODEL"), ("--html", "x", "--junit", "x")])
def test_reports_take_the_place_of_nothing(fcnrt, sound: Path, checkpoint: Path, tmp_path: Path, reports) -> None:
    content = sound.read_bytes()
    named = [str(sound) if word == "MODEL" else word.replace("x", str(tmp_path / "x")) for word in reports]
    options = [word if word.startswith("-") else path for word, path in zip(reports, named, strict=True)]
    code, out, err = fcnrt("verify", sound, "--reference", checkpoint, *options)
    assert (code, out) == (1, "")
    assert "it is one of the inputs" in err or "another result has this name" in err
    assert sound.read_bytes() == content
    assert not (tmp_path / "x").exists()
