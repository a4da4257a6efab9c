"""The reference: a network in PyTorch, as it is before anything is exported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..export.decision import decide, per_class
from ..export.reference import normalize
from ..fcn_models.preprocessing import Preprocessing
from ..runtime.device import Device
from ..runtime.errors import DeviceError


class TorchRunner:
    """A `Route` through the module itself, eager, with PyTorch's default threads.

    Args:
        model: The network; put into eval mode.
        preprocessing: What it was trained with.
        device: Where to run, ``cpu`` or ``cuda:N``.
        channels_last: Keep weights and activations with the channels innermost, which some convolutions prefer.
        compiled: Run through ``torch.compile``.
        dtype: Type of weights and activations.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        *,
        device: str = "cpu",
        channels_last: bool = False,
        compiled: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        model = model.eval().to(device, dtype)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        self._model: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model) if compiled else model
        self._preprocessing = preprocessing
        self._device = device
        self._dtype = dtype

    @torch.inference_mode()
    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class map, uint8 (H, W), of an RGB frame, uint8 (H, W, 3); or of a batch, (N, H, W, 3)."""
        frames = frame if frame.ndim == 4 else frame[np.newaxis]
        class_map = decide(self._model(self._input(frames))).to(torch.uint8).cpu().numpy()
        return class_map if frame.ndim == 4 else class_map[0]

    @torch.inference_mode()
    def logits(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of every class, float32 (N, classes, H, W), of RGB frames, uint8 (N, H, W, 3)."""
        return per_class(self._model(self._input(frames)).float().cpu().numpy())

    def network_alone(self, frames: NDArray[np.uint8]) -> Callable[[], object]:
        """A call of the network alone: from the normalised frames to logits, both on the device."""
        with torch.inference_mode():
            x = self._input(frames)

        @torch.inference_mode()
        def call() -> None:
            self._model(x)
            if self._device != "cpu":
                torch.cuda.synchronize(self._device)

        return call

    def _input(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        x = normalize(frames, self._preprocessing).to(self._device, self._dtype)
        return x.contiguous(memory_format=self._memory_format)


def torch_device(text: str) -> str:
    """PyTorch's name of the device written as ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if it has one.

    Raises:
        DeviceError: If PyTorch has no such device.
    """
    device = Device.parse(text)
    if device is None:
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device.kind == "cuda" and device.index >= torch.cuda.device_count():
        raise DeviceError(f"PyTorch has no {device} here; take --device cpu, or see fcnrt doctor")
    return str(device)
