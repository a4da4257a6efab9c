"""The histogram of flip margins as SVG: ties on the left of the limit, faults on its right."""

from __future__ import annotations

import math

from .flip_margins import BIN_EDGES
from .hop import Hop

_WIDTH, _HEIGHT = 480, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 10, 26, 30


def margin_histogram(hop: Hop) -> str:
    """Pixels that differ, by how clearly PyTorch decided them; an SVG element with the classes tie, fault and limit.

    Heights are logarithmic: one fault beside a million ties must be seen.
    """
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    low, high = math.log10(BIN_EDGES[0]), math.log10(BIN_EDGES[-1])
    bins = len(BIN_EDGES) - 1
    step = plot_width / bins
    tallest = max(int((hop.tie_margins + hop.fault_margins).max()), 9)

    def x(margin: float) -> float:
        share = (math.log10(margin) - low) / (high - low)
        return _LEFT + plot_width * min(max(share, 0.0), 1.0)

    def rise(count: int) -> float:
        return plot_height * math.log10(1 + count) / math.log10(1 + tallest)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Histogram of flip margins">',
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_TOP + plot_height}" y2="{_TOP + plot_height}"/>',
    ]
    for index in range(bins):
        ties, faults = int(hop.tie_margins[index]), int(hop.fault_margins[index])
        if not ties + faults:
            continue
        left, height = _LEFT + index * step + 1.5, rise(ties + faults)
        tie_height = height * ties / (ties + faults)
        base = _TOP + plot_height
        for kind, bottom, tall in (("tie", base, tie_height), ("fault", base - tie_height, height - tie_height)):
            if tall > 0:
                parts.append(
                    f'<rect class="{kind}" x="{left:.1f}" y="{bottom - tall:.1f}" width="{step - 3:.1f}" '
                    f'height="{tall:.1f}"/>'
                )
        parts.append(
            f'<text class="count" x="{left + step / 2 - 1.5:.1f}" y="{base - height - 5:.1f}">{_short(ties + faults)}'
            "</text>"
        )
    parts += [
        f'<text class="tick" x="{x(10.0**exponent):.1f}" y="{_HEIGHT - _BOTTOM + 18}">{_power(exponent)}</text>'
        for exponent in range(math.ceil(low), math.floor(high) + 1)
    ]
    if hop.tie_limit > 0:
        at = x(hop.tie_limit)
        parts.append(f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 8}" y2="{_TOP + plot_height}"/>')
    parts.append("</svg>")
    return "".join(parts)


def _short(count: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f}{unit}"
    return str(count)


def _power(exponent: int) -> str:
    if exponent >= -2:
        return f"{100 * 10.0**exponent:g} %"
    return f"10<tspan dy='-5' font-size='9'>{exponent + 2}</tspan><tspan dy='5'> %</tspan>"
