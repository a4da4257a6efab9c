"""The C++ programs get the class maps of `Segmenter`, byte for byte, from the exported file alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fcnrt.export.pack.cpp_header import render_cpp_header
from fcnrt.runtime.spec import METADATA_KEY, ModelSpec


@pytest.fixture(scope="session")
def programs(build):
    """The programs that can be built here; OpenVINO's is one of them."""
    openvino = pytest.importorskip("openvino.utils", reason="needs OpenVINO, whose package holds its C++ API")
    return build("cpp", f"OpenVINO_DIR={openvino.get_cmake_path()}")


@pytest.mark.parametrize("program", ["segment_openvino", "segment_onnxruntime"])
def test_every_frame_of_the_golden_pack(programs, demo_pack: Path, tmp_path: Path, program: str) -> None:
    if program != "segment_openvino" and not (programs.folder / program).exists():
        pytest.skip(f"{program} was not built: the headers of its library are not installed")
    frames = sorted((demo_pack / "frames").glob("*.ppm"))
    assert len(frames) == 3
    for frame in frames:
        programs.segment(program, demo_pack / "fcn8s.onnx", frame, tmp_path / "out.pgm")
        assert (tmp_path / "out.pgm").read_bytes() == frame.with_suffix(".classes.pgm").read_bytes()


def test_class_names_and_channel_order_come_from_the_file(
    programs, tiny_spec: ModelSpec, write_tiny_model, tmp_path: Path
) -> None:
    names = ['a "quoted", \\ name]', "grün\tand\x01more", "third"]
    spec = json.loads(tiny_spec.to_json()) | {"channel_order": "bgr", "class_names": names}
    model = write_tiny_model(tmp_path / "tiny.onnx", metadata={METADATA_KEY: json.dumps(spec, ensure_ascii=False)})
    # The first channel that the network sees is blue: blue pixels are of class 0, red ones of class 2.
    (tmp_path / "frame.ppm").write_bytes(b"P6\n2 3\n255\n" + bytes([0, 0, 9, 9, 0, 0] * 3))
    out = programs.segment("segment_openvino", model, tmp_path / "frame.ppm", tmp_path / "out.pgm")
    assert (tmp_path / "out.pgm").read_bytes() == b"P5 2 3 255\n" + bytes([0, 2] * 3)
    assert out == f" 50.0 %  {names[0]}\n 50.0 %  third\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "usage: "),
        (["{model}", "gone.ppm", "out.pgm"], 1, "error: gone.ppm is not an 8-bit PPM (P6)\n"),
        (["{model}", "negative.ppm", "out.pgm"], 1, "error: negative.ppm is not an 8-bit PPM (P6)\n"),
        (["{model}", "short.ppm", "out.pgm"], 1, "error: short.ppm is cut off\n"),
        (["{model}", "frame.ppm", "no/out.pgm"], 1, "error: cannot write no/out.pgm\n"),
        (["gone.onnx", "frame.ppm", "out.pgm"], 1, "error: "),
    ],
)
def test_what_goes_wrong_is_said(
    programs, tiny_model: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "frame.ppm").write_bytes(b"P6 1 1 255\n" + bytes(3))
    (tmp_path / "negative.ppm").write_bytes(b"P6 -1 1 255\n" + bytes(3))
    (tmp_path / "short.ppm").write_bytes(b"P6 5 5 255\n" + bytes(3))
    command = [programs.folder / "segment_openvino", *(text.format(model=tiny_model) for text in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert not (tmp_path / "out.pgm").exists()


def test_libraries_that_are_missing_are_named(build) -> None:
    built = build("cpp", "CMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON", "CMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON")
    for library, option in (("openvino", "OpenVINO_DIR"), ("tensorrt", "TENSORRT_DIR")):
        assert f"segment_{library} is left out: " in built.log
        assert f"-D{option}=DIR" in built.log
        assert not (built.folder / f"segment_{library}").exists()


def test_the_generated_header(cpp_compiler: str, demo_pack: Path, tmp_path: Path) -> None:
    source = tmp_path / "names.cpp"
    source.write_text("""
#include "fcnrt_model.hpp"
#include <iostream>
static_assert(fcnrt_model::num_classes == 21 && fcnrt_model::channel_order == "rgb");
static_assert(fcnrt_model::palette[15][0] == 192 && fcnrt_model::palette[15][2] == 128);
int main() { for (auto name : fcnrt_model::class_names) std::cout << name << ' '; }
""")
    command = [cpp_compiler, "-std=c++17", "-Wall", "-Werror", "-I", demo_pack, source, "-o", tmp_path / "names"]
    subprocess.run(command, check=True)
    names = subprocess.run([tmp_path / "names"], capture_output=True, text=True, check=True).stdout.split()
    assert (len(names), names[0], names[20]) == (21, "background", "tvmonitor")


def test_headers_of_two_models_in_one_program(cpp_compiler: str, tiny_spec: ModelSpec, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        header = render_cpp_header(tiny_spec, f"{name}.onnx")
        (tmp_path / name / "fcnrt_model.hpp").write_text(header)
        (tmp_path / f"{name}.cpp").write_text(
            f'#include "{name}/fcnrt_model.hpp"\n'
            # By its address, so that the linker has a choice.
            f"const std::string_view* {name}() {{ return &fcnrt_model::file_name; }}\n"
        )
    (tmp_path / "main.cpp").write_text("""
#include <iostream>
#include <string_view>
const std::string_view *first(), *second();
int main() { std::cout << *first() << ' ' << *second(); }
""")
    sources = [tmp_path / f"{name}.cpp" for name in ("main", "first", "second")]
    subprocess.run([cpp_compiler, "-std=c++17", "-O0", *sources, "-o", tmp_path / "both"], check=True)
    told = subprocess.run([tmp_path / "both"], capture_output=True, text=True, check=True).stdout
    assert told == "first.onnx second.onnx"


def test_an_older_cpp_is_told_what_the_header_needs(cpp_compiler: str, demo_pack: Path) -> None:
    command = [cpp_compiler, "-std=c++14", "-fsyntax-only", "-x", "c++", demo_pack / "fcnrt_model.hpp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert '#error "fcnrt_model.hpp needs C++17: -std=c++17' in done.stderr
