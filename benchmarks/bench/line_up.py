"""Who takes part in a benchmark: models on every backend that works here, PyTorch as the reference, peers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ...export.requirements import require_export_packages
from ...fcn_models.weights import bundled_for
from ...runtime.engines.engine_file import is_engine
from ...runtime.errors import CheckpointError, DeviceError, FcnrtError, MissingDependencyError, ModelFileError
from ...runtime.runners import Backend, open_runner
from .peers import PYTORCH, open_checkpoint
from .recipe import Recipe
from .report import Member
from .subject import Entry, Subject


@dataclass(frozen=True)
class LineUp:
    """Everybody who takes part, the reference first; and what could not, in sentences."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def open_line_up(
    stack: ExitStack,
    models: Sequence[Path],
    *,
    backends: Sequence[Backend],
    device: str,
    reference: Path | None,
    peers: bool,
    folder: Path,
) -> LineUp:
    """Open everything that is to be measured.

    Args:
        stack: Closes it in the end.
        models: Exported files.
        backends: Libraries to run them with; all that work here if empty.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: every kind of device that works here.
        reference: The checkpoint that the models were exported from; if None, the bundled demo weights where the
            models were exported from those.
        peers: Whether other ways to run the reference take part.
        folder: Where files of peers are written.

    Raises:
        FcnrtError: If something that was asked for by name cannot be had.
    """
    notes: list[str] = []
    opened: list[tuple[Recipe, Subject]] = []
    for model in models:
        found, unfit = _open_model(stack, model, backends=backends, device=device)
        opened += found
        notes += unfit
    named = _names(opened)
    first_name, (first, _) = next(iter(named.items()))
    for name, (recipe, _) in named.items():
        if recipe.spec.num_classes != first.spec.num_classes:
            raise ModelFileError(
                f"{name} has {recipe.spec.num_classes} classes and {first_name} {first.spec.num_classes}; networks are "
                "compared on one set of classes: measure them in two runs"
            )
    checkpoint, reason = (reference, "") if reference is not None else _bundled_checkpoint(first)
    entries: list[Entry] = []
    baseline = first_name
    if checkpoint is not None:
        require_export_packages("the PyTorch reference")
        entries, missing = open_checkpoint(stack, checkpoint, first.spec, device=device, peers=peers, folder=folder)
        notes += missing
        baseline = PYTORCH
        if entries[0].recipe.spec.checkpoint_sha256 != first.spec.checkpoint_sha256:
            notes.append(f"{first.path.name} was not exported from this {checkpoint.name} (another SHA-256)")
    elif peers:
        raise CheckpointError(f"peers run the network as it was before export, and {reason}")
    else:
        notes.append(f"no PyTorch reference: {reason}")
        if len(named) > 1:
            notes.append(f"all are compared with {first_name}")
    for name, (recipe, subject) in named.items():
        compared_with = baseline if name != baseline else None
        same = recipe.spec.checkpoint_sha256 == first.spec.checkpoint_sha256
        member = Member(
            name=name,
            role="fcnrt",
            compared_with=compared_with,
            # Whoever names a checkpoint says that the models are its exports.
            same_network=compared_with is not None and (same or reference is not None),
            file=recipe.path.name,
            file_bytes=recipe.path.stat().st_size,
            precision=recipe.spec.precision,
            backend=recipe.backend,
            device=recipe.device,
        )
        entries.append(Entry(member, recipe, subject))
    return LineUp(tuple(entries), tuple(notes))


def _open_model(
    stack: ExitStack, model: Path, *, backends: Sequence[Backend], device: str
) -> tuple[list[tuple[Recipe, Subject]], list[str]]:
    """The model on every backend and device that was asked for; on all that work here where nothing was asked for.

    Returns:
        What was opened, and in sentences what could be measured too if something were done first.
    """
    engine = is_engine(model)
    opened: list[tuple[Recipe, Subject]] = []
    failures: list[FcnrtError] = []
    for backend in backends or (("tensorrt",) if engine else get_args(Backend)):
        before = len(opened)
        for place in (("cuda",) if engine else ("cuda", "cpu")) if device == "auto" else (device,):
            try:
                opened.append(_open(stack, model, backend, place))
            except (MissingDependencyError, DeviceError, ModelFileError) as exc:  # noqa: PERF203  # two or three rounds
                failures.append(exc)
        if backends and len(opened) == before:
            raise failures[-1]
    unfit = [failure for failure in failures if isinstance(failure, ModelFileError)]
    if not opened:
        # That the file is no model says more than that some backend is not installed.
        raise (unfit or failures)[0]
    return opened, [f"{model.name} was not measured with TensorRT: {failure}" for failure in unfit]


def _open(stack: ExitStack, model: Path, backend: str, device: str) -> tuple[Recipe, Subject]:
    runner = open_runner(model, backend=backend, device=device)  # type: ignore[arg-type]  # one of Backend
    subject = stack.enter_context(Subject(runner))
    return Recipe(way="fcnrt", path=model, backend=runner.backend, device=runner.device, spec=runner.spec), subject


def _names(opened: Sequence[tuple[Recipe, Subject]]) -> dict[str, tuple[Recipe, Subject]]:
    """A name for each: short if there is one model only, with the file's name if there are several."""
    files = {recipe.path for recipe, _ in opened}
    stems = {path.stem for path in files}
    named = {}
    for recipe, subject in opened:
        model = "fcnrt" if len(files) == 1 else recipe.path.stem if len(stems) == len(files) else str(recipe.path)
        named[f"{model} {recipe.backend} {recipe.device}"] = (recipe, subject)
    return named


def _bundled_checkpoint(recipe: Recipe) -> tuple[Path | None, str]:
    """The bundled weights if the model was exported from them and PyTorch is installed; else the reason, in words."""
    path = bundled_for(recipe.spec)
    if path is None:
        return None, (
            f"{recipe.path.name} was not exported from the bundled weights; name its checkpoint: --reference CHECKPOINT"
        )
    try:
        require_export_packages("it")
    except MissingDependencyError as exc:  # it was not asked for: measure what there is
        return None, str(exc)
    return path, ""
