"""From whatever array a caller hands over to checked frames; every refusal says how to convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from .errors import FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .spec import ChannelOrder


class SupportsDlpack(Protocol):
    """An array or tensor of another library that offers the DLPack protocol, for example a `torch.Tensor`."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


class SupportsArray(Protocol):
    """An object that offers numpy's `__array__`."""

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]: ...


class SupportsArrayInterface(Protocol):
    """An object that offers numpy's array interface, for example a `PIL.Image.Image`."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class SupportsCudaArrayInterface(Protocol):
    """An array on an NVIDIA GPU that offers the CUDA array interface, for example Numba's."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


FrameLike: TypeAlias = (
    "NDArray[Any] | SupportsDlpack | SupportsArray | SupportsArrayInterface | SupportsCudaArrayInterface"
)

# Types of device in DLPack's dlpack.h.
_READABLE_BY_CPU = {1, 3, 11, 13}  # CPU, pinned host memory of CUDA and ROCm, CUDA managed memory
_DEVICE_NAMES = {2: "cuda", 8: "metal", 10: "rocm"}

# Pillow's modes of 8 bits.
_OTHER_MODES = {"1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


def as_frames(frame: FrameLike, channel_order: ChannelOrder = "rgb") -> NDArray[np.uint8]:
    """The frame or batch of frames as a C-contiguous array, uint8 (H, W, 3) or (N, H, W, 3).

    Shares the caller's memory where that is contiguous already, and copies it where it is not.

    Raises:
        FrameError: If it is not an array in CPU memory, or has another dtype or shape, or no pixels; or if it is an
            image whose channels are known to be in another order than `channel_order`.
    """
    _refuse_other_modes(frame, channel_order)
    array = _as_array(frame)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise FrameError(_wrong_layout(array, "frame" if isinstance(frame, np.ndarray) else "np.asarray(frame)"))
    if array.size == 0:
        raise FrameError(f"frame is empty, uint8 {array.shape}; batch, height and width must be at least 1")
    return np.ascontiguousarray(array)


def check_out(out: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Accept a caller's buffer for class maps of the given shape.

    Raises:
        FrameError: If it is not a writable, C-contiguous uint8 array of that shape.
    """
    if not isinstance(out, np.ndarray):
        raise FrameError(f"out must be a numpy array, got a {type(out).__name__}; make one with {_new_buffer(shape)}")
    if out.dtype != np.uint8 or out.shape != shape:
        raise FrameError(f"out must be uint8 {shape}, got {out.dtype} {out.shape}; make one with {_new_buffer(shape)}")
    if not out.flags.c_contiguous:
        raise FrameError(f"out must be C-contiguous, got strides {out.strides}; make one with {_new_buffer(shape)}")
    if not out.flags.writeable:
        raise FrameError(f"out is read-only; make a writable buffer with {_new_buffer(shape)}")


def _refuse_other_modes(frame: Any, channel_order: ChannelOrder) -> None:
    """Refuse Pillow's images whose array says something else than the network takes."""
    mode = getattr(frame, "mode", None)
    if not isinstance(mode, str) or not hasattr(frame, "convert"):
        return
    if mode in _OTHER_MODES:
        raise FrameError(f'frame is an image of mode {mode}; convert it with frame.convert("RGB")')
    if mode == "RGB" and channel_order == "bgr":
        raise FrameError(
            "frame is an RGB image, and this network takes BGR; convert it with np.asarray(frame)[..., ::-1]"
        )


def _as_array(frame: Any) -> NDArray[Any]:
    if isinstance(frame, np.ndarray):
        return np.asarray(frame)  # also strips subclasses, whose operators may mean something else
    if not any(hasattr(frame, name) for name in ("__dlpack__", "__array__", "__array_interface__")):
        raise FrameError(_elsewhere(frame, "a GPU") if hasattr(frame, "__cuda_array_interface__") else _no_array(frame))
    try:
        if not hasattr(frame, "__dlpack__"):
            return np.asarray(frame)
        device_type, index = frame.__dlpack_device__()
        if device_type in _READABLE_BY_CPU:
            return np.from_dlpack(frame)
    except (BufferError, RuntimeError, TypeError, ValueError) as exc:
        raise FrameError(
            f"frame must be uint8 in CPU memory, got a {type(frame).__name__} that cannot be read as an array: {exc}"
        ) from exc
    name = _DEVICE_NAMES.get(int(device_type), f"device-type-{int(device_type)}")
    raise FrameError(_elsewhere(frame, f"{name}:{index}"))


def _elsewhere(frame: object, where: str) -> str:
    return (
        f"frame must be in CPU memory, got a {type(frame).__name__} on {where}; copy it first, for example with "
        "frame.cpu() (PyTorch) or frame.get() (CuPy)"
    )


def _no_array(frame: object) -> str:
    if frame is None:
        return "frame is None; cv2.imread returns None when it cannot read the file"
    message = f"frame must be an array, uint8 (height, width, 3), got a {type(frame).__name__}"
    if isinstance(frame, list | tuple):
        return f"{message}; stack frames of one size with np.stack(frames)"
    return f"{message}; read or decode the image first"


def _wrong_layout(array: NDArray[Any], expression: str) -> str:
    """The message for an array of the wrong dtype or shape, with the expression that converts it if one is known."""
    message = f"frame must be uint8 (height, width, 3) or (batch, height, width, 3), got {array.dtype} {array.shape}"
    condition = ""
    fixed = expression
    if array.dtype.kind == "f":
        fixed = f"({fixed} * 255).round().astype(np.uint8)"
        condition = " if its values are 0..1"
    elif array.dtype.kind == "u" and array.itemsize == 2:  # of either byte order
        fixed = f"({fixed} // 257).astype(np.uint8)"  # 65535 = 257 * 255
        condition = " if its values are 0..65535"
    elif array.dtype == np.bool_:
        fixed = f"({fixed} * np.uint8(255))"
    elif array.dtype.kind == "V":
        return message  # a record per pixel, whose fields mean anything
    elif array.dtype != np.uint8:
        fixed = f"{fixed}.astype(np.uint8)"
        condition = " if its values are 0..255"

    shape = array.shape
    if array.ndim in (3, 4) and shape[-1] == 3:
        pass
    elif array.ndim == 2:
        message, fixed = f"{message} (a gray image)", f"np.stack([{fixed}] * 3, axis=-1)"
    elif array.ndim in (3, 4) and shape[-1] == 1:
        message, fixed = f"{message} (a gray image)", f"np.repeat({fixed}, 3, axis=-1)"
    elif array.ndim in (3, 4) and shape[-1] == 4:
        message, fixed = f"{message} (with an alpha channel)", f"{fixed}[..., :3]"
    elif array.ndim == 3 and shape[0] == 3:
        message, fixed = f"{message} (channels first)", f"{fixed}.transpose(1, 2, 0)"
    elif array.ndim == 4 and shape[1] == 3:
        message, fixed = f"{message} (channels first)", f"{fixed}.transpose(0, 2, 3, 1)"
    else:
        return message
    return f"{message}; convert with {fixed}{condition}"


def _new_buffer(shape: tuple[int, ...]) -> str:
    return f"np.empty({shape}, np.uint8)"
