"""The page of lived days: what a bot did beside what the backtest of the same bars says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.charts import html_parts as parts
from itb.charts.encoding import escape, pack
from itb.charts.figure import STRATEGY, Figure, axis, layout, rule, title
from itb.charts.shell import Drawing, Section, document

if TYPE_CHECKING:
    from itb.charts.data import MetricRow, Note, Table
    from itb.market.bars import FloatArray

_BINS = 40
_PRICES = (
    "How much worse than the open of the next bar market orders were filled, in basis points: a buy above it "
    "and a sell below it are positive. A backtest fills at that open, and charges the slippage that is configured."
)


@dataclass(frozen=True, eq=False)
class LivePage:
    """What the page shows; ``bps`` are the prices of market orders beside the next open."""

    title: str
    summary: str
    period: str
    bot: str
    tiles: tuple[MetricRow, ...]
    notes: tuple[Note, ...]
    verdicts: Table
    differences: Table
    prices: Table
    bps: FloatArray
    is_synthetic: bool = False


def live_page(page: LivePage) -> str:
    """Write the page."""
    draw = Drawing()
    overview = f'<div class="tiles">{parts.tiles(page.tiles)}</div><ul class="notes">{parts.notes(page.notes)}</ul>'
    prices = parts.table(page.prices) + (draw(_prices_figure(page.bps)) if len(page.bps) else "")
    sections = [
        Section("overview", "Overview", overview),
        Section("agreement", "Agreement", parts.table(page.verdicts)),
        Section("prices", "Prices", prices, _PRICES),
        Section("differences", "Differences", parts.table(page.differences) if page.differences.rows else ""),
    ]
    return document(
        page.title,
        page.summary,
        sections,
        draw.figures,
        badges=parts.badges(is_synthetic=page.is_synthetic, is_free=False, holdout_seen=False),
        meta=f"<span>bot <code>{escape(page.bot)}</code></span><span>{escape(page.period)}</span>",
        footer="Times are UTC. Past results promise nothing.",
    )


def _prices_figure(bps: FloatArray) -> Figure:
    """Draw how the prices of market orders lay beside the next open; a line marks the middle."""
    counts, edges = np.histogram(bps, bins=min(_BINS, max(5, len(bps) // 2)))
    middle = float(np.median(bps))
    bars = {
        "type": "bar",
        "x": pack((edges[1:] + edges[:-1]) / 2, "f8"),
        "y": pack(counts.astype(np.float64)),
        "marker": {"color": STRATEGY, "line": {"width": 0}},
        "hovertemplate": "%{x:.2f} bps: %{y:.0f} orders<extra></extra>",
    }
    drawn = layout(
        bargap=0.05,
        xaxis=axis(showgrid=False, title=title("bps worse than the next open")),
        yaxis=axis(rangemode="tozero", title=title("orders")),
        shapes=[rule(x0=middle, x1=middle, y0=0, y1=1, yref="paper")],
    )
    return Figure("prices-figure", "Market orders beside the next open", [bars], drawn, height=240)
