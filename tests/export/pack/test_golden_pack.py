from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcnrt.export.pack.golden_pack import write_pack
from fcnrt.runtime.engines.manifest import EngineKey, EngineManifest, read_manifest, read_plan, write_engine
from fcnrt.runtime.engines.optimization_profile import OptimizationProfile
from fcnrt.runtime.errors import EngineMismatchError, ModelFileError, OutputError, SourceError
from fcnrt.runtime.images.files import read_image, write_image
from fcnrt.runtime.self_test import SELF_TEST_KEY, GoldenFrame, SelfTest, golden_frame
from fcnrt.runtime.spec import METADATA_KEY, ImageSize, ModelSpec

WriteTinyModel = Callable[..., Path]


def _pixels(path: Path, channels: int) -> np.ndarray:
    """The pixels of a PPM or PGM, as a program reads them that knows no more of it than the README says."""
    header, pixels = path.read_bytes().split(b"\n", 1)
    _, width, height, _ = header.split()
    return np.frombuffer(pixels, np.uint8).reshape(int(height), int(width), channels)


def test_frames_and_class_maps_in_both_forms(tiny_model: Path, tmp_path: Path) -> None:
    pack = write_pack(tiny_model, tmp_path / "tiny.fcnrt")
    manifest = json.loads((tmp_path / "tiny.fcnrt" / "manifest.json").read_text())
    assert [frame["size"] for frame in manifest["frames"]] == ["257x385", "360x640", "512x512"]
    for frame, listed in zip(pack.frames, manifest["frames"], strict=True):
        files = tmp_path / "tiny.fcnrt" / "frames" / frame.name
        rgb = _pixels(files.with_suffix(".ppm"), 3)
        class_map = _pixels(files.with_suffix(".classes.pgm"), 1)[..., 0]
        np.testing.assert_array_equal(read_image(files.with_suffix(".png")), rgb)
        np.testing.assert_array_equal(class_map, rgb.argmax(-1))
        painted = read_image(files.with_suffix(".classes.png"))
        np.testing.assert_array_equal(painted, np.asarray(pack.spec.palette, np.uint8)[class_map])
        assert hashlib.sha256(class_map.tobytes()).hexdigest() == frame.class_map_sha256 == listed["class_map_sha256"]
        assert frame.classes == 3


def test_everything_is_listed_and_checks_itself(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny.fcnrt"
    write_pack(tiny_model, folder)
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == there - {"SHA256SUMS"}
    assert {"tiny.onnx", "README.md", "manifest.json", "palette.csv", "fcnrt_model.hpp"} <= there

    with (folder / "tiny.onnx").open("ab") as file:
        file.write(b"\0")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tiny.onnx: FAILED" in done.stdout


def test_a_bgr_network_gets_bgr_frames(tiny_spec: ModelSpec, write_tiny_model: WriteTinyModel, tmp_path: Path) -> None:
    spec = replace(tiny_spec, channel_order="bgr")
    model = write_tiny_model(tmp_path / "bgr.onnx", metadata={METADATA_KEY: spec.to_json()})
    (frame, *_) = write_pack(model, tmp_path / "bgr.fcnrt").frames
    files = tmp_path / "bgr.fcnrt" / "frames" / frame.name
    rgb = _pixels(files.with_suffix(".ppm"), 3)  # files are RGB, whatever the network takes
    np.testing.assert_array_equal(_pixels(files.with_suffix(".classes.pgm"), 1)[..., 0], rgb[..., ::-1].argmax(-1))
    readme = (tmp_path / "bgr.fcnrt" / "README.md").read_text()
    assert "[batch, height, width, 3], BGR, " in readme
    assert "then RGB bytes; exchange red and blue; " in readme


def test_names_survive_in_table_and_header(
    tiny_spec: ModelSpec, write_tiny_model: WriteTinyModel, tmp_path: Path
) -> None:
    names = ('a "b", c', "grün\\n?", "third")
    spec = replace(tiny_spec, class_names=names)
    model = write_tiny_model(tmp_path / "net.onnx", metadata={METADATA_KEY: spec.to_json()})
    write_pack(model, tmp_path / "net.fcnrt")
    with (tmp_path / "net.fcnrt" / "palette.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [
        ["0", names[0], "255", "0", "0"],
        ["1", names[1], "0", "255", "0"],
        ["2", names[2], "0", "0", "255"],
    ]
    header = (tmp_path / "net.fcnrt" / "fcnrt_model.hpp").read_text(encoding="ascii")
    assert r'    "a \042b\042, c",' in header
    assert r'    "gr\303\274n\134n\077",' in header


def test_pictures_of_your_own(tiny_model: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (33, 20, 3), np.uint8)
    write_image(tmp_path / "own.png", picture)
    (frame,) = write_pack(tiny_model, tmp_path / "tiny.fcnrt", pictures=[tmp_path / "own.png"]).frames
    assert (frame.name, frame.size) == ("1-33x20", ImageSize(33, 20))
    np.testing.assert_array_equal(_pixels(tmp_path / "tiny.fcnrt" / "frames" / "1-33x20.ppm", 3), picture)


def test_the_readme_has_ten_points_and_names_what_is_there(tiny_model: Path, tmp_path: Path) -> None:
    write_pack(tiny_model, tmp_path / "tiny.fcnrt")
    readme = (tmp_path / "tiny.fcnrt" / "README.md").read_text()
    assert [line.split(".")[0] for line in readme.splitlines() if line[:1].isdigit()] == [str(i) for i in range(1, 11)]
    assert "frames/1-257x385.ppm" in readme
    assert all(len(line) <= 120 for line in readme.splitlines())


def test_an_engine_is_packed_with_a_manifest_that_fits_the_pack(
    tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    engine = _write_engine(tmp_path / "elsewhere" / "net.engine", tiny_model, tiny_spec)
    pack = write_pack(tiny_model, tmp_path / "tiny.fcnrt", engines=[engine])
    assert pack.engines == ("net.engine",)
    assert "which the manifests name: `net.engine`." in (tmp_path / "tiny.fcnrt" / "README.md").read_text()
    assert [str(frame.size) for frame in pack.frames] == ["64x100", "64x100", "64x100"]  # what the engine takes
    packed = tmp_path / "tiny.fcnrt" / "net.engine"
    manifest = read_manifest(packed)
    assert manifest.onnx_name == "tiny.onnx"
    assert read_plan(packed, manifest) == b"plan"  # which compares the ONNX file beside it as well


def test_further_outputs_are_in_the_instructions(write_tiny_model: WriteTinyModel, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "net.onnx", outputs=("class_map", "logits", "overlay"))
    write_pack(model, tmp_path / "net.fcnrt")
    assert (
        "   Further outputs: `logits` float32 [batch, 3, height, width], `overlay` uint8 [batch, height, width, 3].\n"
        in (tmp_path / "net.fcnrt" / "README.md").read_text()
    )


def test_an_engine_of_another_model_is_refused(
    tiny_model: Path, tiny_spec: ModelSpec, write_tiny_model: WriteTinyModel, tmp_path: Path
) -> None:
    other = write_tiny_model(tmp_path / "other.onnx", outputs=("class_map", "confidence"))
    engine = _write_engine(tmp_path / "net.engine", other, tiny_spec)
    with pytest.raises(
        EngineMismatchError, match=r"was built from another file than .*tiny\.onnx, from one named other"
    ):
        write_pack(tiny_model, tmp_path / "tiny.fcnrt", engines=[engine])
    assert not (tmp_path / "tiny.fcnrt").exists()


def test_a_missing_model_is_said_to_be_missing_with_engines_too(
    tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    engine = _write_engine(tmp_path / "net.engine", tiny_model, tiny_spec)
    with pytest.raises(ModelFileError, match=r"gone\.onnx does not exist"):
        write_pack(tmp_path / "gone.onnx", tmp_path / "gone.fcnrt", engines=[engine])
    assert not (tmp_path / "gone.fcnrt").exists()


def test_two_engines_of_one_name_are_refused(tiny_model: Path, tiny_spec: ModelSpec, tmp_path: Path) -> None:
    engines = [_write_engine(tmp_path / folder / "net.engine", tiny_model, tiny_spec) for folder in ("a", "b")]
    with pytest.raises(OutputError, match=r"cannot pack two engines named net\.engine"):
        write_pack(tiny_model, tmp_path / "tiny.fcnrt", engines=engines)


def test_a_model_that_fails_its_self_test_is_refused(
    tiny_spec: ModelSpec, write_tiny_model: WriteTinyModel, tmp_path: Path
) -> None:
    size = ImageSize(24, 32)
    wrong = (golden_frame(3, size).argmax(-1).astype(np.uint8) + 1) % 3
    test = SelfTest((GoldenFrame(3, size, wrong, np.ones((24, 32), np.bool_)),), floor=1.0)
    metadata = {METADATA_KEY: tiny_spec.to_json(), SELF_TEST_KEY: test.to_json()}
    model = write_tiny_model(tmp_path / "wrong.onnx", metadata=metadata)
    with pytest.raises(ModelFileError, match=r"fails its self-test .*\(768 of 768 pixels are wrong\)"):
        write_pack(model, tmp_path / "wrong.fcnrt")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.onnx"]


def test_an_earlier_pack_is_replaced_as_a_whole(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny.fcnrt"
    write_pack(tiny_model, folder)
    before = {path.name for path in (folder / "frames").iterdir()}
    write_image(tmp_path / "own.png", np.zeros((24, 32, 3), np.uint8))
    write_pack(tiny_model, folder, pictures=[tmp_path / "own.png"])
    (tmp_path / "own.png").unlink()
    assert before.isdisjoint(path.name for path in (folder / "frames").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.fcnrt"]


def test_another_folder_is_not_touched(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("precious")
    (tmp_path / "thesis" / "manifest.json").write_text('{"name": "thesis"}')  # other programs write such files too
    with pytest.raises(OutputError, match="thesis: it is there already and is no earlier pack"):
        write_pack(tiny_model, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "thesis.txt").read_text() == "precious"


def test_a_pack_with_notes_of_somebody_is_not_replaced(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny.fcnrt"
    write_pack(tiny_model, folder)
    write_pack(tiny_model, folder)  # nothing was added
    (folder / "frames" / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"would be replaced, and .*notes\.txt is not part of it; move it elsewhere"):
        write_pack(tiny_model, folder)
    assert (folder / "frames" / "notes.txt").read_text() == "precious"


def test_a_failure_in_the_middle_leaves_the_earlier_pack(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny.fcnrt"
    write_pack(tiny_model, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SourceError, match=r"gone\.png: no such file"):
        write_pack(tiny_model, folder, pictures=[tmp_path / "gone.png"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.fcnrt"]


def test_needs_no_pytorch(tiny_model: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
for name in ("torch", "torchvision", "onnx", "onnxscript", "safetensors"):
    sys.modules[name] = None
from fcnrt.export.pack.golden_pack import write_pack
write_pack(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tiny_model, tmp_path / "p"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _write_engine(engine: Path, model: Path, spec: ModelSpec) -> Path:
    """A file that stands for an engine of the model, for frames of 64 rows and up to 100 columns."""
    plan, graph = b"plan", model.read_bytes()
    key = EngineKey(
        onnx_sha256=hashlib.sha256(graph).hexdigest(),
        flavor="tensorrt",
        version="11.4.0",
        gpu="NVIDIA L4",
        compute_capabilities=("8.9",),
        profiles=(),
        max_batch=1,
        workspace_bytes=None,
        optimization_level=None,
    )
    manifest = EngineManifest(
        key=key,
        profiles=(OptimizationProfile.parse("64x32,64x64,64x100"),),
        onnx_name=str(model),
        onnx_bytes=len(graph),
        engine_bytes=len(plan),
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        convolutions={"fp32": 1},
        spec=spec,
    )
    engine.parent.mkdir(exist_ok=True)
    write_engine(engine, plan, manifest)
    return engine
