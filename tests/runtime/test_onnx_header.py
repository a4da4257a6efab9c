from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from fcnrt.runtime.errors import ModelFileError
from fcnrt.runtime.onnx_header import OnnxHeader, TensorInfo, read_onnx_header
from fcnrt.runtime.spec import METADATA_KEY, ModelSpec


def test_header_tells_spec_and_graph(tiny_model: Path, tiny_spec: ModelSpec) -> None:
    assert read_onnx_header(tiny_model) == OnnxHeader(
        spec=tiny_spec,
        inputs=(TensorInfo("image", "uint8", ("batch", "height", "width", 3)),),
        outputs=(TensorInfo("class_map", "uint8", ("batch", "height", "width")),),
        file_bytes=tiny_model.stat().st_size,
    )


def test_header_tells_optional_outputs(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    path = write_tiny_model(tmp_path / "all.onnx", outputs=("class_map", "confidence", "logits", "overlay"))
    assert list(map(str, read_onnx_header(path).outputs)) == [
        "class_map uint8 [batch, height, width]",
        "confidence uint8 [batch, height, width]",
        "logits float32 [batch, 3, height, width]",
        "overlay uint8 [batch, height, width, 3]",
    ]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"net.onnx does not exist; export a model with: fcnrt export"):
        read_onnx_header(tmp_path / "net.onnx")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is a directory; name the .onnx file in it"):
        read_onnx_header(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    with pytest.raises(ModelFileError, match="is empty; export it again"):
        read_onnx_header(tmp_path / "net.onnx")


def test_path_below_a_file(tiny_model: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read: Not a directory"):
        read_onnx_header(tiny_model / "net.onnx")


@pytest.mark.parametrize("content", [b"hello\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x00"])
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match="is not an ONNX file; make one with: fcnrt export"):
        read_onnx_header(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(
            (name, b"anything")
            for name in ("net.pth", "net.PTH", "net.pth.tar", "net.npz", "net.caffemodel", "net.bin")
        ),
        *((name, b"PK\x03\x04") for name in ("net", "net.weights")),
        ("net.pkl", b"\x80\x02"),
        ("net", (64).to_bytes(8, "little") + b'{"'),
    ],
)
def test_checkpoint_is_sent_to_export(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"is a checkpoint, .* fcnrt export --checkpoint \S*{name}$"):
        read_onnx_header(tmp_path / name)


@pytest.mark.parametrize("name", ["net.engine", "net.plan"])
def test_engine_is_sent_back_to_its_onnx_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"ftrt")
    with pytest.raises(ModelFileError, match=r"is a TensorRT engine, .*; give the \.onnx file it was built from"):
        read_onnx_header(tmp_path / name)


def test_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path, tiny_model: Path) -> None:
    data = tiny_model.read_bytes()
    path = tmp_path / "cut.onnx"
    truncated = 0
    for length in range(1, len(data), 7):
        path.write_bytes(data[:length])
        # A cut between two fields of the file leaves well-formed ONNX, only with too little in it.
        with pytest.raises(ModelFileError, match=r"is truncated after \d+ bytes; copy or export|no metadata") as caught:
            read_onnx_header(path)
        truncated += f"is truncated after {length} bytes" in str(caught.value)
    assert truncated > 100


def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path, tiny_model: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.onnx"
    refused = 0
    for _ in range(150):
        data = np.frombuffer(tiny_model.read_bytes(), np.uint8).copy()
        data[rng.integers(len(data), size=8)] = rng.integers(256, size=8)
        path.write_bytes(data.tobytes())
        try:
            read_onnx_header(path)  # damage may fall on bytes that the header does not need
        except ModelFileError:
            refused += 1
    assert refused > 30


def test_damaged_structure(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x3a\x01\xff\x08\x08")  # a graph of one byte that is no message
    with pytest.raises(ModelFileError, match="is damaged: it does not follow the ONNX format"):
        read_onnx_header(tmp_path / "net.onnx")


def test_onnx_without_our_metadata(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    path = write_tiny_model(tmp_path / "foreign.onnx", metadata={"author": "somebody"})
    with pytest.raises(ModelFileError, match=r"foreign.onnx was not written by fcnrt .* with: fcnrt export"):
        read_onnx_header(path)


def test_damaged_metadata_names_the_file(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    path = write_tiny_model(tmp_path / "net.onnx", metadata={METADATA_KEY: "{}"})
    with pytest.raises(ModelFileError, match=r"net.onnx: the model's fcnrt metadata is damaged"):
        read_onnx_header(path)


def _rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "frame"


def _float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _fixed_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 512


def _planar_input(model: onnx.ModelProto) -> None:
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_value, dims[3].dim_param = 3, "width"


def _second_input(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[0])


@pytest.mark.parametrize("change", [_rename_input, _float_input, _fixed_input, _planar_input, _second_input])
def test_other_input_is_refused(tmp_path: Path, tiny_model: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    path = _changed(tiny_model, tmp_path / "net.onnx", change)
    with pytest.raises(
        ModelFileError, match=r"the graph's input is .+, expected image uint8 \[batch, height, width, 3\]; export it"
    ):
        read_onnx_header(path)


def _other_size(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "8*(height//8)"


def _other_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64


def _no_output(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


@pytest.mark.parametrize("change", [_other_size, _other_type, _no_output])
def test_other_output_is_refused(tmp_path: Path, tiny_model: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    path = _changed(tiny_model, tmp_path / "net.onnx", change)
    with pytest.raises(
        ModelFileError, match=r"the graph's output is .+, expected class_map uint8 \[batch, height, width\]; export it"
    ):
        read_onnx_header(path)


def _changed(source: Path, path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(source)
    change(model)
    onnx.save(model, path)
    return path
