"""From an exported ONNX file to a TensorRT engine with its manifest. Needs TensorRT, but neither torch nor onnx."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.atomic import check_writable, make_folder
from ...runtime.engines.manifest import EngineKey, EngineManifest, write_engine
from ...runtime.engines.optimization_profile import OptimizationProfile
from ...runtime.engines.tensorrt_library import Target, TensorRtLibrary, choose_library
from ...runtime.errors import DeviceError, EngineBuildError, OutputError
from ...runtime.file_hash import file_hash
from ...runtime.gpu.gpu import Gpu, find_gpu
from ...runtime.onnx_header import OnnxHeader, read_metadata, read_onnx_header
from ...runtime.self_test import SELF_TEST_KEY
from ...runtime.spec import ImageSize
from .memory_estimate import MemoryEstimate, estimate_memory
from .network import ParsedNetwork, count_convolutions, parse_onnx, planned_convolutions
from .profiles import default_profile
from .progress import BuildProgress, make_monitor, run_interruptibly
from .proof import check_precision, describe_layers
from .timing_cache import default_timing_cache, load_timing_cache, save_timing_cache

# The driver, the CUDA context and TensorRT's scratch memory want their share.
_USABLE_SHARE = 0.85


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What to build.

    Attributes:
        profiles: Sizes the engine takes; chosen by the GPU's memory if there are none.
        max_batch: Most frames in one call; that of each profile.
        target: Which TensorRT builds.
        compute_capabilities: TensorRT-RTX only: GPUs to build for, such as ``8.9``; all it supports if there are none.
        workspace_bytes: Limit on scratch memory, which covers activations too; None for TensorRT's own, the GPU's all.
        optimization_level: How long to search for fast kernels, 0 to 5; None for TensorRT's own.
        timing_cache: File that keeps measurements for the next build; None for the one in the user's cache directory.
        use_timing_cache: Whether to use it.
        force: Build although the memory will not suffice.
    """

    profiles: tuple[OptimizationProfile, ...] = ()
    max_batch: int = 1
    target: Target = "auto"
    compute_capabilities: tuple[str, ...] = ()
    workspace_bytes: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    use_timing_cache: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        if self.compute_capabilities and self.target == "tensorrt":
            raise ValueError("compute capabilities are chosen for TensorRT-RTX only; TensorRT builds for the GPU here")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise ValueError(f"the optimization level must be 0 to 5, got {self.optimization_level}")
        if any(profile.max_batch != self.max_batch for profile in self.profiles):
            raise ValueError("every profile must have the batch of max_batch")


@dataclass(frozen=True, kw_only=True)
class EnginePlan:
    """What is about to be built; said before the slow part begins.

    Attributes:
        library: The TensorRT that builds.
        gpu: The GPU at hand, if there is one.
        compute_capabilities: What TensorRT-RTX builds for; all it supports if there are none.
        profiles: Sizes the engine will take.
        estimates: Memory at the largest size of each profile, None where it cannot be told.
        warning: Why the memory will not suffice, if it was asked to be built all the same.
    """

    library: TensorRtLibrary
    gpu: Gpu | None
    compute_capabilities: tuple[str, ...]
    profiles: tuple[OptimizationProfile, ...]
    estimates: tuple[MemoryEstimate | None, ...]
    warning: str | None


@dataclass(frozen=True, kw_only=True)
class EngineResult:
    """What was built.

    Attributes:
        path: The engine; its manifest lies beside it.
        manifest: What the manifest says.
        inspected_layers: Layers in which the engine's own description shows the planned precision; None where the
            engine could not be loaded (no GPU it runs on), and the network's types are the proof.
    """

    path: Path
    manifest: EngineManifest
    inspected_layers: int | None


def engine_key(onnx_path: Path, options: EngineOptions, library: TensorRtLibrary, gpu: Gpu | None) -> EngineKey:
    """What an engine built now would depend on."""
    bound_to, capabilities = None, options.compute_capabilities
    if library.flavor == "tensorrt" and gpu is not None:
        bound_to, capabilities = gpu.name, (gpu.compute_capability,)
    return EngineKey(
        onnx_sha256=file_hash(onnx_path),
        flavor=library.flavor,
        version=library.version,
        gpu=bound_to,
        compute_capabilities=capabilities,
        profiles=tuple(map(str, options.profiles)),
        max_batch=options.max_batch,
        workspace_bytes=options.workspace_bytes,
        optimization_level=options.optimization_level,
    )


def choose_machine(target: Target, index: int = 0) -> tuple[TensorRtLibrary, Gpu | None]:
    """The TensorRT to build with, and the GPU to build for.

    Args:
        target: Which TensorRT.
        index: CUDA index of the GPU; 0 is the first that ``CUDA_VISIBLE_DEVICES`` shows.

    Raises:
        MissingDependencyError: If no TensorRT is installed.
        DeviceError: If TensorRT needs a GPU and there is none, or the GPU is not of the kind of the first one, for
            which TensorRT builds.
    """
    gpu = find_gpu(index)
    library = choose_library(target, gpu_present=gpu is not None)
    if library.flavor == "tensorrt" and gpu is None:
        raise DeviceError(
            f"{library} measures kernels on the GPU it builds for, and there is none here; build on the machine that "
            "will run the engine, or build for RTX GPUs with --target rtx"
        )
    first = gpu if index == 0 else find_gpu()
    if library.flavor == "tensorrt" and str(first) != str(gpu):
        raise DeviceError(
            f"{library} builds for the first GPU, here an {first}, and cuda:{index} is an {gpu}; make it the first "
            "with CUDA_VISIBLE_DEVICES"
        )
    return library, gpu


def build_engine(
    onnx_path: Path,
    engine_path: Path,
    options: EngineOptions | None = None,
    *,
    machine: tuple[TensorRtLibrary, Gpu | None] | None = None,
    stored: bool = False,
    on_plan: Callable[[EnginePlan], None] = lambda plan: None,
    on_progress: Callable[[float, str], None] = lambda fraction, phase: None,
) -> EngineResult:
    """Build a TensorRT engine from a file that `export_onnx` wrote. Takes seconds to minutes.

    The graph's types are the engine's: an fp16 engine comes from an fp16 export.

    Args:
        onnx_path: The exported file.
        engine_path: File to write; its manifest is written beside it.
        options: What to build.
        machine: TensorRT and GPU to build with; found by `choose_machine` if not given.
        stored: Whether the engine is for the store, where it is found by the ONNX file's content.
        on_plan: Called before the build begins, from another thread.
        on_progress: Called with the fraction done and TensorRT's name for what it does, from another thread.

    Returns:
        What was written.

    Raises:
        ModelFileError: If the ONNX file is missing, damaged or not written by fcnrt.
        MissingDependencyError: If no TensorRT is installed.
        DeviceError: If TensorRT needs a GPU and there is none.
        EngineBuildError: If the memory will not suffice, TensorRT cannot build the engine, or it would not have the
            precision of the graph. Nothing is written.
        OutputError: If the files cannot be written.
    """
    options = options or EngineOptions()
    header = read_onnx_header(onnx_path)
    check_writable(engine_path)
    library, gpu = machine or choose_machine(options.target)
    if options.compute_capabilities and library.flavor != "tensorrt_rtx":
        raise EngineBuildError(f"compute capabilities cannot be chosen with {library}; use --target rtx")
    if options.timing_cache is not None and library.flavor != "tensorrt":
        raise EngineBuildError(f"{library} measures nothing when it builds and keeps no timing cache; leave it out")
    if options.timing_cache is not None:
        make_folder(options.timing_cache.parent)
        check_writable(options.timing_cache)
    key = engine_key(onnx_path, options, library, gpu)
    progress = BuildProgress(on_progress)
    built = run_interruptibly(
        lambda: _build(onnx_path, header, options, library, gpu, on_plan, progress), progress.cancelled
    )
    data = memoryview(built.serialized)
    manifest = EngineManifest(
        key=key,
        profiles=built.profiles,
        onnx_name=str(onnx_path.resolve()) if stored else os.path.relpath(onnx_path, engine_path.parent),
        onnx_bytes=header.file_bytes,
        engine_bytes=data.nbytes,
        engine_sha256=hashlib.sha256(data).hexdigest(),
        convolutions=built.convolutions,
        spec=header.spec,
        self_test=read_metadata(onnx_path).get(SELF_TEST_KEY),
    )
    write_engine(engine_path, data, manifest)
    return EngineResult(path=engine_path, manifest=manifest, inspected_layers=built.inspected_layers)


@dataclass(frozen=True)
class _Built:
    serialized: Any
    profiles: tuple[OptimizationProfile, ...]
    convolutions: dict[str, int]
    inspected_layers: int | None


def _build(
    onnx_path: Path,
    header: OnnxHeader,
    options: EngineOptions,
    library: TensorRtLibrary,
    gpu: Gpu | None,
    on_plan: Callable[[EnginePlan], None],
    progress: BuildProgress,
) -> _Built:
    """All that TensorRT does, from the graph to the proof."""
    parsed = parse_onnx(onnx_path, library)
    convolutions = count_convolutions(parsed, header.spec)
    plan = _plan(parsed, header, options, library, gpu)
    on_plan(plan)

    config = _configure(parsed, options, plan)
    monitor = make_monitor(parsed.trt, progress)  # TensorRT does not keep it alive
    config.progress_monitor = monitor
    timing_cache = _timing_cache(options, library, gpu)
    if timing_cache is not None:
        load_timing_cache(config, timing_cache)
    serialized = parsed.builder.build_serialized_network(parsed.network, config)
    if serialized is None:
        raise _build_error(parsed, library, onnx_path, options)
    layers = describe_layers(parsed, serialized)
    inspected = None
    if layers is not None:
        inspected = check_precision(layers, header.spec.precision, planned_convolutions(parsed, header.spec))
    if timing_cache is not None:
        # The engine is there, and took minutes: that the next build will take as long is no reason to lose it.
        with suppress(OutputError):
            save_timing_cache(config, timing_cache)
    return _Built(serialized, plan.profiles, convolutions, inspected)


def _plan(
    parsed: ParsedNetwork, header: OnnxHeader, options: EngineOptions, library: TensorRtLibrary, gpu: Gpu | None
) -> EnginePlan:
    def estimate(size: ImageSize) -> MemoryEstimate | None:
        return estimate_memory(parsed, batch=options.max_batch, size=size, weight_bytes=header.file_bytes)

    # An engine for TensorRT-RTX may be meant for another machine than the one that builds it.
    usable = None if gpu is None or options.compute_capabilities else int(gpu.memory_bytes * _USABLE_SHARE)

    def fits(size: ImageSize) -> bool:
        needed = estimate(size)
        return usable is None or needed is None or needed.total_bytes <= usable

    profiles = options.profiles or (default_profile(options.max_batch, fits=fits),)
    estimates = tuple(estimate(profile.max) for profile in profiles)
    warning = None
    for profile, needed in zip(profiles, estimates, strict=True):
        if usable is not None and needed is not None and needed.total_bytes > usable:
            assert gpu is not None
            warning = (
                f"{profile.max_batch} x {profile.max} needs about {needed.total_bytes / 1e9:.1f} GB, and the "
                f"{gpu.name} has {gpu.memory_bytes / 1e9:.1f} GB"
            )
            if not options.force:
                raise EngineBuildError(f"{warning}. Choose a smaller --profile or --max-batch, or --force it")
    return EnginePlan(
        library=library,
        gpu=gpu,
        compute_capabilities=options.compute_capabilities,
        profiles=profiles,
        estimates=estimates,
        warning=warning,
    )


def _configure(parsed: ParsedNetwork, options: EngineOptions, plan: EnginePlan) -> Any:
    trt, builder = parsed.trt, parsed.builder
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # the graph states the precision: fp32 is not TF32's 10 bits of mantissa
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector has to show the types
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.compute_capabilities:
        _set_compute_capabilities(trt, config, options.compute_capabilities)
    name = parsed.network.get_input(0).name
    for asked in plan.profiles:
        shapes = builder.create_optimization_profile()
        shapes.set_shape(
            name,
            (1, asked.min.height, asked.min.width, 3),
            (asked.max_batch, asked.opt.height, asked.opt.width, 3),
            (asked.max_batch, asked.max.height, asked.max.width, 3),
        )
        if config.add_optimization_profile(shapes) == -1:
            raise EngineBuildError(f"TensorRT refuses the profile {asked}: {parsed.log.take_errors()}")
    return config


def _set_compute_capabilities(trt: Any, config: Any, wanted: Sequence[str]) -> None:
    known = {
        f"{name[2:-1]}.{name[-1]}": value
        for name, value in trt.ComputeCapability.__members__.items()
        if name.startswith("SM")
    }
    config.num_compute_capabilities = len(wanted)
    for index, text in enumerate(wanted):
        if text not in known or not config.set_compute_capability(known[text], index):
            raise EngineBuildError(
                f"TensorRT-RTX does not build for compute capability {text}; it knows {', '.join(known)}"
            )


def _timing_cache(options: EngineOptions, library: TensorRtLibrary, gpu: Gpu | None) -> Path | None:
    if not options.use_timing_cache or library.flavor != "tensorrt" or gpu is None:
        return None
    with suppress(OutputError):  # there is no place for a cache
        return options.timing_cache or default_timing_cache(library, gpu)
    return None


def _build_error(
    parsed: ParsedNetwork, library: TensorRtLibrary, onnx_path: Path, options: EngineOptions
) -> EngineBuildError:
    reason = parsed.log.take_errors().rstrip(".") or "it gave no reason"
    hint = ""
    if re.search(r"out ?of ?memory|workspace", reason, re.IGNORECASE):
        hint = (
            ". Raise --workspace, or leave it out"
            if options.workspace_bytes is not None
            else ". Choose a smaller --profile or --max-batch"
        )
    return EngineBuildError(f"{library} cannot build an engine from {onnx_path}: {reason}{hint}")
