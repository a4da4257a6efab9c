"""``python -m fcnrt.benchmarks.gpu_check.check``: everything that needs a GPU, in one go, with whatever is there.

PyTorch and numpy are all it takes. Ways to run a network that are not there are named and left out. Results are
written after every measurement, the important ones first, so that a run that is cut off loses nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.atomic import make_folder
from ...runtime.doctor import examine
from ...runtime.errors import DeviceError, FcnrtError, MissingDependencyError
from ...runtime.spec import ImageSize
from ..environment import Environment
from ..report import Outcome, Report, Row

if TYPE_CHECKING:
    from .models import CheckedNetwork

_SMALL, _LARGE, _SCENE = ImageSize(512, 512), ImageSize(1024, 2048), ImageSize(320, 320)
_COMPILING_S = 100.0  # compiling must not take the time of what comes after it


@dataclass(frozen=True, kw_only=True)
class GpuCheck:
    """What is measured; the defaults are those of ``make gpu-check``.

    Attributes:
        networks: Make the networks, in the order in which they are measured.
        models: Folder with their exported files.
        device: ``cuda:N``, or ``cpu`` to try the program.
        points: Sizes and batches, the important ones first.
        scenes: Pictures to compare class maps on.
        scene_size: Their size.
        matmul_size: Rows of the matrices whose product shows the most arithmetic the device does.
        compiled: Whether ``torch.compile`` is tried, with batch 1.
        budget_s: Time after which no further measurement begins, in seconds.
    """

    networks: Sequence[Callable[[], CheckedNetwork]]
    models: Path
    device: str = "cuda:0"
    points: Sequence[tuple[ImageSize, int]] = ((_SMALL, 1), (_LARGE, 1), (_SMALL, 8), (_LARGE, 8))
    scenes: int = 40
    scene_size: ImageSize = _SCENE
    matmul_size: int = 8192
    compiled: bool = True
    budget_s: float = 420.0


def measure(
    settings: GpuCheck,
    *,
    keep: Callable[[Report], None] = lambda report: None,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure everything that works here.

    Args:
        settings: What.
        keep: Given everything so far after each result.
        progress: Told what was found, in lines.

    Raises:
        FcnrtError: If nothing can be measured.
    """
    import torch

    from .arrays import measure_arrays
    from .parity import measure_parity
    from .speed import measure_peaks, measure_speed
    from .ways import open_ways

    start = time.monotonic()
    environment, device = Environment.here(), torch.device(settings.device)
    rows: list[Row] = []
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        progress(f"note: {text}")

    def add(row: Row) -> None:
        rows.append(row)
        keep(Report(environment=environment, rows=tuple(rows), notes=tuple(notes)))
        for line in describe(row):
            progress(line)

    def remaining_s() -> float:
        return settings.budget_s - (time.monotonic() - start)

    for finding in examine():
        head = finding.subject if finding.version is None else f"{finding.subject} {finding.version}"
        note(f"{head}: {finding.ability}" if finding.works else f"{head}: not {finding.ability}: {finding.obstacle}")
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        note(f"{torch.cuda.get_device_name(device)}; PyTorch with CUDA {torch.version.cuda} and cuDNN {cudnn}")
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # as whoever wants speed sets it: kernels are chosen by trying them
    peaks = measure_peaks(device, size=settings.matmul_size)
    add(peaks)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fcnrt-gpu-check-")))
        opened = []
        for make in settings.networks:
            network = make()
            ways = open_ways(
                stack, network, device, models=settings.models, folder=folder, compiled=settings.compiled, note=note
            )
            opened.append((network, ways))
            if network.trained:
                scenes, scene_size = settings.scenes, settings.scene_size
                add(measure_parity(network, ways, device, scenes=scenes, size=scene_size, note=note))
            else:
                note(f"class maps are not compared, nor scored: {network.title}")
        for size, batch in settings.points:
            for network, ways in opened:
                if remaining_s() < 0:
                    note(f"no time was left for {network.title} at {size}, batch {batch}")
                    continue
                quick = batch > 1 or remaining_s() < _COMPILING_S
                wanted = {name: way for name, way in ways.items() if not (quick and "compiled" in name)}
                for row in measure_speed(network, wanted, device, size, batch, peaks=_medians(peaks), note=note):
                    add(row)
    if device.type == "cuda":
        try:  # last: an access that is not allowed would leave PyTorch nothing to compute with
            add(measure_arrays(device, note=note))
        except Exception as exc:  # what was measured before is to be kept
            note(f"frames that stay on the GPU could not be tried: {exc}")
    report = Report(environment=environment, rows=tuple(rows), notes=tuple(notes))
    keep(report)
    return report


def _medians(row: Row) -> dict[str, float]:
    return {name: values["median"] for name, values in row.summary().items()}


def describe(row: Row) -> list[str]:
    """A result in lines: its title, and each series with what was found of it."""
    lines = [row.title]
    summary = row.summary()
    width = max(map(len, summary), default=0)
    for name, values in summary.items():
        found = [outcome for outcome in row.outcomes if outcome.meaning.endswith(f": {name}")]
        words = ", ".join(f"{outcome.value:.3g} {outcome.meaning.removesuffix(f': {name}')}" for outcome in found)
        lines.append(f"  {name:{width}} {values['median']:9.3f} {row.unit}  {words}".rstrip())
    if not summary:
        for outcome in row.outcomes:
            verdict = "" if outcome.met is None else "  ok" if outcome.met else f"  MISSED: {_aim(outcome)}"
            lines.append(f"  {outcome.value:9.5g} {outcome.meaning}{verdict}")
    return lines


def missed(report: Report) -> list[str]:
    """What is not as it must be, each in words; nothing if all is well."""
    return [
        f"{outcome.value:.6g} {outcome.meaning} ({_aim(outcome)})"
        for row in report.rows
        for outcome in row.outcomes
        if outcome.met is False
    ]


def _aim(outcome: Outcome) -> str:
    return f"at most {outcome.at_most:.6g}" if outcome.at_least is None else f"at least {outcome.at_least:.6g}"


def require_device(device: str) -> None:
    """Make sure that PyTorch is installed and has the device.

    Raises:
        MissingDependencyError: If there is no PyTorch.
        DeviceError: If it has no such device.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingDependencyError(f"the check needs PyTorch, which cannot be imported ({exc})") from exc
    if device == "cpu":
        return
    try:
        index = torch.device(device).index
    except RuntimeError as exc:
        raise DeviceError(f"{device!r} is not a device; write cuda:0, or cpu to try the program") from exc
    if not torch.cuda.is_available() or index is None or index >= torch.cuda.device_count():
        raise DeviceError(
            f"there is no {device}: PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; on a "
            "machine without a GPU the program can be tried with --device cpu"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; exit code 1 and one line on stderr without a GPU, or if something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m fcnrt.benchmarks.gpu_check.check", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:N; with cpu the program is tried on small pictures")
    parser.add_argument("--models", type=Path, default=Path("out/gpu-check"), help="folder of exported files")
    parser.add_argument("--output", type=Path, default=Path("out/gpu-check.json"), help="file for the results, JSON")
    options = parser.parse_args(arguments)
    try:
        require_device(options.device)
        make_folder(options.output.parent)
        from .models import demo_network, full_width_network

        settings = GpuCheck(networks=(demo_network, full_width_network), models=options.models, device=options.device)
        if options.device == "cpu":
            settings = GpuCheck(
                networks=(demo_network,),
                models=options.models,
                device="cpu",
                points=((ImageSize(128, 160), 1), (ImageSize(64, 96), 2)),
                scenes=4,
                matmul_size=512,
                compiled=False,
            )
        report = measure(
            settings, keep=lambda so_far: so_far.write(options.output), progress=lambda line: print(line, flush=True)
        )
    except FcnrtError as exc:
        sys.exit(f"error: {exc}")
    print(f"{options.output} written")
    wrong = missed(report)
    if wrong:
        sys.exit(f"error: not as it must be: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
