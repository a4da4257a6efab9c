"""The verdict as one HTML file that needs nothing else: hops, flip margins, classes, the worst frames side by side."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

import numpy as np

from ...runtime.pixel_agreement import percent
from ..page_style import STYLE
from .boundary import BAND_PIXELS
from .hop import Hop
from .margin_histogram import margin_histogram
from .verification import Verification
from .worst_frames import draw


def render_html(found: Verification, palette: tuple[tuple[int, int, int], ...]) -> str:
    """The report as an HTML document.

    Args:
        found: What was found.
        palette: One RGB colour per class.
    """
    parity = found.parity
    shown = parity.broken or parity.hops[-1]
    title = f"{found.model.name} {'is' if parity.passed else 'is not'} the PyTorch model"
    body = [
        f'<header class="{"passed" if parity.passed else "failed"}">',
        f"<p>{'✔ passed' if parity.passed else '✘ failed'}</p><h1>{escape(title)}</h1>",
        f"<p>Reference: {escape(found.reference)}. {shown.frames} frames, {shown.pixels:,} pixels"
        f"{f'; {found.skipped} frames of other sizes left out' if found.skipped else ''}.</p></header>",
        *_diagnosis(found),
        "<section><h2>Hop by hop</h2>",
        "<p>Every stage was compared with PyTorch itself. A difference is a tie if PyTorch's two classes are so close "
        "that rounding decides between them, and a fault otherwise.</p>",
        *map(_hop, parity.hops),
        "</section>",
        *_margins(shown),
        *_classes(found, shown),
        *_worst(shown, palette),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{escape(title)}</title><style>{STYLE}</style></head><body><main>'
        + "\n".join(body)
        + "</main></body></html>\n"
    )


def _diagnosis(found: Verification) -> Iterator[str]:
    broken = found.parity.broken
    if broken is None or found.diagnosis is None:
        return
    yield '<section class="diagnosis"><h2>What broke</h2>'
    yield f"<p><strong>{escape(broken.name)}</strong>: {escape('; '.join(broken.objections))}</p>"
    yield f"<p>{escape(_sentence(str(found.diagnosis)))}</p></section>"


def _hop(hop: Hop) -> str:
    figures = {
        "pixels equal": percent(hop.equal_share),
        "ties": f"{hop.ties:,}",
        "faults": f"{hop.faults:,}",
        "agreement mIoU": f"{100 * hop.agreement.mean_iou():.3f}",
        f"within {BAND_PIXELS} px of a border": _equal_share(*hop.band),
        "elsewhere": _equal_share(*hop.interior),
        **{f"faults in {name}": f"{faults:,}" for name, faults in hop.output_faults.items()},
    }
    if hop.accuracy is not None and hop.miou_difference is not None:
        figures["mIoU"] = f"{100 * hop.accuracy.mean_iou('gt_present'):.2f} ({100 * hop.miou_difference:+.3f})"
    cells = "".join(f"<div><dt>{escape(key)}</dt><dd>{value}</dd></div>" for key, value in figures.items())
    failures = "".join(f"<li>{escape(failure)}</li>" for failure in hop.failures[:5])
    state = "failed" if hop.objections else "passed"
    return (
        f'<article class="hop {state}"><h3>{"✘" if hop.objections else "✔"} {escape(hop.name)}</h3>'
        f"<dl>{cells}</dl>{f'<ul>{failures}</ul>' if failures else ''}</article>"
    )


def _margins(hop: Hop) -> Iterator[str]:
    yield "<section><h2>Flip margins</h2>"
    if not hop.differing:
        yield "<p>No pixel differs.</p></section>"
        return
    yield (
        f"<p>{escape(hop.name)}: {_pixels_that_differ(hop.differing)}, by how far PyTorch put its class above the "
        "one that was chosen, in percent of the frame's largest logit. Left of the line: "
        '<span class="key tie"></span> ties. Right of it: <span class="key fault"></span> faults.</p>'
    )
    yield f"<figure>{margin_histogram(hop)}</figure></section>"


def _classes(found: Verification, hop: Hop) -> Iterator[str]:
    counts = hop.agreement.counts
    pixels, agreement = counts.sum(1), hop.agreement.iou()
    truth = hop.reference_accuracy
    ours = None if truth is None or hop.accuracy is None else hop.accuracy.iou()
    theirs = None if truth is None else truth.iou()
    yield "<section><h2>Class by class</h2>"
    yield f'<div class="scroll"><table><caption>{escape(hop.name)}</caption><thead><tr><th>class</th><th>pixels</th>'
    yield "<th>faults</th><th>agreement IoU</th>"
    if ours is not None:
        yield "<th>IoU</th><th>PyTorch</th><th>difference</th>"
    yield "</tr></thead><tbody>"
    for index in np.argsort(np.nan_to_num(agreement, nan=2.0), kind="stable"):
        if np.isnan(agreement[index]):
            continue  # neither side has it
        row = [
            f"{int(pixels[index]):,}",
            f"{int(hop.class_faults[index]):,}",
            f"{100 * agreement[index]:.2f}",
        ]
        if ours is not None and theirs is not None:
            row += [_points(ours[index]), _points(theirs[index]), _points(ours[index] - theirs[index], sign="+")]
        cells = "".join(f"<td>{cell}</td>" for cell in row)
        yield f"<tr><th>{escape(found.parity.class_names[index])}</th>{cells}</tr>"
    yield "</tbody></table></div></section>"


def _worst(hop: Hop, palette: tuple[tuple[int, int, int], ...]) -> Iterator[str]:
    if not hop.worst:
        return
    yield f"<section><h2>Worst frames</h2><p>{escape(hop.name)}. In the differences, "
    yield '<span class="key fault"></span> faults and <span class="key tie"></span> ties.</p>'
    for bad in hop.worst:
        pictures = draw(bad, palette)
        faults, ties = percent(float(bad.faults.mean())), percent(float(bad.ties.mean()))
        yield f'<article class="frame"><h3>{escape(bad.evidence.name)}</h3><p>{faults} faults, {ties} ties</p><div>'
        for caption, png in (
            ("frame", pictures.frame),
            ("PyTorch", pictures.expected),
            ("deployed", pictures.deployed),
            ("differences", pictures.differences),
        ):
            data = base64.b64encode(png).decode("ascii")
            yield (
                f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption>'
                "</figure>"
            )
        yield "</div></article>"
    yield "</section>"


def _equal_share(pixels: int, differing: int) -> str:
    return percent(1 - differing / pixels) if pixels else "no pixels"


def _pixels_that_differ(count: int) -> str:
    return "the one pixel that differs" if count == 1 else f"the {count:,} pixels that differ"


def _points(value: float, sign: str = "") -> str:
    return "" if np.isnan(value) else f"{100 * value:{sign}.2f}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
