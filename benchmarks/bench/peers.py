"""The network as it was before export: PyTorch eager, the reference, and the other ways that people run it."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ...runtime.spec import ModelSpec
from .recipe import Recipe, Way
from .report import Member
from .subject import Entry, open_subject

PYTORCH = "PyTorch eager"
USUAL_ROUTE = "usual route"

_PEERS: dict[str, tuple[Way, str]] = {
    "PyTorch channels_last": ("channels_last", "pytorch"),
    "torch.compile": ("compiled", "pytorch"),
    "PyTorch fp16": ("half", "pytorch"),
    USUAL_ROUTE: ("usual", "onnxruntime"),
    "usual route, OpenVINO": ("openvino", "openvino"),
}


def open_checkpoint(
    stack: ExitStack, path: Path, model_spec: ModelSpec, *, device: str, peers: bool, folder: Path
) -> tuple[list[Entry], list[str]]:
    """Open PyTorch eager, and with `peers` the other ways to run a checkpoint.

    Args:
        stack: Closes them in the end.
        path: The checkpoint.
        model_spec: What its export says about the network.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a CUDA device if PyTorch has one.
        peers: Whether to open others than PyTorch eager.
        folder: Where their files are written.

    Returns:
        The opened networks, PyTorch eager first; and what could not be had, in sentences.

    Raises:
        CheckpointError: If the file is no checkpoint of such a network.
        DeviceError: If PyTorch has no such device.
    """
    from ...export.model_spec import spec_of
    from ...fcn_models.reference import load_reference
    from ..torch_runner import torch_device

    checkpoint = load_reference(path, model_spec)
    spec = spec_of(checkpoint)
    place = torch_device(device)
    reference = Recipe(way="pytorch", path=path, backend="pytorch", device=place, spec=spec)
    entries, notes = [_entry(stack, PYTORCH, reference)], []
    if peers:
        from ..usual_route import export_usual_route

        usual_path = export_usual_route(checkpoint.model, folder / "usual.onnx")
        for name, (way, backend) in _PEERS.items():
            if (way == "openvino" and find_spec("openvino") is None) or (way == "half" and place == "cpu"):
                continue
            peer_path, peer_place = (path, place) if backend == "pytorch" else (usual_path, "cpu")
            recipe = Recipe(way=way, path=peer_path, backend=backend, device=peer_place, spec=spec)
            try:
                entry = _entry(stack, name, recipe)
                entry.subject.segmenter(np.zeros((32, 32, 3), np.uint8))
            except Exception as exc:  # whatever keeps another project from running here; it is not ours to fix
                notes.append(f"{name} does not run here: {str(exc).strip().splitlines()[0]}")
            else:
                entries.append(entry)
    return entries, notes


def _entry(stack: ExitStack, name: str, recipe: Recipe) -> Entry:
    """PyTorch or a peer."""
    is_reference = recipe.way == "pytorch"
    member = Member(
        name=name,
        role="reference" if is_reference else "peer",
        compared_with=None if is_reference else PYTORCH,
        same_network=not is_reference,
        file=recipe.path.name,
        file_bytes=_size_with_parts(recipe.path),
        precision="fp16" if recipe.way == "half" else "fp32",
        backend=recipe.backend,
        device=recipe.device,
    )
    return Entry(member, recipe, stack.enter_context(open_subject(recipe)))


def _size_with_parts(path: Path) -> int:
    """Size of a file in bytes, with the weights that an ONNX file may have beside it."""
    parts = (path, path.with_name(path.name + ".data"))
    return sum(part.stat().st_size for part in parts if part.exists())
