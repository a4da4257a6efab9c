"""`fcnrt export`: a checkpoint becomes one ONNX file that was compared with PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from .loading import (
    AlignOption,
    ApproximateAlignOption,
    ClassesOption,
    NumClassesOption,
    VariantName,
    WeightsName,
    fetch_weights,
    load_demo,
    load_file,
)

if TYPE_CHECKING:
    from ..datasets.calibration import CalibrationData
    from ..export.compare import SizeParity
    from ..export.quantize_search import QuantizationReport
    from ..export.to_onnx import ExportResult
    from ..runtime.engines.tensorrt_library import TensorRtLibrary
    from ..runtime.gpu.gpu import Gpu
    from ..runtime.spec import OutputName

# Written out again, because importing takes time before --help, and torch a second; a test holds them against the
# originals.
TritonBackendName = Literal["auto", "python"]
PrecisionName = Literal["fp32", "fp16", "int8"]
_OPSETS = range(18, 24)
_LARGEST_SIDE = 16384  # of frames that a network works at: its first feature maps alone would take 70 GB


def export(
    variant: Annotated[
        VariantName | None,
        typer.Option(help="Network; fcn8s unless the checkpoint says otherwise.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Weights to export (.pth, .safetensors, .npz, .caffemodel); the bundled demo weights if not given."
        ),
    ] = None,
    weights: Annotated[
        WeightsName | None,
        typer.Option(
            help="Download published weights: the VOC nets of the paper's authors, torchvision's ResNet FCNs trained "
            "on COCO, or an ImageNet-trained VGG16 to start training from."
        ),
    ] = None,
    num_classes: NumClassesOption = None,
    align: AlignOption = None,
    approximate_align: ApproximateAlignOption = False,
    classes: ClassesOption = None,
    precision: Annotated[
        PrecisionName | None,
        typer.Option(
            help="Type the convolutions run in; frames and class maps stay uint8. fp32 unless given, fp16 with "
            "--engine on a machine with a GPU; int8 is calibrated and may cost up to half a point of mIoU.",
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        str,
        typer.Option(
            help="What the graph returns, comma-separated: class_map, confidence, logits, overlay (the frame with the "
            "class colours over it)."
        ),
    ] = "class_map",
    opacity: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Weight of the class colours in the output overlay; as in fcnrt run unless given.",
            show_default=False,
        ),
    ] = None,
    channel_order: Annotated[
        Literal["rgb", "bgr"], typer.Option(help="Channel order of the frames the graph will get; OpenCV's is bgr.")
    ] = "rgb",
    infer_size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW|N",
            help="Size at which the network works, or N for a short side of at most N: frames are resized inside the "
            "graph, and logits back, so that the class map has the frame's size.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|VIDEO",
            help="Frames of the kind the network will see, to measure activations on: a folder of pictures, a video or "
            "a labelled data set. int8 needs it for all but the demo weights; fp16 takes drawn scenes if not given.",
            show_default=False,
        ),
    ] = None,
    opset: Annotated[int, typer.Option(min=_OPSETS.start, max=_OPSETS.stop - 1, help="ONNX operator set.")] = 20,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; VARIANT.onnx if not given.")
    ] = None,
    engine: Annotated[
        bool, typer.Option("--engine", help="Also build a TensorRT engine beside it, as fcnrt build does.")
    ] = False,
    triton: Annotated[
        Path | None,
        typer.Option(help="Also add the model, or its engine, to this Triton model repository.", show_default=False),
    ] = None,
    triton_backend: Annotated[
        TritonBackendName,
        typer.Option(help="Triton's own backend for the kind of file, or its Python backend with fcnrt."),
    ] = "auto",
) -> None:
    """Export a network to one ONNX file: raw uint8 frames of any size in, class map out.

    The file is run and compared with PyTorch at several sizes before it is kept.
    """
    if checkpoint is not None and weights is not None:
        raise typer.BadParameter("give --checkpoint or --weights, not both")
    if triton is None and triton_backend != "auto":
        raise typer.BadParameter("--triton-backend goes with --triton DIR")
    machine = _choose_machine() if engine else None
    if machine is not None and triton is not None:
        from ..export.triton.repository import require_servable

        require_servable(machine[0].flavor, triton_backend)
    if precision is None:
        precision = "fp32" if machine is None or machine[1] is None else "fp16"
    if calibration is not None and precision == "fp32":
        raise typer.BadParameter("--calibration is for --precision int8 and fp16; fp32 needs no activation range")
    demo = checkpoint is None and weights is None
    if precision == "int8" and calibration is None and not demo:
        raise typer.BadParameter(
            "--precision int8 needs --calibration: pictures or a video of the kind the network will see"
        )
    from ..runtime.atomic import refuse_to_overwrite
    from ..runtime.checkpoint_mark import is_checkpoint
    from ..runtime.engines.engine_file import is_engine
    from ..runtime.spec import INFER_SIZE

    refuse_to_overwrite([checkpoint, classes, calibration], [output])
    if output is not None and (is_engine(output) or is_checkpoint(output)):
        raise typer.BadParameter(
            f"{output.name} must end in .onnx; an engine is written beside it with --engine", param_hint="--output"
        )
    wanted = _parse_outputs(outputs)
    if opacity is not None and "overlay" not in wanted:
        raise typer.BadParameter("--opacity goes with --outputs class_map,overlay")
    if infer_size is not None and not INFER_SIZE.fullmatch(infer_size):
        raise typer.BadParameter(
            f"--infer-size {infer_size} is no size; write HEIGHTxWIDTH, for example 512x640, or one number for the "
            "short side"
        )
    if infer_size is not None and any(len(side) > 5 or int(side) > _LARGEST_SIDE for side in infer_size.split("x")):
        raise typer.BadParameter(
            f"--infer-size {infer_size} is too large; a side may have up to {_LARGEST_SIDE} pixels"
        )

    from ..export.requirements import require_export_packages

    require_export_packages("exporting a model")
    from ..export.to_onnx import export_onnx
    from ..runtime.opacity import DEFAULT_OPACITY
    from .console import say, status

    with status("loading weights") as progress:
        hint = ""
        if demo:
            if num_classes is not None or align is not None or approximate_align or classes is not None:
                raise typer.BadParameter(
                    "--num-classes, --align, --approximate-align and --classes go with --checkpoint or --weights"
                )
            loaded, hint = load_demo(variant), " (for real photographs: --checkpoint FILE or --weights voc)"
        else:
            wanted_variant: str | None = variant
            if checkpoint is None:
                assert weights is not None
                checkpoint, wanted_variant = fetch_weights(weights, variant)
            loaded = load_file(
                checkpoint,
                variant=wanted_variant,
                num_classes=num_classes,
                align=align,
                approximate_align=approximate_align,
                classes=classes,
            )
        if infer_size is not None:
            from ..fcn_models.infer_size import at_infer_size

            loaded = at_infer_size(loaded, infer_size)
        name = f"{loaded.model.config.variant}{'' if precision == 'fp32' else '-' + precision}.onnx"
        path = output or Path(name)
        refuse_to_overwrite([checkpoint, classes, calibration], [path])
        say(f"{loaded.model.config.variant} · {loaded.source}{hint}")
        result = export_onnx(
            loaded,
            path,
            precision=precision,
            outputs=wanted,
            channel_order=channel_order,
            opset=opset,
            overlay_opacity=DEFAULT_OPACITY if opacity is None else opacity,
            calibration=_calibration(calibration, len(loaded.class_names), drawn=precision == "int8"),
            consume=True,
            progress=progress,
        )
    for line in _describe(result):
        say(line)
    typer.echo(result.path)
    served = result.path
    if machine is not None:
        from ..export.engine.build import EngineOptions
        from .build import build_with_progress

        built = build_with_progress(result.path, result.path.with_suffix(".engine"), EngineOptions(), machine=machine)
        typer.echo(built.path)
        served = built.path
    if triton is not None:
        from ..export.triton.repository import write_triton_repository

        typer.echo(write_triton_repository(served, triton, name=result.path.stem, backend=triton_backend))


def _choose_machine() -> tuple[TensorRtLibrary, Gpu | None]:
    """The TensorRT to build with: asked for before the slow part, so that a missing one is named at once."""
    from ..export.engine.build import choose_machine

    return choose_machine("auto")


def _parse_outputs(text: str) -> list[OutputName]:
    from ..runtime.spec import OutputName

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in get_args(OutputName):
            raise typer.BadParameter(f"unknown output {name!r}; there are {', '.join(get_args(OutputName))}")
    if "class_map" not in names or len(set(names)) != len(names):
        raise typer.BadParameter("--outputs must name class_map, and each output once")
    return names  # type: ignore[return-value]


def _calibration(path: Path | None, num_classes: int, *, drawn: bool) -> CalibrationData | None:
    from ..datasets.calibration import drawn_calibration, read_calibration

    if path is not None:
        return read_calibration(path, num_classes)
    return drawn_calibration() if drawn else None


def _describe(result: ExportResult) -> list[str]:
    from ..runtime.output_layout import output_layouts

    spec, parity = result.spec, result.parity
    returned = ", ".join(f"{name} {layout}" for name, layout in output_layouts(spec).items())
    lines = [
        f"  graph     image uint8 [batch, height, width, 3] {spec.channel_order.upper()} -> {returned}",
        f"  precision {spec.precision} · opset {spec.opset} · {result.size_bytes / 1e6:.1f} MB",
    ]
    if spec.infer_size is not None:
        inside = spec.infer_size if "x" in spec.infer_size else f"a short side of at most {spec.infer_size}"
        lines.append(f"  size      the network works at {inside}; class maps have the frame's size")
    if result.largest_activation is not None:
        scaling = f"scaled by 2^{spec.activation_scale_log2} (exact)" if spec.activation_scale_log2 else "not scaled"
        lines.append(
            f"  fp16      largest activation {result.largest_activation:,.0f} on sample images: {scaling}; "
            "score and upsampling layers stay fp32"
        )
    subject = "the float32 graph at " if result.quantization is not None else ""
    compared = f"{subject}{len(parity.sizes)} sizes from {parity.sizes[0].size} to {parity.sizes[-1].size}"
    lines.append(f"  checked   {compared} against PyTorch: {_agreement(parity.sizes)}")
    if parity.half:
        lines.append(f"            in half precision, its rounding emulated: {_agreement(parity.half)}")
    if result.quantization is not None:
        lines += _describe_quantization(result.quantization, spec.class_names)
    lines.append(f"  next      fcnrt run SOURCE --model {result.path}")
    return lines


def _describe_quantization(report: QuantizationReport, class_names: Sequence[str]) -> list[str]:
    from .console import counted

    seen = report.classes_seen
    missing = [name for name, found in zip(class_names, seen, strict=True) if not found]
    coverage = f"{seen.sum()} of {len(seen)} classes seen"
    if missing:
        coverage += f", not {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
    layers = len(report.layers)
    lines = [
        f"  int8      calibrated on {counted(report.calibrated, 'frame')} ({report.source}): {coverage}",
        f"            {layers} of {layers + len(report.kept_float)} layers in int8; the first and the scores in fp32",
    ]
    if report.kept_float:
        lines.append(f"            put back to fp32 for accuracy: {', '.join(report.kept_float)}")
    if report.float_miou is None:
        lines.append(
            f"  accuracy  class maps of {counted(report.validated, 'frame')} held out agree with fp32's by an mIoU "
            f"of {100 - report.loss:.2f} (no labels: the loss itself is not known)"
        )
    else:
        lines.append(
            f"  accuracy  mIoU {report.float_miou - report.loss:.2f} on "
            f"{counted(report.validated, 'labelled frame')}, {report.float_miou:.2f} in fp32"
        )
    return lines


def _agreement(sizes: Sequence[SizeParity]) -> str:
    pixels, differing = sum(size.pixels for size in sizes), sum(size.differing for size in sizes)
    gap, error = max(size.largest_gap for size in sizes), max(size.logit_error for size in sizes)
    ties = f", each nearly a tie (logit gap <= {gap:.2g})" if differing else ""
    return f"{differing:,} of {pixels:,} pixels differ{ties}, logits within {error:.2g}"
