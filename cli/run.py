"""`fcnrt run`: segment pictures and video."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..runtime.opacity import DEFAULT_OPACITY
from .loading import demo_model_file
from .parsing import parsed
from .trust import TrustOption, trust_engines

if TYPE_CHECKING:
    from ..runtime.segmenter import Segmenter

# Written out again, because importing takes time before --help; a test holds them against the originals.
BackendName = Literal["auto", "onnxruntime", "tensorrt"]
ProviderName = Literal["auto", "tensorrt"]
SaveName = Literal["overlay", "color", "classes", "report"]


def _check_device(text: str) -> str:
    from ..runtime.device import Device

    parsed("--device", text, Device.parse)
    return text


def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Image, folder of images, quoted glob pattern, video, camera index (0), or URL (rtsp://, http://). "
            "Several with --ray.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Exported model (.onnx) or engine (.engine). If not given, the demo model, which is exported on "
            "first use: that takes the extra export.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,  # not a Path, which loses the slash that makes a name a folder's
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder for the result; NAME-SAVE here if not given. Videos are written as .mp4, with --save "
            "classes as a folder of PNGs.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        SaveName,
        typer.Option(
            help="Class colours over the picture, the colours alone, palette PNGs of class indices, or for pictures "
            "all of them with the share of each class."
        ),
    ] = "overlay",
    opacity: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of the class colours in an overlay.")
    ] = DEFAULT_OPACITY,
    backend: Annotated[BackendName, typer.Option(help="Library that computes.")] = "auto",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU if there is one.", callback=_check_device)
    ] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Frames of the same size to segment in one call.")] = 1,
    provider: Annotated[
        ProviderName,
        typer.Option(help="What onnxruntime computes with: TensorRT, or by the device CUDA or the CPU."),
    ] = "auto",
    no_build: Annotated[
        bool,
        typer.Option("--no-build", help="With --backend tensorrt: fail if there is no engine yet, rather than build."),
    ] = False,
    trust: TrustOption = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Say at the end how busy reading, inference and writing were.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Share images and videos out over a Ray cluster: local, auto (the one this machine is in) or "
            "HOST:PORT. Finished ones are skipped.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --ray: one for each GPU or machine if not given.", show_default=False),
    ] = None,
) -> None:
    """Segment pictures or a video with an exported model.

    Ctrl-C ends a video early; the frames so far are kept.
    """
    if ray is not None:
        if batch > 1 or profile or trust or no_build or backend != "auto" or provider != "auto":
            raise typer.BadParameter(
                "--ray goes with --model, --output, --save, --opacity, --device and --workers only"
            )
        from .run_archive import run_archive

        run_archive(
            sources,
            model=model,
            output=None if output is None else Path(output),
            save=save,
            opacity=opacity,
            device=device,
            address=ray,
            workers=workers,
        )
        return
    if workers is not None:
        raise typer.BadParameter("--workers goes with --ray")
    if len(sources) > 1:
        raise typer.BadParameter("several sources are for --ray; give a folder, or put quotes around a pattern")
    if provider != "auto" and (backend == "tensorrt" or (model is not None and model.suffix != ".onnx")):
        raise typer.BadParameter("--provider is for --backend onnxruntime, which runs .onnx files")

    from ..runtime.run.outputs import image_outputs, video_output
    from ..runtime.run.pipeline import StageTimes
    from ..runtime.sources import ImageSource, find_source
    from .run_here import RunOptions, run_images, run_video

    found = find_source(sources[0])
    options = RunOptions(save, opacity, batch, StageTimes() if profile else None)
    if isinstance(found, ImageSource):
        results = image_outputs(found, output, save)
        with _open_segmenter(model, backend, device, provider, may_build=not no_build, trust=trust) as segmenter:
            run_images(segmenter, _title(segmenter, model), found, results, options)
    else:
        result = video_output(found, output, save)
        with _open_segmenter(model, backend, device, provider, may_build=not no_build, trust=trust) as segmenter:
            run_video(segmenter, _title(segmenter, model), found, result, options)


def _open_segmenter(
    model: Path | None, backend: BackendName, device: str, provider: ProviderName, *, may_build: bool, trust: bool
) -> Segmenter:
    from ..runtime.runners.optimized_graph import is_large
    from ..runtime.segmenter import Segmenter
    from .console import status

    model = model or demo_model_file()
    if backend == "tensorrt" and model.suffix == ".onnx":
        model = _engine_for(model, device, may_build=may_build)
    if trust:
        trust_engines([model], device)
    if provider == "tensorrt":
        waiting: AbstractContextManager[object] = status("onnxruntime builds its TensorRT engine, once")
    elif model.is_file() and is_large(model):
        waiting = status(f"opening {model.name}, which takes seconds the first time")
    else:
        waiting = nullcontext()
    with waiting:
        return Segmenter.open(model, backend=backend, device=device, provider=provider)


def _engine_for(model: Path, device: str, *, may_build: bool) -> Path:
    """The engine of an exported model in the user's cache; built on first use."""
    from ..export.engine.build import choose_machine
    from ..export.engine.cache import cached_engine
    from ..runtime.device import Device
    from ..runtime.gpu.gpu import require_gpu
    from .build import build_with_progress
    from .console import say

    wanted = Device.parse(device) or Device("cuda")
    require_gpu(wanted)
    machine = choose_machine("auto", wanted.index)
    return cached_engine(
        model,
        machine,
        build=lambda onnx, engine, options: build_with_progress(onnx, engine, options, machine=machine, stored=True),
        may_build=may_build,
        on_wait=lambda: say("another process is building the engine; waiting for it"),
    )


def _title(segmenter: Segmenter, model: Path | None) -> str:
    name = "demo" if model is None else model.name
    return f"model {segmenter.spec.variant} ({name}) · {segmenter.backend} on {segmenter.device}"
