"""The parts of the page that are not figures: badges, tiles, notes, tables, the months, the manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import escape, plain
from itb.charts.wording import DASH, percent
from itb.ledger.equity import MonthlyTable, daily, monthly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.charts.data import EquityCurve, MetricRow, Note, Table
    from itb.charts.figure import Figure
    from itb.market.bars import FloatArray

MAX_ROWS = 200
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMERIC = (*"+−0123456789∞–", "")  # first characters of the words that numbers become
_SIGNS = {"plain": "i", "good": "✓", "warn": "!", "bad": "✕"}


def badges(*, is_synthetic: bool, is_free: bool, holdout_seen: bool) -> str:
    """Say what nobody may overlook: where the data is from, whether trading was free, whether the hold-out was seen."""
    marks = [("warn", "synthetic data") if is_synthetic else ("good", "real data")]
    marks += [("bad", "zero cost")] if is_free else []
    marks += [("bad", "hold-out seen")] if holdout_seen else []
    return "".join(f'<span class="badge {tone}">{text}</span>' for tone, text in marks)


def figure_block(figure: Figure) -> str:
    """Make the place a figure is drawn in, with its buttons above and its notes below."""
    buttons = ""
    if figure.is_timeline:
        spans = (("30", "1M"), ("91", "3M"), ("365", "1Y"), ("0", "All"))
        buttons += "".join(f'<button type="button" data-days="{days}">{name}</button>' for days, name in spans)
    if figure.has_log:
        buttons += '<button type="button" data-log aria-pressed="false">Log</button>'
    tools = f'<div class="tools" role="group" aria-label="View">{buttons}</div>' if buttons else ""
    caption = " ".join(figure.notes)
    under = f'<p class="hint">{escape(caption)}</p>' if caption else ""
    label = escape(figure.label)
    return (
        f'<figure><div class="figure-head"><figcaption>{label}</figcaption>{tools}</div>'
        f'<div class="plot" id="{escape(figure.key)}" style="height:{figure.height}px" role="img" aria-label="{label}">'
        f"</div>{under}</figure>"
    )


def tiles(rows: tuple[MetricRow, ...]) -> str:
    """Show the headline figures, large, each beside buy-and-hold and cash."""
    return "".join(
        f'<div class="tile"><h3>{escape(row.name)}</h3><p class="value {row.tone}">{escape(row.strategy)}</p>'
        f"{_beside(row)}</div>"
        for row in rows
        if row.is_headline
    )


def _beside(row: MetricRow) -> str:
    others = [(name, value) for name, value in (("hold", row.hold), ("cash", row.cash)) if value]
    words = "".join(f"<span>{name} <b>{escape(value)}</b></span>" for name, value in others)
    return f'<p class="beside">{words}</p>'


def metric_table(rows: tuple[MetricRow, ...]) -> str:
    """Tabulate every figure with its formula."""
    head = '<th scope="col">Figure</th>' + "".join(
        f'<th scope="col" class="num">{name}</th>' for name in ("Strategy", "Buy and hold", "Cash")
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th>'
        + "".join(f'<td class="num">{escape(value) or DASH}</td>' for value in (row.strategy, row.hold, row.cash))
        + f'<td class="formula">{escape(row.formula)}</td></tr>'
        for row in rows
    )
    return _scroll(f'<thead><tr>{head}<th scope="col">Formula</th></tr></thead><tbody>{body}</tbody>')


def notes(sentences: tuple[Note, ...]) -> str:
    """List the honest notes, warnings first to be seen and otherwise in the order given."""
    rank = {"bad": 0, "warn": 1, "plain": 2, "good": 3}
    return "".join(
        f'<li class="{note.tone}"><span class="sign" aria-hidden="true">{_SIGNS[note.tone]}</span>'
        f"<span>{escape(note.text)}</span></li>"
        for note in sorted(sentences, key=lambda note: rank[note.tone])
    )


def table(content: Table) -> str:
    """Show a table of words, its length capped with a note."""
    kinds = ["num" if _is_numeric(content, place) else "" for place in range(len(content.columns))]
    head = "".join(_cell("th scope=col", kind, name) for kind, name in zip(kinds, content.columns, strict=True))
    body = "".join(
        "<tr>"
        + _cell("th scope=row", "", row[0])
        + "".join(_cell("td", kind, cell) for kind, cell in zip(kinds[1:], row[1:], strict=True))
        + "</tr>"
        for row in content.rows[:MAX_ROWS]
    )
    left = len(content.rows) - MAX_ROWS
    under = f'<p class="hint">{left:,} more rows are in the run\'s files.</p>' if left > 0 else ""
    return _scroll(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>") + under


def _is_numeric(content: Table, place: int) -> bool:
    return place > 0 and all(row[place][:1] in _NUMERIC for row in content.rows)


def _cell(tag: str, kind: str, text: str) -> str:
    return f'<{tag} class="{kind}">{escape(text)}</{tag.split(maxsplit=1)[0]}>'


def month_table(curve: EquityCurve) -> str:
    """Tabulate returns by year and month, the colour as deep as the return is large."""
    own = _months(curve, curve.strategy)
    hold = None if curve.hold is None else _months(curve, curve.hold)
    scale = _colour_scale(own)
    names = [*_MONTHS, "Year", *(["Hold"] if hold is not None else [])]
    head = "".join(f'<th scope="col" class="num">{name}</th>' for name in names)
    body = ""
    for row, year in enumerate(own.years):
        cells = "".join(_month_cell(float(value), scale) for value in own.returns[row])
        cells += f'<td class="num total">{percent(float(own.totals[row]))}</td>'
        if hold is not None:
            cells += f'<td class="num hold">{percent(float(hold.totals[row]))}</td>'
        body += f'<tr><th scope="row">{year}</th>{cells}</tr>'
    return _scroll(f'<thead><tr><th scope="col">Year</th>{head}</tr></thead><tbody>{body}</tbody>', "months")


def _months(curve: EquityCurve, values: FloatArray) -> MonthlyTable:
    return monthly(daily(curve.close_time, values, curve.start_cash))


def _colour_scale(months: MonthlyTable) -> float:
    known = np.abs(months.returns[np.isfinite(months.returns)])
    return max(float(np.quantile(known, 0.95)), 1e-9) if len(known) else 1.0


def _month_cell(value: float, scale: float) -> str:
    if not np.isfinite(value):
        return "<td></td>"
    depth = min(abs(value) / scale, 1.0)
    tone = "up" if value >= 0 else "down"
    return f'<td class="num month {tone}" style="--depth:{depth:.2f}">{percent(value)}</td>'


def manifest(tree: Mapping[str, object]) -> str:
    """Show the whole manifest, one closed section per top-level key."""
    return "".join(
        f"<details><summary>{escape(name)}</summary>"
        f"<pre>{escape(value if isinstance(value, str) else json.dumps(plain(value), indent=2, ensure_ascii=False))}"
        "</pre></details>"
        for name, value in tree.items()
    )


def _scroll(rows: str, kind: str = "") -> str:
    return f'<div class="scroll" tabindex="0"><table class="{kind}">{rows}</table></div>'
