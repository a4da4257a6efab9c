"""`fcnrt build`: an exported model becomes a TensorRT engine."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .parsing import parsed

if TYPE_CHECKING:
    from ..export.engine.build import EngineOptions, EnginePlan, EngineResult
    from ..runtime.engines.optimization_profile import OptimizationProfile
    from ..runtime.engines.tensorrt_library import TensorRtLibrary
    from ..runtime.gpu.gpu import Gpu
    from ..runtime.spec import ImageSize

# Written out again, because importing takes time before --help; a test holds it against the original.
TargetName = Literal["auto", "tensorrt", "rtx"]


def build(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="File written by fcnrt export.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; MODEL.engine if not given.", show_default=False),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MIN,OPT,MAX",
            help="Frame sizes it takes, each HxW; may be given several times. Chosen by the GPU's memory if not.",
            show_default=False,
        ),
    ] = None,
    profile_from: Annotated[
        Path | None,
        typer.Option(help="Video or folder of pictures: take the sizes that occur there.", show_default=False),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, max=65536, help="Most frames in one call.")] = 1,
    target: Annotated[
        TargetName, typer.Option(help="TensorRT for the GPU here, TensorRT-RTX for any RTX GPU, or what there is.")
    ] = "auto",
    compute_capability: Annotated[
        str | None,
        typer.Option(
            metavar="CC,CC",
            help="With TensorRT-RTX: GPUs to build for, such as 8.6,8.9; all if not given.",
            show_default=False,
        ),
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Limit on TensorRT's scratch memory, such as 4G or 512M.", show_default=False
        ),
    ] = None,
    optimization_level: Annotated[
        int | None,
        typer.Option(
            min=0, max=5, help="How long to search for fast kernels; TensorRT's own is 3.", show_default=False
        ),
    ] = None,
    timing_cache: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|off",
            help="TensorRT's measurements, kept for the next build; in the user's cache if not given.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build although the GPU's memory will not suffice.")] = False,
) -> None:
    """Build a TensorRT engine from an exported model, with a manifest of what it was built for beside it.

    The precision is the graph's: for an fp16 engine, export with --precision fp16.
    """
    if profile and profile_from is not None:
        raise typer.BadParameter("give --profile or --profile-from, not both")

    from ..export.engine.build import EngineOptions

    if output is not None and output.suffix != ".engine":
        raise typer.BadParameter(f"{output.name} must end in .engine", param_hint="--output")
    profiles = _parse_profiles(profile or [], max_batch)
    if profile_from is not None:
        profiles = _profiles_from(profile_from, max_batch)
    options = EngineOptions(
        profiles=profiles,
        max_batch=max_batch,
        target=target,
        compute_capabilities=_parse_capabilities(compute_capability, target),
        workspace_bytes=_parse_bytes(workspace),
        optimization_level=optimization_level,
        timing_cache=None if timing_cache in (None, "off") else Path(timing_cache),
        use_timing_cache=timing_cache != "off",
        force=force,
    )
    result = build_with_progress(model, output or model.with_suffix(".engine"), options)
    typer.echo(result.path)


def build_with_progress(
    model: Path,
    output: Path,
    options: EngineOptions,
    *,
    machine: tuple[TensorRtLibrary, Gpu | None] | None = None,
    stored: bool = False,
) -> EngineResult:
    """Build an engine, saying on stderr what is being built, how far it is and what was proven."""
    from ..export.engine.build import build_engine
    from .console import fraction_bar, say

    def announce(plan: EnginePlan) -> None:
        for line in _describe_plan(plan):
            say(line)

    with fraction_bar("building") as advance:
        result = build_engine(
            model, output, options, machine=machine, stored=stored, on_plan=announce, on_progress=advance
        )
    convolutions = ", ".join(f"{count} in {kind}" for kind, count in sorted(result.manifest.convolutions.items()))
    evidence = (
        "by the network's types"
        if result.inspected_layers is None
        else f"by the network's types; the engine's description shows it in {result.inspected_layers} layers"
    )
    say(f"  proof     convolution layers: {convolutions} ({evidence})")
    say(f"  written   {result.manifest.engine_bytes / 1e6:.1f} MB and its manifest {result.path.name}.json")
    return result


def _describe_plan(plan: EnginePlan) -> list[str]:
    if plan.library.flavor == "tensorrt":
        where = str(plan.gpu)
    else:
        where = (
            f"compute capability {', '.join(plan.compute_capabilities)}" if plan.compute_capabilities else "any RTX GPU"
        )
    lines = []
    for index, (profile, estimate) in enumerate(zip(plan.profiles, plan.estimates, strict=True)):
        memory = "" if estimate is None else f" · about {_gigabytes(estimate.total_bytes)} at the largest size"
        head = f"{plan.library} · {where} · " if index == 0 else ""
        sizes = str(profile).replace(",", " / ")
        lines.append(f"  {'engine' if index == 0 else '':<10}{head}{sizes} · max batch {profile.max_batch}{memory}")
    if plan.warning is not None:
        lines.append(f"  warning   {plan.warning}")
    return lines


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _parse_profiles(texts: list[str], max_batch: int) -> tuple[OptimizationProfile, ...]:
    from ..runtime.engines.optimization_profile import OptimizationProfile

    parse = partial(OptimizationProfile.parse, max_batch=max_batch)
    return tuple(parsed("--profile", text, parse) for text in texts)


def _parse_capabilities(text: str | None, target: TargetName) -> tuple[str, ...]:
    if text is None:
        return ()
    if target == "tensorrt":
        raise typer.BadParameter("--compute-capability is for TensorRT-RTX; TensorRT builds for the GPU here")
    names = tuple(name.strip() for name in text.split(","))
    if not all(re.fullmatch(r"\d+\.\d", name) for name in names):
        raise typer.BadParameter(f"{text!r} is not a list such as 8.6,8.9", param_hint="--compute-capability")
    return names


def _parse_bytes(text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,19})([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 4G or 512M", param_hint="--workspace")
    count = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]
    if count >= 1 << 63:  # TensorRT's number has 64 bits
        raise typer.BadParameter(f"{text} is more memory than any GPU has", param_hint="--workspace")
    return count


def _profiles_from(source: Path, max_batch: int) -> tuple[OptimizationProfile, ...]:
    from ..export.engine.profiles import profiles_for
    from .console import say

    profiles = tuple(profiles_for(_sizes(source), max_batch=max_batch))
    say(f"  sizes     of {source}: {' and '.join(map(str, profiles))}")
    return profiles


def _sizes(source: Path) -> list[ImageSize]:
    """The sizes of the frames of a video, or of the pictures in a folder."""
    from ..runtime.images.files import read_image
    from ..runtime.sources import ImageSource, find_source
    from ..runtime.spec import ImageSize
    from ..runtime.video.reader import VideoReader

    found = find_source(str(source))
    if isinstance(found, ImageSource):
        shapes = (read_image(path).shape for path in found.files)
        return [ImageSize(shape[0], shape[1]) for shape in shapes]
    with VideoReader(found) as reader:
        return [reader.facts.size]
