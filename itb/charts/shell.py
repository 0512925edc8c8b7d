"""The shell of every page: one HTML document that needs nothing from outside and may not fetch anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from itb.charts import html_parts as parts
from itb.charts.encoding import escape, json_for_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.charts.figure import Figure

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True)
class Section:
    """A part of the page that the navigation names; empty ones are left out."""

    key: str
    name: str
    html: str
    lead: str = ""


class Drawing:
    """Collects the figures of a page in the order of their places."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def __call__(self, *drawn: Figure) -> str:
        """Take figures in and give their places."""
        self.figures.extend(drawn)
        return "".join(parts.figure_block(figure) for figure in drawn)


def document(
    title: str,
    summary: str,
    sections: Sequence[Section],
    figures: Sequence[Figure],
    *,
    badges: str,
    meta: str,
    footer: str,
) -> str:
    """Write the page. ``badges``, ``meta`` and ``footer`` are HTML, the title and the summary are words."""
    shown = [section for section in sections if section.html]
    links = "".join(f'<a href="#{section.key}">{section.name}</a>' for section in shown)
    body = "".join(
        f'<section id="{section.key}"><h2>{section.name}</h2>'
        + (f'<p class="lead">{section.lead}</p>' if section.lead else "")
        + f"{section.html}</section>"
        for section in shown
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark"><meta name="generator" content="itb">'
        f"<title>{escape(title)}</title><style>{asset('report.css')}</style></head><body>"
        f'<header><div class="top"><div class="badges">{badges}</div>'
        '<button type="button" id="theme" aria-label="Switch between light and dark">◐</button></div>'
        f'<h1>{escape(title)}</h1><p class="summary">{escape(summary)}</p><p class="meta">{meta}</p></header>'
        f'<nav aria-label="Sections">{links}</nav><main>{body}</main><footer>{footer}</footer>'
        f'<script type="application/json" id="figures">{json_for_page([figure.spec() for figure in figures])}</script>'
        f"<script>{plotly()}</script><script>{asset('report.js')}</script></body></html>\n"
    )


@cache
def asset(name: str) -> str:
    """Read a style sheet or a script of our own."""
    return (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")


def plotly() -> str:
    """Give plotly.js."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
