"""`Subject`: an opened network whose speed and accuracy are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ...runtime.channel_order import in_channel_order
from ...runtime.frame_check import as_frames
from ...runtime.runners import Runner, open_runner
from ...runtime.runners.runner import GpuRunner
from ...runtime.segmenter import Segmenter
from ..route_runner import RouteRunner
from .recipe import TORCH_WAYS, Recipe

if TYPE_CHECKING:
    from ...runtime.runners import Backend
    from .report import Member

NetworkAlone = Callable[[NDArray[np.uint8]], Callable[[], object]]
Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Subject:
    """An opened network; a context manager.

    Attributes:
        segmenter: What users call.
        logits: RGB frames, uint8 (N, H, W, 3), to logits, float32 (N, classes, H, W); None where there are none to be
            had.
    """

    def __init__(
        self, runner: Runner, *, network_alone: NetworkAlone | None = None, logits: Logits | None = None
    ) -> None:
        self.segmenter = Segmenter(runner)
        self.logits = logits
        self._runner = runner
        self._network_alone = network_alone

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.segmenter.close()

    def frames(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames as this network takes them, in its order of channels; contiguous."""
        return in_channel_order(rgb, self.segmenter.spec.channel_order)

    def infer_call(self, rgb: NDArray[np.uint8]) -> Callable[[], object]:
        """A call of the innermost part that other tools report: see `Scope`.

        Args:
            rgb: Batch of RGB frames, uint8 (N, H, W, 3).
        """
        if self._network_alone is not None:
            return self._network_alone(rgb)
        frames, class_map = as_frames(self.frames(rgb)), np.empty(rgb.shape[:3], np.uint8)
        return lambda: self._runner.run(frames, ("class_map",), class_map=class_map)

    def device_call(self, rgb: NDArray[np.uint8]) -> Callable[[], object] | None:
        """A call of that part on a GPU, with frames that are there already; None where there is no such way.

        Args:
            rgb: Batch of RGB frames, uint8 (N, H, W, 3).
        """
        if self._runner.device == "cpu":
            return None
        if self._network_alone is not None:
            return self._network_alone(rgb)
        if not isinstance(self._runner, GpuRunner) or find_spec("torch") is None:
            return None
        import torch  # whose streams and events the time is measured with

        frames = torch.from_numpy(self.frames(rgb)).to(self._runner.device)
        class_map = torch.empty(frames.shape[:3], dtype=torch.uint8, device=self._runner.device)
        return lambda: self.segmenter(frames, out=class_map)

    def end_to_end_call(self, rgb: NDArray[np.uint8]) -> Callable[[], object]:
        """A call from frames in memory to class maps in memory.

        Args:
            rgb: Batch of RGB frames, uint8 (N, H, W, 3).
        """
        frames = self.frames(rgb)
        return lambda: self.segmenter(frames)


@dataclass(frozen=True)
class Entry:
    """One who takes part in a benchmark.

    Attributes:
        member: Its description.
        recipe: How it can be opened again.
        subject: The opened network.
    """

    member: Member
    recipe: Recipe
    subject: Subject


def open_subject(recipe: Recipe) -> Subject:
    """Open what a recipe describes.

    Raises:
        FcnrtError: If it cannot be had here.
    """
    if recipe.way == "fcnrt":
        return Subject(open_runner(recipe.path, backend=cast("Backend", recipe.backend), device=recipe.device))
    # Imported here: a file of fcnrt's is measured without importing PyTorch.
    from ...fcn_models.preprocessing import PREPROCESSING

    preprocessing = PREPROCESSING[recipe.spec.preprocessing]  # type: ignore[index]  # the name of one, from a checkpoint
    if recipe.way in TORCH_WAYS:
        import torch

        from ...fcn_models.reference import load_reference
        from ..torch_runner import TorchRunner

        torch_runner = TorchRunner(
            load_reference(recipe.path, recipe.spec).model,
            preprocessing,
            device=recipe.device,
            channels_last=recipe.way == "channels_last",
            compiled=recipe.way == "compiled",
            dtype=torch.float16 if recipe.way == "half" else torch.float32,
        )
        runner = RouteRunner(torch_runner, recipe.spec, backend=recipe.backend, device=recipe.device)
        return Subject(runner, network_alone=torch_runner.network_alone, logits=torch_runner.logits)
    from ..usual_route import UsualRoute, openvino_on_cpu

    route = UsualRoute(
        recipe.path, preprocessing, infer=openvino_on_cpu(recipe.path) if recipe.way == "openvino" else None
    )
    runner = RouteRunner(route, recipe.spec, backend=recipe.backend, device=recipe.device)
    return Subject(runner, network_alone=route.network_alone)
