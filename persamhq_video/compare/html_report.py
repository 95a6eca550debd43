"""compare.html: the page of a comparison, one file that loads nothing but the video beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from persamhq_video.compare.disagreements import Disagreement
from persamhq_video.compare.folder import TABLE, VIDEO
from persamhq_video.compare.svg_charts import Curve, line_chart
from persamhq_video.compare.table import Column, ComparisonTable
from persamhq_video.compare.tile_grid import COLOURS

__all__ = ["Chart", "Page", "render_page"]

_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1120px; padding: 24px 20px 48px; background: #fff; color: #1c1c1c;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 6px 0; } .quiet { color: #5c5c5c; }
pre { background: #f5f5f3; border-radius: 6px; padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; margin: 10px 0; }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 7px 8px; text-align: right; border-bottom: 1px solid #e4e4e0; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid #c9c9c4; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; background: #e6f4ea; }
.spec { display: block; color: #5c5c5c; max-width: 420px; }
.name { white-space: nowrap; }
.dot { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; }
.legend span { margin-right: 18px; white-space: nowrap; }
.chart { display: block; width: 100%; height: auto; }
.rule { stroke: #e4e4e0; } .tick { font-size: 11.5px; fill: #5c5c5c; }
h3 { font-size: 15px; margin: 18px 0 2px; }
video { width: 100%; background: #f5f5f3; border-radius: 6px; }
.moment { margin: 0 0 18px; } .moment div { display: grid; gap: 6px; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: 4px; }
figcaption { font-size: 12.5px; color: #5c5c5c; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 8px 0; }
dt { font-weight: 600; } dd { margin: 0; }
"""

_MAX_COLUMNS: Final = 5
"""Pictures in a row at most: narrower ones show too little."""
_NO_SPEC: Final = '<span class="spec">the common options</span>'
_STABILITY: Final = (
    "mean IoU of each label map with the one before it, as they lie; low where masks flicker, and where the object"
    " moves fast; masks that never move would have 100, so it does not say that they are right"
)
_MEANINGS: Final = (
    ("J, F, J&F", "DAVIS region similarity, boundary measure and their mean, against the annotations", True),
    ("IoU with", "mean over frames and objects of the overlap with another strategy's masks", False),
    ("stability", _STABILITY, False),
    ("score", "mean confidence, which each strategy states of itself", False),
    ("absent, uncertain", "share of frames and objects that are called so", False),
    ("track ms", "milliseconds a frame after encoding, for all objects, while other frames are encoded", False),
)
"""(name, meaning, whether it needs annotations) of the measures."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves under a heading, one per strategy."""

    heading: str
    curves: tuple[Curve, ...]
    from_zero: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The content of the page; `facts` are lines about the video and the model, `last` is the last frame's number.

    The pictures of each disagreement are the source, the annotation where `is_annotated`, and one per strategy;
    `poster` is a picture of the video as a data URI.
    """

    title: str
    facts: tuple[str, ...]
    command: str
    table: ComparisonTable
    charts: tuple[Chart, ...]
    last: int
    disagreements: tuple[Disagreement, ...]
    is_annotated: bool
    poster: str


def render_page(page: Page) -> str:
    """The text of the file."""
    # Whatever a user wrote is escaped; everything else is HTML already.
    sections = [
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="quiet">{" &middot; ".join(map(escape, page.facts))}</p>',
        f"<pre>{escape(page.command)}</pre>",
        _table(page.table),
        _meanings(page),
        _video(page.poster),
        _charts(page),
        _disagreements(page),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _table(table: ComparisonTable) -> str:
    """The measures of each strategy, and below them their agreement, which has as many columns as rows."""
    return (
        _rows(table, table.columns, with_options=True)
        + f'<p class="quiet">In percent, times in milliseconds; the best value of a column is marked. Encoding took'
        f' {table.encode_ms:.1f} ms a frame, once for all strategies. As a file: <a href="{TABLE}">{TABLE}</a>.</p>'
        + "<h2>How alike their masks are</h2>"
        + _rows(table, table.agreements, with_options=False)
    )


def _rows(table: ComparisonTable, columns: Sequence[Column], *, with_options: bool) -> str:
    """A table with one line per strategy."""
    head = "".join(f"<th>{escape(text)}</th>" for text in ("strategy", *(column.heading for column in columns)))
    cells = [list(zip(column.cells(empty="&ndash;"), column.marked(), strict=True)) for column in columns]

    # Cells are ordered by column, lines by strategy
    lines = []
    for number, row in enumerate(table.rows):
        numbers = "".join(_cell(column[number]) for column in cells)
        spec = _spec(row.spec) if with_options else ""
        name = f'<span class="name">{_dot(number)}{escape(row.name)}</span>'
        lines.append(f"<tr><td>{name}{spec}</td>{numbers}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _spec(spec: str) -> str:
    """A strategy's own options as they were written on the command line."""
    return f'<code class="spec">{escape(spec)}</code>' if spec else _NO_SPEC


def _cell(cell: tuple[str, bool]) -> str:
    """A number, marked where it is the best of its column."""
    text, is_best = cell
    return f'<td class="best">{text}</td>' if is_best else f"<td>{text}</td>"


def _meanings(page: Page) -> str:
    """The meanings of the measures that the page shows."""
    shown = [(word, text) for word, text, needs_truth in _MEANINGS if page.is_annotated or not needs_truth]
    items = "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in shown)
    return f'<h2>What the numbers mean</h2><dl class="quiet">{items}</dl>'


def _video(poster: str) -> str:
    """The video; nothing of it is loaded before it is started."""
    return (
        f'<h2>Side by side</h2><video controls preload="none" poster="{poster}" src="{VIDEO}"></video>'
        f'<p class="quiet">The file: <a href="{VIDEO}">{VIDEO}</a>; masks and scores of each strategy are in the'
        " folders beside this page.</p>"
    )


def _charts(page: Page) -> str:
    """The charts under one legend."""
    names = [row.name for row in page.table.rows]
    legend = "".join(f"<span>{_dot(number)}{escape(name)}</span>" for number, name in enumerate(names))
    drawn = "".join(
        f"<h3>{escape(chart.heading)}</h3>"
        + line_chart(chart.curves, last=page.last, label=escape(chart.heading), from_zero=chart.from_zero)
        for chart in page.charts
    )
    return f'<h2>Over time</h2><p class="legend">{legend}</p>{drawn}<p class="quiet">Across: frames.</p>'


def _disagreements(page: Page) -> str:
    """The frames on which the strategies disagree most."""
    heading = "<h2>Where they disagree most</h2>"
    if not page.disagreements:
        return f"{heading}<p>Nowhere: all masks are the same.</p>"
    # In the order of the pictures of a Disagreement
    captions = ["source", *(["annotation"] if page.is_annotated else []), *(row.name for row in page.table.rows)]
    text = '<p class="quiet">The part of the picture where any strategy has an object.</p>'
    return heading + text + "".join(_disagreement(disagreement, captions) for disagreement in page.disagreements)


def _disagreement(disagreement: Disagreement, captions: Sequence[str]) -> str:
    """One of these frames: its pictures in a row, with captions."""
    # No alternative text: the captions say what each picture shows
    figures = "".join(
        f'<figure><img alt="" src="{picture}"><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, picture in zip(captions, disagreement.pictures, strict=True)
    )
    columns = f"grid-template-columns: repeat({min(len(captions), _MAX_COLUMNS)}, 1fr)"
    overlap = f"the masks overlap by {100 * disagreement.agreement:.1f} %"
    text = f"Frame {disagreement.index} ({escape(disagreement.name)}): {overlap}"
    return f'<div class="moment"><p>{text}</p><div style="{columns}">{figures}</div></div>'


def _dot(number: int) -> str:
    """A square in the colour of a strategy, by its number."""
    return f'<i class="dot" style="background: {COLOURS[number % len(COLOURS)]}"></i>'
