"""Whether frames and class maps on a GPU pass between libraries as they must: in place, in the order of streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from ...runtime.gpu.array import GpuArray
from ...runtime.gpu.cuda_driver import DEFAULT_STREAM, CudaDriver
from ...runtime.segmenter import Segmenter
from ...runtime.spec import ModelSpec, OutputName
from ..report import Outcome, Row

_SHAPE = (240, 320, 3)
_CALLS = 200  # that leave memory behind if it is not given back
_LEAK_MIB = 4.0  # what the driver may keep for itself; a class map in each call would be four times that
_SLEEP_CYCLES = 100_000_000  # some ten milliseconds in which a frame is not there yet

_SPEC = ModelSpec(
    variant="fcn8s",
    class_names=("red", "green", "blue"),
    palette=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
    channel_order="rgb",
    outputs=("class_map",),
    precision="fp32",
    align="same",
    preprocessing="none",
    activation_scale_log2=0,
    opset=20,
    source="the strongest channel of each pixel",
    checkpoint_sha256="0" * 64,
    fcnrt_version="0",
)


class StrongestChannel:
    """A runner that gives each pixel the class of its strongest channel, on the GPU, by PyTorch.

    It stands for the backends, of which none may be installed: what is checked lies between the caller and them.
    """

    backend = "PyTorch"
    spec = _SPEC

    def __init__(self, device: torch.device) -> None:
        self.device = str(device)
        self._device = device
        self._cuda = CudaDriver(device.index or 0)

    def run(
        self, frames: NDArray[np.uint8], outputs: Sequence[OutputName], *, class_map: NDArray[np.uint8] | None = None
    ) -> dict[OutputName, NDArray[Any]]:
        """See `Runner.run`."""
        return {"class_map": frames.argmax(-1).astype(np.uint8)}

    def cuda_driver(self) -> CudaDriver:
        """See `GpuRunner.cuda_driver`."""
        return self._cuda

    def run_on_gpu(self, frames: GpuArray, class_map: GpuArray, *, stream: int) -> None:
        """See `GpuRunner.run_on_gpu`."""
        if stream == DEFAULT_STREAM:
            own = torch.cuda.default_stream(self._device)
        else:
            own = torch.cuda.ExternalStream(stream, device=self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(own):
            from_dlpack(class_map).copy_(from_dlpack(frames).argmax(-1))

    def close(self) -> None:
        """See `Runner.close`."""


class _InterfaceOnly:
    """A tensor that shows nothing but its CUDA array interface, with the stream that works on it."""

    def __init__(self, tensor: torch.Tensor, stream: int | None) -> None:
        self._tensor = tensor
        self.__cuda_array_interface__ = {**tensor.__cuda_array_interface__, "version": 3, "stream": stream}


def measure_arrays(device: torch.device, *, note: Callable[[str], None]) -> Row:
    """Pass a frame to a `Segmenter` and its class map back in every way that is to be had on a GPU.

    Args:
        device: The GPU.
        note: Told what failed, in sentences.

    Raises:
        DeviceError: If the driver does not offer the GPU.
    """
    frame = np.random.default_rng(0).integers(0, 256, _SHAPE, np.uint8)
    with Segmenter(StrongestChannel(device)) as segment:
        tensor = torch.from_numpy(frame).to(device)
        outcomes = compare_class_maps(_cases(segment, tensor, frame), frame.argmax(-1), note=note)
        if outcomes[0].met:
            outcomes.append(_memory_kept(segment, tensor))
    return Row(
        name="arrays",
        title="frames and class maps that stay on the GPU",
        scope="a frame on the GPU given to a Segmenter whose network is an arg-max by PyTorch; class maps compared "
        "with numpy's, also where the frame is written late on another stream",
        unit="",
        samples={},
        outcomes=tuple(outcomes),
    )


def compare_class_maps(
    cases: Mapping[str, Callable[[], NDArray[np.uint8]]], expected: NDArray[Any], *, note: Callable[[str], None]
) -> list[Outcome]:
    """The share of right pixels in each case, all of which must be right; a case that fails has none."""
    outcomes = []
    for name, case in cases.items():
        try:
            right = 100 * float(np.mean(case() == expected))
        except Exception as exc:  # every case is to be seen
            note(f"{name} failed: {' '.join(str(exc).split())[:200]}")
            right = 0.0
        outcomes.append(Outcome(value=right, meaning=f"% of the pixels right: {name}", at_least=100.0))
    return outcomes


def _cases(
    segment: Segmenter, tensor: torch.Tensor, frame: NDArray[np.uint8]
) -> dict[str, Callable[[], NDArray[np.uint8]]]:
    device = tensor.device
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def late() -> torch.Tensor:
        """The frame, on its way on the current stream."""
        buffer = torch.zeros_like(tensor)
        torch.cuda._sleep(_SLEEP_CYCLES)  # type: ignore[no-untyped-call]
        return buffer.copy_(tensor)

    def empty() -> torch.Tensor:
        return torch.zeros(_SHAPE[:-1], dtype=torch.uint8, device=device)

    def through_dlpack() -> NDArray[np.uint8]:
        return from_dlpack(segment(tensor)).cpu().numpy()

    def through_interface() -> NDArray[np.uint8]:
        return torch.as_tensor(segment(_InterfaceOnly(tensor, None)), device=device).cpu().numpy()

    def into_out() -> NDArray[np.uint8]:
        return segment(tensor, out=empty()).cpu().numpy()

    def under_way() -> NDArray[np.uint8]:
        with torch.cuda.stream(aside):
            class_map = segment(late())
        return from_dlpack(class_map).cpu().numpy()

    def under_way_interface() -> NDArray[np.uint8]:
        with torch.cuda.stream(aside):
            class_map = segment(_InterfaceOnly(late(), aside.cuda_stream))
        return from_dlpack(class_map).cpu().numpy()

    def on_my_stream() -> NDArray[np.uint8]:
        with torch.cuda.stream(aside):
            given, out = late(), empty()
            segment(given, out=out, stream=aside.cuda_stream)
            return out.cpu().numpy()

    def on_my_stream_without_out() -> NDArray[np.uint8]:
        with torch.cuda.stream(aside):
            class_map = segment(late(), stream=aside.cuda_stream)
        return from_dlpack(class_map).cpu().numpy()

    def cupy_both_ways() -> NDArray[np.uint8]:
        cupy = import_module("cupy")
        found: NDArray[np.uint8] = cupy.asarray(segment(cupy.asarray(frame))).get()
        return found

    cases: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "PyTorch by DLPack": through_dlpack,
        "by the CUDA array interface alone": through_interface,
        "into out": into_out,
        "frame under way on another stream": under_way,
        "the same by the CUDA array interface": under_way_interface,
        "frame and class map on the caller's stream": on_my_stream,
        "new class map on the caller's stream": on_my_stream_without_out,
    }
    if find_spec("cupy") is not None:
        cases["CuPy"] = cupy_both_ways
    return cases


def _memory_kept(segment: Segmenter, tensor: torch.Tensor) -> Outcome:
    segment(tensor)
    before, _ = torch.cuda.mem_get_info(tensor.device)
    for _ in range(_CALLS):
        segment(tensor)
    after, _ = torch.cuda.mem_get_info(tensor.device)
    kept = (before - after) / 2**20
    return Outcome(value=kept, meaning=f"MiB not given back after {_CALLS} class maps", at_most=_LEAK_MIB)
