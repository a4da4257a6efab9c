"""Plots of a `BenchReport` as inline SVG: narrow enough that their text is readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, log10

import numpy as np

from .report import BenchReport, Member
from .tables import number

COLOURS = {
    # On light ground, and on dark: told apart by hue, and the first, usually the reference, by having none.
    "m0": ("#7b8794", "#98a4b0"),
    "m1": ("#0b6e99", "#4fc3f7"),
    "m2": ("#c2500a", "#ff9e57"),
    "m3": ("#2e7d32", "#7ccf80"),
    "m4": ("#8e3fb0", "#cf93ea"),
    "m5": ("#b8860b", "#e6c34d"),
    "m6": ("#00897b", "#4db6ac"),
    "m7": ("#c2185b", "#ff80ab"),
}
"""Classes of the page's style with their colours, one for each member; further members begin again."""

_WIDTH = 420  # units; a phone shows about one pixel for each
_LEFT, _RIGHT = 14, 406
_FOOT = 26
_ROW = 48
_CLASS_ROW, _CLASS_LEFT = 19, 96
_LINE_TOP, _LINE_HEIGHT, _LINE_LEFT = 12, 200, 46
_SMALLEST_WORTH_A_LABEL = 0.05  # points of IoU


def latency_plot(report: BenchReport, size: str, batch: int) -> str:
    """Every end-to-end time as a dot, with lines at the median and p99; one row for each member."""
    rows = [
        (index, member, series)
        for index, member in enumerate(report.members)
        if (series := report.find(member.name, "end_to_end", size, batch)) is not None
    ]
    largest = max(max(series.samples_ms) for _, _, series in rows)
    ticks = _ticks(largest)
    scale = (_RIGHT - _LEFT) / ticks[-1]
    height = _ROW * len(rows) + _FOOT
    parts = _vertical_axis(ticks, [_LEFT + scale * tick for tick in ticks], height, unit="ms")
    for row, (index, member, series) in enumerate(rows):
        top = _ROW * row
        percentiles = series.percentiles()
        parts.append(_text(_LEFT, top + 15, member.name, "start strong"))
        parts.append(
            _text(_RIGHT, top + 15, f"{number(percentiles['median'])} ms, p99 {number(percentiles['p99'])}", "end")
        )
        # Heights mean nothing; they only keep dots apart, and are the same every time.
        heights = np.random.default_rng(0).uniform(24, 42, len(series.samples_ms))
        parts += [
            f'<circle class="{_colour(index)}" cx="{_LEFT + scale * sample:.1f}" cy="{top + y:.1f}" r="2.2"/>'
            for sample, y in zip(series.samples_ms, heights, strict=True)
        ]
        for name, mark in (("median", "median"), ("p99", "p99")):
            x = _LEFT + scale * percentiles[name]
            parts.append(f'<line class="{mark}" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 21}" y2="{top + 45}"/>')
    return _svg(height, parts, f"End-to-end times at {size}, batch {batch}")


def class_plot(report: BenchReport) -> str | None:
    """IoU of each class: a bar for the first member, dots for all others; None without ground truth."""
    scored = [
        (index, 100 * confusion.iou(), confusion.counts.sum(1) > 0)
        for index, member in enumerate(report.members)
        if (accuracy := report.accuracy_of(member.name)) is not None and (confusion := accuracy.confusion()) is not None
    ]
    if not scored:
        return None
    first_index, first, present = scored[0]
    classes = np.flatnonzero(present)
    height = _CLASS_ROW * len(classes) + _FOOT
    scale = (_RIGHT - 34 - _CLASS_LEFT) / 100
    ticks = [0.0, 25.0, 50.0, 75.0, 100.0]
    parts = _vertical_axis(ticks, [_CLASS_LEFT + scale * tick for tick in ticks], height, unit="")
    for row, k in enumerate(classes):
        top = _CLASS_ROW * row
        parts.append(_text(_CLASS_LEFT - 6, top + 14, report.class_names[k], "end"))
        parts.append(
            f'<rect class="{_colour(first_index)}" x="{_CLASS_LEFT}" y="{top + 5}" '
            f'width="{scale * first[k]:.1f}" height="10" rx="2"/>'
        )
        for index, iou, _ in scored[1:]:
            parts.append(
                f'<circle class="{_colour(index)}" cx="{_CLASS_LEFT + scale * iou[k]:.1f}" cy="{top + 10}" r="3.4"/>'
            )
        worst = min((iou[k] - first[k] for _, iou, _ in scored[1:]), default=0.0)
        label = f"{worst:+.1f}" if worst <= -_SMALLEST_WORTH_A_LABEL else f"{first[k]:.1f}"
        parts.append(_text(_RIGHT, top + 14, label, "end loss" if worst <= -_SMALLEST_WORTH_A_LABEL else "end"))
    return _svg(height, parts, "Intersection over union of each class")


def throughput_plot(report: BenchReport) -> str:
    """Frames per second, end to end, against the size of the frames; a line for each member and batch."""
    points = report.points()
    sizes = sorted({size for size, _ in points}, key=_pixels)
    batches = sorted({batch for _, batch in points})
    lines = []
    for index, member in enumerate(report.members):
        for batch in batches:
            values = [
                (column, series.throughput())
                for column, size in enumerate(sizes)
                if (series := report.find(member.name, "end_to_end", size, batch)) is not None
            ]
            lines.append((index, batch, values))
    ticks = _ticks(max(value for _, _, values in lines for _, value in values))
    bottom = _LINE_TOP + _LINE_HEIGHT
    step = (_RIGHT - _LINE_LEFT) / len(sizes)
    x = [_LINE_LEFT + step * (column + 0.5) for column in range(len(sizes))]
    scale = _LINE_HEIGHT / ticks[-1]
    parts = []
    for tick in ticks:
        y = bottom - scale * tick
        parts.append(f'<line class="axis" x1="{_LINE_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LINE_LEFT - 6, y + 4, f"{tick:g}", "end"))
    parts += [_text(place, bottom + 18, size, "middle") for place, size in zip(x, sizes, strict=True)]
    for index, batch, values in lines:
        places = [(x[column], bottom - scale * value) for column, value in values]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        dash = "" if batch == batches[0] else f' stroke-dasharray="{2 + 2 * batches.index(batch)} 3"'
        parts.append(f'<polyline class="line {_colour(index)}" points="{path}"{dash}/>')
        parts += [f'<circle class="{_colour(index)}" cx="{px:.1f}" cy="{py:.1f}" r="3.6"/>' for px, py in places]
    return _svg(bottom + _FOOT, parts, "Frames per second against the size of the frames")


def legend(members: Sequence[Member]) -> str:
    """The members with their colours, as HTML."""
    entries = (
        f'<span class="entry"><span class="swatch {_colour(index)}"></span>{escape(member.name)}</span>'
        for index, member in enumerate(members)
    )
    return f'<p class="legend">{" ".join(entries)}</p>'


def _colour(index: int) -> str:
    return list(COLOURS)[index % len(COLOURS)]


def _pixels(size: str) -> int:
    height, width = map(int, size.split("x"))
    return height * width


def _ticks(largest: float) -> list[float]:
    """Three to six round numbers from 0 to at least the largest value."""
    unit = 10.0 ** int(np.floor(log10(largest)))
    step = next(unit * factor for factor in (0.2, 0.5, 1, 2, 5) if largest / (unit * factor) <= 5)
    return [step * index for index in range(ceil(largest / step) + 1)]


def _vertical_axis(ticks: Sequence[float], places: Sequence[float], height: int, *, unit: str) -> list[str]:
    """Vertical lines with figures below them."""
    parts = []
    for tick, x in zip(ticks, places, strict=True):
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - _FOOT + 4}"/>')
        last = tick == ticks[-1]
        parts.append(_text(x, height - 8, f"{tick:g} {unit if last else ''}".strip(), "end" if last else "middle"))
    return parts


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
