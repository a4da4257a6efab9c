"""`fcnrt verify`: is a deployed model still the PyTorch model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .trust import TrustOption, trust_engines

if TYPE_CHECKING:
    from ..benchmarks.verify.hop import Hop
    from ..benchmarks.verify.verification import Verification
    from ..fcn_models.checkpoint import Checkpoint
    from ..runtime.self_test import SelfTest, SelfTestResult


def verify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File that fcnrt export or fcnrt build wrote.")],
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Weights it was exported from: compare with PyTorch. The demo models' are there without it.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Pictures to compare on, or a folder of labelled pictures as for fcnrt evaluate, whose labels are "
            "then used too; drawn scenes if not given.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first pictures of --data only.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: a CUDA device if there is one.")] = "auto",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report with the worst frames.", show_default=False)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdict as JUnit XML.", show_default=False)
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Prove that a deployed model is still the PyTorch model; exit code 1 if it is not.

    With nothing but MODEL, the self-test that every exported file carries is run: no PyTorch and no data are needed.
    --reference, --data, --html and --junit compare with PyTorch instead.
    """
    if limit is not None and data is None:
        raise typer.BadParameter("--limit goes with --data")
    if trust:
        trust_engines([model], device)
    if reference is None and data is None and html is None and junit is None:
        passed = _self_test(model, device)
    else:
        passed = _compare(model, reference, data, limit, device, html, junit)
    if not passed:
        raise typer.Exit(1)


def _self_test(model: Path, device: str) -> bool:
    from ..runtime.segmenter import open_the_file_itself
    from ..runtime.self_test import run_self_test

    with open_the_file_itself(model, device=device) as segment:
        place, test = segment.device, _read_self_test(model)
        result = run_self_test(segment.predict, test, spec=segment.spec)
        typer.echo(f"{model.name} · {segment.backend} on {place}")
        typer.echo(f"  self-test  {_describe_self_test(result)}")
    passed = result.passed and (place != "cpu" or _test_kept_graph(model, test))
    typer.echo(f"  next       fcnrt verify {model} --reference CHECKPOINT --html verify.html")
    return passed


def _test_kept_graph(model: Path, test: SelfTest) -> bool:
    """Test what the cache holds of a file that is right, as that is what runs here; what is wrong is deleted."""
    from ..runtime.atomic import remove_folder
    from ..runtime.runners.optimized_graph import kept_graph
    from ..runtime.segmenter import Segmenter
    from ..runtime.self_test import run_self_test

    folder = kept_graph(model)
    if folder is None:
        return True
    with Segmenter.open(model, device="cpu") as segment:
        result = run_self_test(segment.predict, test, spec=segment.spec)
    typer.echo(f"  in cache   {_describe_self_test(result)}")
    if not result.passed:
        remove_folder(folder)
        typer.echo(f"             what this machine ran was damaged and is deleted: {folder}")
    return result.passed


def _read_self_test(model: Path) -> SelfTest:
    from ..runtime.errors import ModelFileError
    from ..runtime.self_test import read_self_test

    test = read_self_test(model)
    if test is None:
        raise ModelFileError(
            f"{model} carries no self-test: an older fcnrt exported it. Export it again, or compare it with its "
            "checkpoint: --reference CHECKPOINT"
        )
    return test


def _describe_self_test(result: SelfTestResult) -> str:
    from ..runtime.pixel_agreement import percent
    from .console import counted

    mark = "✔" if result.passed else "✘"
    frames = f"{mark} {counted(result.frames, 'generated frame')}"
    if not result.conclusive:
        return f"{frames} prove nothing: no pixel's class leads clearly, as in a network that is untrained or broken"
    # Which classes the frames show is said, because of the others nothing is proven.
    seen = f"({result.classes_seen} of {result.num_classes} classes seen)"
    equal = f"{frames}: {percent(result.equal_share)} of the pixels have PyTorch's class {seen}"
    if result.identical:
        found = f"{frames}: every pixel has PyTorch's class {seen}"
    elif result.faults == 0:
        found = f"{equal}; the other {result.differing:,} are ties"
    else:
        allowed = int((1 - result.floor) * result.firm_pixels)
        found = f"{equal}; {result.faults:,} that differ are no ties (allowed: {allowed:,})"
    for names, verdict in (
        (result.right_outputs, "right too"),
        (result.unchecked_outputs, "not checked"),
        (result.wrong_outputs, "wrong"),
    ):
        found += f"; {', '.join(names)}: {verdict}" if names else ""
    return found


def _compare(
    model: Path,
    reference: Path | None,
    data: str | None,
    limit: int | None,
    device: str,
    html: Path | None,
    junit: Path | None,
) -> bool:
    from ..export.requirements import require_export_packages
    from ..runtime.atomic import check_outputs
    from .console import status

    require_export_packages("comparing with PyTorch")
    check_outputs([html, junit], inputs=[model, reference])
    from ..benchmarks.verify.verification import verify_deployment

    with status("loading weights") as progress:
        checkpoint = _load_reference(model, reference)
        found = verify_deployment(model, checkpoint, data=data, limit=limit, device=device, progress=progress)
        _write_reports(found, checkpoint.palette, html, junit)
    for line in _describe(found):
        typer.echo(line)
    if html is not None:
        pictured = (found.parity.broken or found.parity.hops[-1]).worst
        typer.echo(f"  {'worst frames side by side' if pictured else 'report'}: {html}")
    elif not found.parity.passed:
        typer.echo("  for the worst frames side by side, add: --html verify.html")
    return found.parity.passed


def _write_reports(
    found: Verification, palette: tuple[tuple[int, int, int], ...], html: Path | None, junit: Path | None
) -> None:
    from ..benchmarks.verify.junit import render_junit
    from ..benchmarks.verify.page import render_html
    from ..runtime.atomic import atomic_path

    if html is not None:
        with atomic_path(html) as temporary:
            temporary.write_text(render_html(found, palette), encoding="utf-8")
    if junit is not None:
        with atomic_path(junit) as temporary:
            temporary.write_text(render_junit(found), encoding="utf-8")


def _load_reference(model: Path, reference: Path | None) -> Checkpoint:
    """The checkpoint that was named, or the bundled one if the model was made from that."""
    from ..fcn_models.reference import load_reference
    from ..fcn_models.weights import bundled_for
    from ..runtime.engines.engine_file import is_engine
    from ..runtime.engines.manifest import read_manifest
    from ..runtime.errors import CheckpointError
    from ..runtime.onnx_header import read_onnx_header

    spec = read_manifest(model).spec if is_engine(model) else read_onnx_header(model).spec
    reference = reference or bundled_for(spec)
    if reference is None and spec.source.startswith("bundled demo weights"):
        raise CheckpointError(
            f"{model} says that it was made from {spec.source}, but by their SHA-256 ({spec.checkpoint_sha256[:12]}…) "
            "they are not those that come with this fcnrt: give the checkpoint with --reference CHECKPOINT"
        )
    if reference is None:
        raise CheckpointError(
            f"{model} was made from {spec.source}, which does not come with fcnrt: give it with --reference "
            "CHECKPOINT. Without --data, --html and --junit, the file's own self-test needs no reference."
        )
    return load_reference(reference, spec)


def _describe(found: Verification) -> list[str]:
    parity = found.parity
    last = parity.hops[-1]
    skipped = f"; {found.skipped} of other sizes left out" if found.skipped else ""
    lines = [f"{found.model.name} against {found.reference}: {last.frames} frames{skipped}"]
    width = max(len(hop.name) for hop in parity.hops)
    lines += [f"  {hop.name:<{width}}  {_describe_hop(hop)}" for hop in parity.hops]
    if last.accuracy is not None and last.reference_accuracy is not None:
        ours, theirs = last.accuracy.mean_iou("gt_present"), last.reference_accuracy.mean_iou("gt_present")
        lines.append(f"  mIoU {100 * ours:.2f} · PyTorch {100 * theirs:.2f}")
    if parity.broken is not None:
        lines += [f"  {parity.broken.name}: {objection}" for objection in parity.broken.objections]
    if found.diagnosis is not None:
        lines.append(f"  {found.diagnosis}")
    return lines


def _describe_hop(hop: Hop) -> str:
    from ..runtime.pixel_agreement import percent

    mark = "✘" if hop.objections else "✔"
    if not hop.pixels:
        return f"{mark} no frame could be compared"
    right = [name for name in hop.output_faults if name not in hop.wrong_outputs]
    further = f"; {', '.join(right)}: right too" if right else ""
    if not hop.differing:
        return f"{mark} all {hop.pixels:,} pixels equal{further}"
    ties = "all ties" if not hop.faults else f"{percent(hop.ties / hop.differing)} of them ties"
    equal = f"{percent(hop.equal_share)} of {hop.pixels:,} pixels equal, {hop.differing:,} differ: {ties}"
    return f"{mark} {equal}{further}"
