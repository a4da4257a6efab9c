"""A `BenchReport` as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ...runtime.atomic import write_text
from ..page_style import STYLE
from .agreement import verdict
from .plots import COLOURS, class_plot, latency_plot, legend, throughput_plot
from .report import SCOPES, BenchReport
from .tables import Table, heading, tables

_STYLE = (
    f"""
:root {{ {" ".join(f"--{name}: {light};" for name, (light, _) in COLOURS.items())} }}
@media (prefers-color-scheme: dark) {{
  :root {{ {" ".join(f"--{name}: {dark};" for name, (_, dark) in COLOURS.items())} }} }}
{" ".join(f".{name} {{ --own: var(--{name}); }}" for name in COLOURS)}
"""
    """svg circle, svg rect, .swatch { fill: var(--own); background: var(--own); }
.line { fill: none; stroke: var(--own); stroke-width: 2; }
svg { max-width: 40rem; display: block; margin: .3rem 0 1.2rem; }
svg circle { fill-opacity: .75; } svg rect { fill-opacity: .5; }
svg text { font-size: 12px; } svg text.start { text-anchor: start; } svg text.end { text-anchor: end; }
svg text.strong { fill: var(--text); font-weight: 600; } svg text.loss { fill: var(--bad); font-weight: 600; }
.median { stroke: var(--text); stroke-width: 2; } .p99 { stroke: var(--text); stroke-dasharray: 3 2; }
.legend { margin: .4rem 0; } .entry { display: inline-block; margin-right: 1rem; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.scroll { margin-bottom: 1.2rem; }
@media (min-width: 64rem) { .scroll { width: max-content; min-width: 100%; max-width: calc(50vw + 28rem); } }
table { border-radius: 10px; border-collapse: separate; border-spacing: 0; }
th:first-child { position: sticky; left: 0; background: var(--card); }
tbody th { white-space: normal; min-width: 8.5rem; }
"""
)


def write_html(report: BenchReport, path: Path) -> None:
    """Write the report as a page.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_text(path, to_html(report))


def to_html(report: BenchReport) -> str:
    """The report as a page."""
    matches, sentence = verdict(report)
    members = legend(report.members)
    sections = [
        f"<header{'' if matches else ' class=failed'}><p>{'✔' if matches else '✘'} {escape(sentence)}</p>"
        f"<h1>{escape(report.title)}</h1><p>{escape(heading(report).removeprefix(report.title + ' · '))}</p></header>",
        *(f"<p>Note: {escape(note)}.</p>" for note in report.notes),
        "<h2>Time from frame to class map</h2>",
        "<p>Every measured call is a dot. Solid line: median. Dashed: p99. Nothing is left out.</p>",
    ]
    for size, batch in report.points():
        sections.append(f"<h3>{escape(size)}, batch {batch}</h3>{latency_plot(report, size, batch)}")
    sections += ["<h2>Frames per second against size</h2>", members, throughput_plot(report)]
    if len({batch for _, batch in report.points()}) > 1:
        sections.append("<p>Dashed: larger batches.</p>")
    classes = class_plot(report)
    if classes is not None:
        sections += [
            "<h2>Intersection over union of each class</h2>",
            members,
            f"<p>On {escape(report.pictures)}; in points of 100. The bar is {escape(report.members[0].name)}, dots are "
            "the others. A red figure is the largest loss against the bar.</p>",
            classes,
        ]
    sections += ["<h2>Figures</h2>", *map(_table, tables(report))]
    sections.append("<h2>What was measured, and where</h2>")
    sections += [f"<p><strong>{escape(scope)}</strong>: {escape(meaning)}.</p>" for scope, meaning in SCOPES.items()]
    sections.append(_environment(report))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>fcnrt bench · {escape(report.title)}</title>\n<style>{STYLE}{_STYLE}</style>\n</head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body>\n</html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _environment(report: BenchReport) -> str:
    machine = report.environment
    facts = {
        "date": machine.date,
        "processor": f"{machine.cpu}, {machine.cores} cores used",
        "memory": f"{machine.memory_gib:.0f} GiB",
        "system": machine.system,
        "python": machine.python,
        **({"GPU": ", ".join(machine.gpus)} if machine.gpus else {}),
        **{f"clock of the {name}": rate for name, rate in machine.clocks.items()},
        **machine.packages,
        **machine.thread_settings,
        "load before": f"{machine.load_average}",
    }
    if machine.commit is not None:
        facts["commit"] = machine.commit
    return f"<dl>{''.join(f'<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>' for k, v in facts.items())}</dl>"
