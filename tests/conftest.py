"""Fixtures that every test may use: a tiny model under the same contract as an exported network.

Its classes are `red`, `green` and `blue`, and each pixel belongs to its strongest channel (the first one of equals),
so that the right answer can be written down by hand: `frame.argmax(axis=-1)`. Its confidence is the strongest
channel's value, and its logits are the channels themselves.
"""

from __future__ import annotations

import os
import signal

# Networks in tests are tiny: more threads than one only wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fcnrt.runtime.spec import METADATA_KEY, ImageSize, ModelSpec, OutputName

# A job that a shell starts in the background ignores Ctrl-C, and so would every program started from here.
signal.signal(signal.SIGINT, signal.default_int_handler)

WriteTinyModel = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    """The spec inside `tiny_model`."""
    return ModelSpec(
        variant="fcn8s",
        class_names=("red", "green", "blue"),
        palette=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
        channel_order="rgb",
        outputs=("class_map",),
        precision="fp32",
        align="same",
        preprocessing="none",
        activation_scale_log2=0,
        opset=17,
        source="made by hand for tests",
        checkpoint_sha256="0" * 64,
        fcnrt_version="0.1.0",
    )


@pytest.fixture(scope="session")
def write_tiny_model(tiny_spec: ModelSpec) -> WriteTinyModel:
    """A function that writes a tiny model with the given outputs (and other metadata, if given): its path."""

    def write(
        path: Path, *, outputs: tuple[OutputName, ...] = ("class_map",), metadata: dict[str, str] | None = None
    ) -> Path:
        import numpy as np
        import onnx
        from onnx import TensorProto, helper

        spec = replace(tiny_spec, outputs=outputs)
        nodes = [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "identity"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["class_map"], to=TensorProto.UINT8),
        ]
        if "confidence" in outputs:
            nodes += [
                helper.make_node("ReduceMax", ["logits"], ["strongest"], axes=[1], keepdims=0),
                helper.make_node("Cast", ["strongest"], ["confidence"], to=TensorProto.UINT8),
            ]
        if "overlay" in outputs:
            nodes += [
                helper.make_node("Sub", ["white", "pixels"], ["negative"]),
                helper.make_node("Cast", ["negative"], ["overlay"], to=TensorProto.UINT8),
            ]
        dims = ["batch", "height", "width"]
        declared = {
            "class_map": helper.make_tensor_value_info("class_map", TensorProto.UINT8, dims),
            "confidence": helper.make_tensor_value_info("confidence", TensorProto.UINT8, dims),
            "logits": helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "height", "width"]),
            "overlay": helper.make_tensor_value_info("overlay", TensorProto.UINT8, [*dims, 3]),
        }
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [*dims, 3])],
            [declared[name] for name in outputs],
            [
                onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :, None, None], "identity"),
                *([onnx.numpy_helper.from_array(np.float32(255), "white")] if "overlay" in outputs else []),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", spec.opset)], ir_version=8)
        helper.set_model_props(model, {METADATA_KEY: spec.to_json()} if metadata is None else metadata)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: WriteTinyModel) -> Path:
    """An ONNX file with the single output `class_map`, described by `tiny_spec`; do not modify it."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny_model") / "tiny.onnx")


@pytest.fixture(scope="session")
def cuda_device() -> str:
    """A CUDA device that ONNX Runtime can use. Without one the test is skipped, or fails if FCNRT_REQUIRE_CUDA=1."""
    import onnxruntime

    from fcnrt.runtime.gpu.cuda import count_cuda_devices, cuda_obstacle

    obstacle = cuda_obstacle(onnxruntime, 0, count_devices=count_cuda_devices)
    if obstacle is not None:
        if os.environ.get("FCNRT_REQUIRE_CUDA") == "1":
            pytest.fail(f"FCNRT_REQUIRE_CUDA=1, but {obstacle}")
        pytest.skip(f"needs CUDA: {obstacle}")
    return "cuda:0"


@pytest.fixture(scope="session")
def tensorrt_rtx() -> Any:
    """TensorRT-RTX, which builds engines without a GPU. Without it the test is skipped, or fails in CI."""
    try:
        import tensorrt_rtx
    except ImportError as exc:
        if os.environ.get("FCNRT_REQUIRE_RTX") == "1":
            pytest.fail(f"FCNRT_REQUIRE_RTX=1, but {exc}")
        pytest.skip(f'needs TensorRT-RTX (pip install "fcnrt[rtx]"): {exc}')
    return tensorrt_rtx


MakeVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def make_video() -> MakeVideo:
    """A function that writes a small video and returns its path.

    Frames are blue with a red quarter at the top left; a green bar at the bottom gets longer with every frame, so that
    frames can be told apart by their green pixels.
    """

    def make(
        path: Path,
        *,
        pts: Sequence[int] = range(10),
        time_base: Fraction = Fraction(1, 10),
        size: ImageSize | None = None,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        rotation: int | None = None,
        mirrored: bool = False,
        pixel_aspect: Fraction | None = None,
        color: tuple[int, int, int, int] | None = None,
        audio: str | None = None,
        movflags: str = "",
    ) -> Path:
        import av
        import numpy as np

        size = size or ImageSize(48, 64)
        rate_hz = 48_000
        with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
            video = container.add_stream(codec, rate=round(1 / time_base) if time_base >= Fraction(1, 1000) else 10)
            video.height, video.width, video.pix_fmt = size.height, size.width, pix_fmt
            video.codec_context.time_base = time_base
            video.codec_context.options = {"crf": "8"} if codec == "libx264" else {}
            video.codec_context.gop_size = 5
            if codec != "libx264":
                video.codec_context.bit_rate = 4_000_000
            if rotation is not None or mirrored:
                video.set_display_rotation(rotation or 0, hflip=mirrored)
            if pixel_aspect is not None:
                video.codec_context.sample_aspect_ratio = pixel_aspect
            if color is not None:
                codec_context = video.codec_context
                codec_context.colorspace, codec_context.color_range = color[0], color[1]
                codec_context.color_primaries, codec_context.color_trc = color[2], color[3]
            sound = container.add_stream(audio, rate=rate_hz) if audio else None
            for number, time in enumerate(pts):
                image = np.zeros((size.height, size.width, 3), np.uint8)
                image[..., 2] = 250
                image[: size.height // 2, : size.width // 2] = (250, 0, 0)
                image[-size.height // 6 :, : 4 * (number + 1)] = (0, 250, 0)
                frame = av.VideoFrame.from_ndarray(image).reformat(
                    format=pix_fmt,
                    dst_colorspace=color[0] if color else "ITU601",
                    dst_color_range=color[1] if color else 1,
                )
                frame.pts, frame.time_base = time, time_base
                container.mux(video.encode(frame))
                if sound is not None:
                    wave = (8000 * np.sin(np.arange(rate_hz // 10) * (0.05 + number / 100))).astype(np.int16)
                    piece = av.AudioFrame.from_ndarray(wave[None].repeat(2, 1), format="s16", layout="stereo")
                    piece.sample_rate, piece.time_base = rate_hz, Fraction(1, rate_hz)
                    piece.pts = number * (rate_hz // 10)
                    container.mux(sound.encode(piece))
            container.mux(video.encode(None))
            if sound is not None:
                container.mux(sound.encode(None))
        return path

    return make
