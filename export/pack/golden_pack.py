"""The golden pack: a folder with all that is needed to build a model into a product, and to prove that it works there.

Needs no PyTorch: whoever has an exported file can pack it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...datasets.synthetic import render_scene
from ...runtime.atomic import atomic_folder
from ...runtime.channel_order import in_channel_order
from ...runtime.engines.manifest import EngineManifest, manifest_path, read_manifest, read_plan
from ...runtime.errors import EngineMismatchError, ModelFileError, OutputError
from ...runtime.file_hash import file_hash
from ...runtime.images.files import read_image, write_image
from ...runtime.images.palette_png import encode_palette_png
from ...runtime.onnx_header import read_onnx_header
from ...runtime.segmenter import Segmenter, open_the_file_itself
from ...runtime.self_test import read_self_test, run_self_test
from ...runtime.spec import ImageSize, ModelSpec
from .cpp_header import render_cpp_header
from .readme import render_pack_readme

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT_KEY = "fcnrt_pack"
_FORMAT = 1  # raised when a reader of the older form would misunderstand the newer one
_MANIFEST = "manifest.json"
_CHECKSUMS = "SHA256SUMS"
_FRAMES = "frames"
# An odd size, a usual one and a square: padded rows, or height and width exchanged, show at one of them.
_SIZES = (ImageSize(257, 385), ImageSize(360, 640), ImageSize(512, 512))
_SEED = 2015  # of the drawn scenes


@dataclass(frozen=True, kw_only=True)
class PackedFrame:
    """A test frame of a pack, and what the network finds in it.

    Attributes:
        name: Name of its files in the folder ``frames``, without their suffixes.
        size: Its size.
        classes: Number of classes that the network finds in it.
        class_map_sha256: SHA-256 of the class map's bytes (H, W) alone, without the header of a file, hexadecimal.
    """

    name: str
    size: ImageSize
    classes: int
    class_map_sha256: str


@dataclass(frozen=True, kw_only=True)
class GoldenPack:
    """What was packed.

    Attributes:
        model: Name of the ONNX file.
        engines: Names of the engines.
        spec: What is known about the model.
        frames: The test frames.
        expected_from: What computed the expected class maps, for example ``onnxruntime 1.20.0 on cpu``.
    """

    model: str
    engines: tuple[str, ...]
    spec: ModelSpec
    frames: tuple[PackedFrame, ...]
    expected_from: str


def write_pack(model: Path, folder: Path, *, engines: Sequence[Path] = (), pictures: Sequence[Path] = ()) -> GoldenPack:
    """Write a golden pack, all of it or nothing.

    Args:
        model: The exported ONNX file; it must pass its self-test here, if it carries one.
        folder: Where to write it; an earlier pack of that name is replaced, if nothing was added to it.
        engines: TensorRT engines that were built from the model.
        pictures: Image files to take test frames from; if there are none, scenes are drawn.

    Raises:
        ModelFileError: If the model is no exported file or fails its self-test, or an engine is damaged or was built
            from another model (`EngineMismatchError`).
        SourceError: If a picture cannot be read.
        OutputError: If the folder cannot be written, or holds something else, or two engines have the same name.
    """
    _refuse_other_folder(folder)
    _refuse_equal_names(engines)
    read_onnx_header(model)  # says what is wrong, if anything is
    manifests = [_read_engine(engine, model) for engine in engines]
    # What is packed is the file, not what the user's cache may hold of it.
    with open_the_file_itself(model) as segment, atomic_folder(folder) as draft:
        _require_self_test(model, segment)
        shutil.copyfile(model, draft / model.name)
        for engine, manifest in zip(engines, manifests, strict=True):
            shutil.copyfile(engine, draft / engine.name)
            text = replace(manifest, onnx_name=model.name).to_json()
            manifest_path(draft / engine.name).write_text(text, encoding="utf-8")
        (draft / _FRAMES).mkdir()
        frames = _read_pictures(pictures) if pictures else _draw_scenes(manifests)
        pack = GoldenPack(
            model=model.name,
            engines=tuple(engine.name for engine in engines),
            spec=segment.spec,
            frames=tuple(_write_frame(draft / _FRAMES, name, frame, segment) for name, frame in frames),
            expected_from=f"onnxruntime {_onnxruntime_version()} on {segment.device}",
        )
        (draft / "fcnrt_model.hpp").write_text(render_cpp_header(pack.spec, pack.model), encoding="ascii")
        (draft / "palette.csv").write_text(_palette_csv(pack.spec), encoding="utf-8")
        (draft / "README.md").write_text(_readme(pack), encoding="utf-8")
        (draft / _MANIFEST).write_text(_manifest_json(pack), encoding="utf-8")
        (draft / _CHECKSUMS).write_text(_checksums(draft), encoding="utf-8")
    return pack


def _refuse_other_folder(folder: Path) -> None:
    """Accept what is free, empty or an earlier pack and nothing else: the whole folder is going to be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        is_pack = _FORMAT_KEY in json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        is_pack = False
    if not is_pack:
        raise OutputError(f"cannot write {folder}: it is there already and is no earlier pack; give another --output")
    own = {_CHECKSUMS, *(line.partition("  ")[2] for line in _read_lines(folder / _CHECKSUMS))}
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).as_posix() not in own and not path.is_dir():
            raise OutputError(
                f"cannot write {folder}: the earlier pack there would be replaced, and {path} is not part of it; move "
                "it elsewhere, or give another --output"
            )


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _refuse_equal_names(engines: Sequence[Path]) -> None:
    names = [engine.name for engine in engines]
    for name in names:
        if names.count(name) > 1:
            raise OutputError(f"cannot pack two engines named {name}: they would be one file; rename one of them")


def _read_engine(engine: Path, model: Path) -> EngineManifest:
    """The manifest of an engine that is whole and was built from the model."""
    manifest = read_manifest(engine)
    read_plan(engine, manifest)
    if manifest.key.onnx_sha256 != file_hash(model):
        raise EngineMismatchError(
            f"{engine} was built from another file than {model}, from one named {Path(manifest.onnx_name).name}; pack "
            f"it with that one, or build an engine from this one: fcnrt build {model}"
        )
    return manifest


def _require_self_test(model: Path, segment: Segmenter) -> None:
    test = read_self_test(model)
    if test is None:
        return
    result = run_self_test(segment.predict, test, spec=segment.spec)
    if not result.passed:
        wrong = f"{result.faults:,} of {result.pixels:,} pixels are wrong" if result.conclusive else "it proves nothing"
        if result.class_map_passed and result.wrong_outputs:
            wrong = f"the output {result.wrong_outputs[0]} is wrong"
        raise ModelFileError(
            f"{model} fails its self-test on this machine ({wrong}), so its results are no reference; see: fcnrt "
            f"verify {model}"
        )


def _read_pictures(pictures: Sequence[Path]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for number, path in enumerate(pictures, start=1):
        frame = read_image(path)
        yield _frame_name(number, frame), frame


def _draw_scenes(manifests: Sequence[EngineManifest]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Scenes of sizes that every profile of the engines is given at least one of."""
    profiles = [profile for manifest in manifests for profile in manifest.profiles]
    for index in range(max(len(_SIZES), len(profiles))):
        size = _SIZES[index % len(_SIZES)]
        if profiles:
            least, most = profiles[index % len(profiles)].min, profiles[index % len(profiles)].max
            size = ImageSize(
                min(max(size.height, least.height), most.height), min(max(size.width, least.width), most.width)
            )
        frame = render_scene(_SEED, index, size).image
        yield _frame_name(index + 1, frame), frame


def _frame_name(number: int, frame: NDArray[np.uint8]) -> str:
    return f"{number}-{ImageSize(*frame.shape[:2])}"


def _write_frame(folder: Path, name: str, rgb: NDArray[np.uint8], segment: Segmenter) -> PackedFrame:
    """Write a frame and its class map: each for people, as a PNG, and for programs, as bytes after a line of text."""
    size = ImageSize(*rgb.shape[:2])
    class_map = segment(in_channel_order(rgb, segment.spec.channel_order))
    write_image(folder / f"{name}.png", rgb)
    _write_netpbm(folder / f"{name}.ppm", "P6", rgb)
    (folder / f"{name}.classes.png").write_bytes(encode_palette_png(class_map, segment.spec.palette))
    _write_netpbm(folder / f"{name}.classes.pgm", "P5", class_map)
    return PackedFrame(
        name=name,
        size=size,
        classes=len(np.unique(class_map)),
        class_map_sha256=hashlib.sha256(class_map.tobytes()).hexdigest(),
    )


def _write_netpbm(path: Path, magic: str, pixels: NDArray[np.uint8]) -> None:
    height, width = pixels.shape[:2]
    path.write_bytes(f"{magic} {width} {height} 255\n".encode() + pixels.tobytes())


def _palette_csv(spec: ModelSpec) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "name", "red", "green", "blue"))
    for index, (name, colour) in enumerate(zip(spec.class_names, spec.palette, strict=True)):
        writer.writerow((index, name, *colour))
    return text.getvalue()


def _readme(pack: GoldenPack) -> str:
    return render_pack_readme(
        pack.spec,
        model=pack.model,
        engines=pack.engines,
        frame=pack.frames[0].name,
        expected_from=pack.expected_from,
    )


def _manifest_json(pack: GoldenPack) -> str:
    frames = [{**asdict(frame), "size": str(frame.size)} for frame in pack.frames]
    facts = {
        _FORMAT_KEY: _FORMAT,
        "model": pack.model,
        "engines": pack.engines,
        "expected_from": pack.expected_from,
        "frames": frames,
        "spec": json.loads(pack.spec.to_json()),
    }
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _checksums(folder: Path) -> str:
    """Every file of the folder with its SHA-256, as ``sha256sum -c`` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{file_hash(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _onnxruntime_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
