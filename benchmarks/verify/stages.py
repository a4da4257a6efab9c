"""The stages of a deployment: from the file that is deployed back to the PyTorch module."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...export.to_onnx import export_onnx
from ...fcn_models.checkpoint import Checkpoint
from ...runtime.channel_order import in_channel_order
from ...runtime.engines.engine_file import is_engine
from ...runtime.engines.manifest import onnx_path, read_manifest
from ...runtime.errors import ParityError
from ...runtime.segmenter import Segmenter, open_the_file_itself
from ...runtime.spec import ImageSize
from .parity import Stage
from .reference import Reference


@dataclass(frozen=True, eq=False)
class Deployment:
    """A deployed file, opened, with everything between it and PyTorch.

    Attributes:
        reference: The PyTorch module.
        stages: What became of it, the deployed file last.
        takes: Whether the deployed file takes frames of a size; an engine has limits.
        tuned_for: Sizes that it was made for in particular; none for an ONNX file.
    """

    reference: Reference
    stages: tuple[Stage, ...]
    takes: Callable[[ImageSize], bool]
    tuned_for: tuple[ImageSize, ...]


@contextmanager
def open_deployment(
    model: Path,
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    progress: Callable[[str], None] = lambda step: None,
    open_model: Callable[..., Segmenter] = open_the_file_itself,
) -> Iterator[Deployment]:
    """Open a deployed file together with the stages it went through, made again where they are not at hand.

    Args:
        model: An ``.onnx`` file or an ``.engine``.
        checkpoint: The network it was made from.
        device: As for `Segmenter.open`.
        progress: Called with a word for each step as it begins.
        open_model: Opens the deployed file; takes it and the keyword `device`.

    Raises:
        FcnrtError: If a file cannot be used, or has not the checkpoint's classes.
    """
    with ExitStack() as opened:
        segmenter = opened.enter_context(open_model(model, device=device))
        spec = segmenter.spec
        if spec.num_classes != len(checkpoint.class_names):
            raise ParityError(
                f"{model} has {spec.num_classes} classes and the reference {checkpoint.source} has "
                f"{len(checkpoint.class_names)}; they are different networks. Give the checkpoint it was exported from."
            )
        half = spec.precision == "fp16"
        reference = Reference(checkpoint, half=half, activation_scale_log2=spec.activation_scale_log2)
        manifest = read_manifest(model) if is_engine(model) else None
        stages = []
        if spec.precision != "fp32":
            progress("exporting in fp32")
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="fcnrt-verify-")))
            path = export_onnx(checkpoint, folder / "fp32.onnx").path
            stages.append(_stage("fp32 graph", opened.enter_context(open_the_file_itself(path)), path))
        if half:
            stages.append(Stage(f"{spec.precision}, emulated", _emulated(reference), spec.precision))
        if manifest is not None:
            onnx = onnx_path(model, manifest)
            if onnx.is_file():
                graph = opened.enter_context(open_the_file_itself(onnx))
                stages.append(_stage(f"{graph.spec.precision} graph", graph, onnx))
        if manifest is None:
            stages.append(_stage(f"{spec.precision} graph", segmenter, model))
        else:
            stages.append(_stage("engine", segmenter, None))
        profiles = () if manifest is None else manifest.profiles
        yield Deployment(
            reference,
            tuple(stages),
            takes=lambda size: manifest is None or any(profile.admits(size) for profile in profiles),
            tuned_for=tuple(dict.fromkeys(profile.opt for profile in profiles)),
        )


def _stage(name: str, segmenter: Segmenter, onnx: Path | None) -> Stage:
    def segment(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return segmenter(in_channel_order(rgb, segmenter.spec.channel_order))

    where = f"{name} ({segmenter.backend} on {segmenter.device})"
    spec = segmenter.spec
    further = segmenter if len(spec.outputs) > 1 else None
    return Stage(where, segment, spec.precision, spec.checkpoint_sha256, onnx, further)


def _emulated(reference: Reference) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    def segment(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        logits = reference.half_logits(rgb)
        assert logits is not None
        class_map: NDArray[np.uint8] = logits.argmax(0).astype(np.uint8)
        return class_map

    return segment
