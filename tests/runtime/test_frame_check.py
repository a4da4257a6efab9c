from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fcnrt.runtime.errors import FrameError
from fcnrt.runtime.frame_check import as_frames, check_out

FRAME = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


def test_contiguous_frames_are_not_copied() -> None:
    assert np.shares_memory(as_frames(FRAME), FRAME)
    assert np.shares_memory(as_frames(FRAME[None]), FRAME)


@pytest.mark.parametrize(
    "view",
    [FRAME[..., ::-1], FRAME[::-1], FRAME[:, ::2], FRAME[1:3, 1:3], np.asfortranarray(FRAME)],
    ids=["channels reversed", "upside down", "every second column", "crop", "fortran order"],
)
def test_other_layouts_are_copied(view: np.ndarray) -> None:
    frames = as_frames(view)
    assert frames.flags.c_contiguous
    np.testing.assert_array_equal(frames, view)


def test_dlpack_shares_memory() -> None:
    tensor = torch.from_numpy(FRAME.copy())
    frames = as_frames(tensor)
    np.testing.assert_array_equal(frames, FRAME)
    tensor[0, 0, 0] = 77
    assert frames[0, 0, 0] == 77


def test_dlpack_with_strides() -> None:
    planar = torch.from_numpy(FRAME).permute(2, 0, 1).contiguous()
    np.testing.assert_array_equal(as_frames(planar.permute(1, 2, 0)), FRAME)


def test_pillow_image() -> None:
    np.testing.assert_array_equal(as_frames(Image.fromarray(FRAME)), FRAME)


@pytest.mark.parametrize("mode", ["P", "L", "CMYK", "HSV"])  # a CMYK array looks like one with alpha, HSV like RGB
def test_pillow_image_of_another_mode(mode: str) -> None:
    picture = Image.fromarray(FRAME)
    picture = picture.convert("RGB").quantize(16) if mode == "P" else picture.convert(mode)
    with pytest.raises(FrameError, match=rf'an image of mode {mode}; convert it with frame\.convert\("RGB"\)'):
        as_frames(picture)
    assert as_frames(picture.convert("RGB")).shape == FRAME.shape


def test_pillow_image_for_a_network_that_takes_bgr() -> None:
    with pytest.raises(FrameError, match=r"an RGB image, and this network takes BGR; convert it with np\.asarray"):
        as_frames(Image.fromarray(FRAME), "bgr")
    assert as_frames(FRAME, "bgr") is not None  # of an array nobody knows the order


class WithArray:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return FRAME


def test_array_protocol() -> None:
    np.testing.assert_array_equal(as_frames(WithArray()), FRAME)


def test_read_only_frame() -> None:
    frame = FRAME.copy()
    frame.setflags(write=False)
    assert np.shares_memory(as_frames(frame), frame)


_RGB, _RGBA, _GRAY = np.ones((4, 5, 3)), np.ones((4, 5, 4), np.uint8), np.ones((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("frame", "given", "fix"),
    [
        (_RGB.astype(np.float32), "float32 (4, 5, 3)", "(frame * 255).round().astype(np.uint8) if its values are 0..1"),
        (_RGB.astype(np.uint16), "uint16 (4, 5, 3)", "(frame // 257).astype(np.uint8) if its values are 0..65535"),
        (_RGB.astype(np.int64), "int64 (4, 5, 3)", "frame.astype(np.uint8) if its values are 0..255"),
        (_RGB.astype(np.bool_), "bool (4, 5, 3)", "(frame * np.uint8(255))"),
        (_GRAY, "uint8 (4, 5) (a gray image)", "np.stack([frame] * 3, axis=-1)"),
        (_GRAY[..., None], "uint8 (4, 5, 1) (a gray image)", "np.repeat(frame, 3, axis=-1)"),
        (_RGBA, "uint8 (4, 5, 4) (with an alpha channel)", "frame[..., :3]"),
        (_RGBA[None], "uint8 (1, 4, 5, 4) (with an alpha channel)", "frame[..., :3]"),
        (FRAME.astype(">u2") * 257, "uint16 (4, 5, 3)", "(frame // 257).astype(np.uint8) if its values are 0..65535"),
        (FRAME.transpose(2, 0, 1), "uint8 (3, 4, 5) (channels first)", "frame.transpose(1, 2, 0)"),
        (FRAME.transpose(2, 0, 1)[None], "uint8 (1, 3, 4, 5) (channels first)", "frame.transpose(0, 2, 3, 1)"),
        (
            np.ones((3, 4, 5), np.float32),
            "float32 (3, 4, 5) (channels first)",
            "(frame * 255).round().astype(np.uint8).transpose(1, 2, 0) if its values are 0..1",
        ),
        (
            torch.ones(3, 4, 5),
            "float32 (3, 4, 5) (channels first)",
            "(np.asarray(frame) * 255).round().astype(np.uint8).transpose(1, 2, 0) if its values are 0..1",
        ),
    ],
)
def test_wrong_layout_states_a_fix_that_works(frame: Any, given: str, fix: str) -> None:
    with pytest.raises(FrameError) as caught:
        as_frames(frame)
    assert str(caught.value) == (
        f"frame must be uint8 (height, width, 3) or (batch, height, width, 3), got {given}; convert with {fix}"
    )
    as_frames(eval(fix.split(" if ", maxsplit=1)[0], {"np": np, "frame": frame}))


@pytest.mark.parametrize("shape", [(7,), (), (4, 5, 2), (5, 4, 7, 6), (2, 2, 4, 5, 3)])
def test_hopeless_shapes_get_no_fix(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"frame must be uint8 .*, got uint8 \([\d, ]*\)$"):
        as_frames(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (0, 4, 5, 3)])
def test_no_pixels(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"frame is empty, uint8 \(.*\); batch, height and width must be at least 1"):
        as_frames(np.empty(shape, np.uint8))


def test_none_points_at_imread() -> None:
    with pytest.raises(FrameError, match=r"frame is None; cv2.imread returns None when it cannot read the file"):
        as_frames(None)  # type: ignore[arg-type]


def test_path_is_not_a_frame() -> None:
    with pytest.raises(FrameError, match=r"must be an array, .* got a str; read or decode the image first"):
        as_frames("photo.jpg")  # type: ignore[arg-type]


def test_list_of_frames_wants_stacking() -> None:
    with pytest.raises(FrameError, match=r"got a list; stack frames of one size with np.stack\(frames\)"):
        as_frames([FRAME, FRAME])  # type: ignore[arg-type]


class OnDevice:
    """A tensor on another device, as DLPack shows it."""

    def __init__(self, device_type: int) -> None:
        self.device = (device_type, 1)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **kwargs: Any) -> Any:
        raise AssertionError("must not be asked for its memory")


@pytest.mark.parametrize(("device_type", "name"), [(2, "cuda:1"), (10, "rocm:1"), (14, "device-type-14:1")])
def test_tensor_on_another_device(device_type: int, name: str) -> None:
    with pytest.raises(FrameError, match=rf"in CPU memory, got a OnDevice on {name}; copy it first, .* frame.cpu\(\)"):
        as_frames(OnDevice(device_type))


@pytest.mark.parametrize("tensor", [torch.ones(4, 5, 3, dtype=torch.bfloat16), torch.empty(4, 5, 3, device="meta")])
def test_tensor_that_numpy_cannot_read(tensor: torch.Tensor) -> None:
    with pytest.raises(FrameError, match="frame must be uint8 in CPU memory, got a Tensor that cannot be read"):
        as_frames(tensor)


READ_ONLY = np.empty((4, 5), np.uint8)
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    ("out", "complaint"),
    [
        (np.empty((4, 5), np.int64), r"out must be uint8 \(4, 5\), got int64 \(4, 5\)"),
        (np.empty((5, 4), np.uint8), r"out must be uint8 \(4, 5\), got uint8 \(5, 4\)"),
        (np.empty((1, 4, 5), np.uint8), r"got uint8 \(1, 4, 5\)"),
        (np.empty((4, 10), np.uint8)[:, ::2], r"out must be C-contiguous, got strides \(10, 2\)"),
        (READ_ONLY, "out is read-only"),
        ([[0] * 5] * 4, "out must be a numpy array, got a list"),
    ],
)
def test_unusable_out_states_a_buffer_that_works(out: Any, complaint: str) -> None:
    with pytest.raises(FrameError, match=rf"{complaint}; make .* with np.empty\(\(4, 5\), np.uint8\)"):
        check_out(out, (4, 5))
    check_out(np.empty((4, 5), np.uint8), (4, 5))
