"""A `BenchReport` as tables of text, for terminals, pipes and pages alike."""

from __future__ import annotations

from dataclasses import dataclass

from ..ratio import Ratio, paired_ratio
from .agreement import agreement_of
from .report import SCOPES, BenchReport, Member


@dataclass(frozen=True)
class Table:
    """Cells of text; the first column is a name, all others are figures.

    Attributes:
        title: What the table shows.
        header: One name per column.
        rows: The cells.
        dispensable: Columns that a narrow terminal can do without, the first to go first.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    dispensable: tuple[str, ...] = ()

    def fitting(self, width: int, *, gap: int) -> Table:
        """The table without so many of its dispensable columns as do not fit into so many characters.

        Args:
            width: Characters in a line.
            gap: Characters between two columns.
        """
        taken = sum(max(map(len, column)) + gap for column in zip(self.header, *self.rows, strict=True))
        if taken <= width or not self.dispensable:
            return self
        left = [index for index, name in enumerate(self.header) if name != self.dispensable[0]]

        def without(cells: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(cells[index] for index in left)

        narrower = Table(self.title, without(self.header), tuple(map(without, self.rows)), self.dispensable[1:])
        return narrower.fitting(width, gap=gap)

    def plain(self) -> str:
        """The table as lines of aligned columns."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in (self.header, *self.rows)
        ]
        return "\n".join([self.title, *(f"  {line}".rstrip() for line in lines)])


def tables(report: BenchReport) -> list[Table]:
    """Speed for each size and batch, then accuracy and cost."""
    return [*(_speed(report, size, batch) for size, batch in report.points()), _accuracy(report)]


def heading(report: BenchReport) -> str:
    """What was measured and where, in one line."""
    machine = report.environment
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    return f"{report.title} · {report.pictures} · {machine.cpu}, {cores}"


def speed_up(report: BenchReport, member: Member, size: str, batch: int) -> Ratio | None:
    """How many times as fast the member is, end to end, as the one it is compared with; from pairs of calls."""
    if member.compared_with is None:
        return None
    own = report.find(member.name, "end_to_end", size, batch)
    other = report.find(member.compared_with, "end_to_end", size, batch)
    return None if own is None or other is None else paired_ratio(other.samples_ms, own.samples_ms)


def _speed(report: BenchReport, size: str, batch: int) -> Table:
    rows = []
    on_gpu = any(report.find(member.name, "device", size, batch) for member in report.members)
    for member in report.members:
        infer, device, end_to_end, pipeline = (report.find(member.name, scope, size, batch) for scope in SCOPES)
        cells = [number(infer.percentiles()["median"]) if infer else ""]
        if on_gpu:
            cells.append(number(device.percentiles()["median"]) if device else "")
        if end_to_end:
            cells += [number(value) for value in end_to_end.percentiles().values()]
            cells.append(number(end_to_end.throughput()))
        else:
            cells += [""] * 6
        cells.append(number(pipeline.throughput()) if pipeline else "")
        ratio = speed_up(report, member, size, batch)
        cells.append(f"{ratio.value:.2f} ({ratio.low:.2f} .. {ratio.high:.2f})" if ratio else "1")
        rows.append((member.name, *cells))
    compared = next((member.compared_with for member in report.members if member.compared_with), None)
    return Table(
        f"Speed at {size}, batch {batch}: ms per call",
        (
            "",
            "infer",
            *(("on the GPU",) if on_gpu else ()),
            "end to end",
            "p90",
            "p95",
            "p99",
            "max",
            "frames/s",
            "files/s",
            f"x {compared} (95 %)" if compared else "ratio",
        ),
        tuple(rows),
        dispensable=("p90", "p95", "max", "files/s", "infer"),
    )


def _accuracy(report: BenchReport) -> Table:
    rows = []
    on_gpu = any(member.device_memory_mib is not None for member in report.members)
    for member in report.members:
        accuracy, agreement = report.accuracy_of(member.name), agreement_of(report, member)
        iou = None if accuracy is None else accuracy.mean_iou()
        difference = None if agreement is None else agreement.mean_iou
        worst = None if agreement is None else agreement.worst_class
        rows.append(
            (
                member.name,
                "" if iou is None else f"{iou:.2f}",
                "" if difference is None else f"{difference:+.2f}",
                "" if worst is None or worst[1] > -0.005 else f"{worst[0]} {worst[1]:+.2f}",
                "" if accuracy is None or not accuracy.pixels else _share(accuracy.equal_share),
                "" if member.load_s is None else f"{member.load_s:.2f}",
                _mib(member.peak_memory_mib),
                *((_mib(member.device_memory_mib),) if on_gpu else ()),
                f"{member.file_bytes / 1e6:.1f}",
            )
        )
    return Table(
        f"Accuracy on {report.pictures} (mIoU over the classes that occur), and cost",
        (
            *("", "mIoU", "change", "worst class", "pixels equal", "load s", "memory MiB"),
            *(("on the GPU",) if on_gpu else ()),
            "file MB",
        ),
        tuple(rows),
        dispensable=("file MB", "load s", "memory MiB"),
    )


def _mib(mib: float | None) -> str:
    return "" if mib is None else f"{mib:,.0f}"


def _share(share: float) -> str:
    """A share in per cent that reads 100 only if it is."""
    if share == 1:
        return "100 %"
    return f"{min(100 * share, 99.9999):.4f} %"


def number(value: float) -> str:
    """Three significant digits, trailing zeros included."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"
