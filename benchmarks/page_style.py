"""The style of the reports of `fcnrt bench` and `fcnrt verify`: readable on a phone, in the light and in the dark."""

from __future__ import annotations

STYLE = """
:root { --text: #1c2024; --soft: #60666d; --page: #f6f7f8; --card: #fff; --line: #dcdfe3;
  --good: #18794e; --bad: #c62828; --tie: #e0a020; --fault: #d93030; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8eaed; --soft: #a0a7ae; --page: #131619; --card: #1d2125; --line: #343a40;
    --good: #4cc38a; --bad: #ff6b6b; --tie: #f0b428; --fault: #ff5a5a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: .3rem 0 .8rem; }
header, article, .diagnosis, table { background: var(--card); border: 1px solid var(--line); }
header, article, .diagnosis { border-radius: 10px; padding: 1rem; margin: .8rem 0; }
header { border-left: 6px solid var(--good); }
header.failed, .diagnosis { border-left: 6px solid var(--bad); }
header > p:first-child { font-weight: 700; margin: 0; color: var(--good); }
header.failed > p:first-child, .hop.failed h3 { color: var(--bad); }
.hop.passed h3 { color: var(--good); }
.diagnosis h2 { margin-top: 0; }
header p:last-child, .diagnosis p:last-child { margin-bottom: 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem 1rem; margin: 0; }
dt, figcaption, .frame p, caption { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
figure { margin: 0; }
svg { width: 100%; max-width: 44rem; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
svg text { fill: var(--soft); font: 13px system-ui, sans-serif; text-anchor: middle; }
.axis { stroke: var(--line); } .limit { stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 4 3; }
.tie { fill: var(--tie); } .fault { fill: var(--fault); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; }
.key.tie { background: var(--tie); } .key.fault { background: var(--fault); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .6rem; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; } tbody th { font-weight: 500; }
.frame > div { display: grid; grid-template-columns: repeat(4, 1fr); gap: .6rem; }
.frame img { width: 100%; display: block; border-radius: 6px; image-rendering: pixelated; }
@media (max-width: 40rem) { .frame > div { grid-template-columns: repeat(2, 1fr); } }
"""
