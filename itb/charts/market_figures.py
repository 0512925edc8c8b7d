"""Price with entries and exits above the score that caused them, on one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack, pack_times
from itb.charts.figure import (
    ACCENT,
    BAD,
    BAND,
    DOWN,
    GOOD,
    INK,
    PANEL,
    SERIES,
    UP,
    Figure,
    Spec,
    axis,
    layout,
    mark,
    rule,
    time_axis,
    title,
)
from itb.charts.thinning import DETAIL, merge_candles, thin_line
from itb.charts.wording import number, percent, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.charts.data import MarketPanel
    from itb.ledger.trades import Trade

MAX_TRADES = 1_000  # each draws an entry, an exit and the line between them


def market_figure(panel: MarketPanel, trades: Sequence[Trade], key: str, detail: int = DETAIL) -> Figure:
    """Draw one market and its own among the trades.

    ``detail`` bounds the candles and score points that zooming in can reveal.
    """
    candles = merge_candles(panel.bars, detail)
    traces: list[Spec] = [
        {
            "type": "candlestick",
            "lod": "candles",
            "name": figure_text(panel.bars.symbol),
            "t": pack_times(candles.time),
            "o": pack(candles.open),
            "h": pack(candles.high),
            "l": pack(candles.low),
            "c": pack(candles.close),
            "step": panel.bars.timeframe.ms * candles.bars_each,
            "bars": candles.bars_each,
            "increasing": {"line": {"color": UP, "width": 1}, "fillcolor": UP},
            "decreasing": {"line": {"color": DOWN, "width": 1}, "fillcolor": DOWN},
            "showlegend": False,
        }
    ]
    notes = [f"Each candle covers {number(candles.bars_each, 0)} bars at the closest zoom."] * (candles.bars_each > 1)
    here = [trade for trade in trades if trade.symbol == panel.bars.symbol]
    drawn = worth_drawing(here)
    traces += _trade_traces(drawn)
    if len(drawn) < len(here):
        notes.append(
            f"Drawn are the {len(drawn):,} trades with the largest profit or loss of {len(here):,}; "
            "the figures count all of them."
        )
    for place, score in enumerate(panel.scores):
        kept = thin_line(score.values, detail)
        traces.append(
            {
                "type": "scatter",
                "lod": "line",
                "name": figure_text(score.column),
                "x": pack_times(panel.bars.open_time[kept]),
                "y": pack(score.values[kept]),
                "yaxis": "y2",
                "mode": "lines",
                "line": {"color": SERIES[place % len(SERIES)], "width": 1},
                "opacity": 0.8,
                "hovertemplate": "%{y:.4f}",
                "showlegend": len(panel.scores) > 1,
            }
        )
    return Figure(
        key,
        f"Price of {panel.bars.symbol} with entries and exits" + (", and the score below" if panel.scores else ""),
        traces,
        _market_layout(panel),
        height=560 if panel.scores else 420,
        is_timeline=True,
        notes=tuple(notes),
    )


def worth_drawing(trades: Sequence[Trade], limit: int = MAX_TRADES) -> list[Trade]:
    """Give the at most ``limit`` trades with the largest profit or loss, in the order given."""
    largest = np.argsort(-np.abs([trade.pnl for trade in trades]), kind="stable")[:limit]
    return [trades[place] for place in np.sort(largest)]


def _market_layout(panel: MarketPanel) -> Spec:
    shapes, labels = [], []
    for region in panel.regions:
        box = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": region.start, "x1": region.stop}
        shapes.append({**box, "layer": "below", "line": {"width": 0}, "fillcolor": BAND})
        labels.append(
            mark(figure_text(region.name), x=region.start, xanchor="left", y=0.99, yref="paper", yanchor="top")
        )
    for score in panel.scores:
        for name, level in score.thresholds.items():
            shapes.append(rule(xref="paper", x0=0, x1=1, yref="y2", y0=level, y1=level, color=INK, dash="4px,3px"))
            text = f"{figure_text(name)} {significant(level, 4)}"
            labels.append(mark(text, xref="paper", x=1, xanchor="left", xshift=4, yref="y2", y=level, yanchor="middle"))
    if len(panel.scores) == 1:
        place = {"xref": "paper", "x": 0, "xanchor": "left", "yref": "paper", "y": 0.275, "yanchor": "bottom"}
        labels.append(mark(figure_text(panel.scores[0].column), **place))
    extra: Spec = {"yaxis2": axis(domain=[0, 0.27], title=title("score"))} if panel.scores else {}
    quote = panel.bars.symbol.split("/")[-1].split(":")[0]
    return layout(
        xaxis=time_axis(rangeslider={"visible": False}, anchor="y2" if panel.scores else "y"),
        yaxis=axis(domain=[0.33, 1] if panel.scores else [0, 1], title=title(figure_text(quote)), tickformat=",~r"),
        shapes=shapes,
        annotations=labels,
        showlegend=True,
        margin={"l": 8, "r": 76 if any(score.thresholds for score in panel.scores) else 12, "t": 8, "b": 8},
        **extra,
    )


def _trade_traces(trades: Sequence[Trade]) -> list[Spec]:
    longs = [trade for trade in trades if trade.side == "long"]
    shorts = [trade for trade in trades if trade.side == "short"]
    won = [trade for trade in trades if trade.pnl > 0 and not trade.is_open]
    lost = [trade for trade in trades if trade.pnl <= 0 and not trade.is_open]
    return [
        *_paths(won, GOOD),
        *_paths(lost, BAD),
        *_entries("long entry", longs, "triangle-up"),
        *_entries("short entry", shorts, "triangle-down"),
        *_exits("exit with profit", won, GOOD),
        *_exits("exit with loss", lost, BAD),
    ]


def _paths(trades: Sequence[Trade], color: str) -> list[Spec]:
    if not trades:
        return []
    ends = {
        "x0": pack_times(np.array([trade.entry_time for trade in trades])),
        "x1": pack_times(np.array([trade.exit_time for trade in trades])),
        "y0": pack(np.array([trade.entry_price for trade in trades])),
        "y1": pack(np.array([trade.exit_price for trade in trades])),
    }
    line = {"color": color, "width": 1.5, "dash": "dot"}
    how = {"mode": "lines", "line": line, "hoverinfo": "skip", "showlegend": False}
    return [{"type": "scatter", "lod": "segments", **ends, **how}]


def _entries(name: str, trades: Sequence[Trade], shape: str) -> list[Spec]:
    text = [
        f"<b>{trade.side}</b> {significant(trade.qty)} at {significant(trade.entry_price, 7)}"
        + (" (still open)" if trade.is_open else "")
        for trade in trades
    ]
    places = [(trade.entry_time, trade.entry_price) for trade in trades]
    return _markers(name, places, text, {"symbol": shape, "color": ACCENT})


def _exits(name: str, trades: Sequence[Trade], color: str) -> list[Spec]:
    text = [
        f"<b>exit: {figure_text(trade.exit_reason)}</b> at {significant(trade.exit_price, 7)}, "
        f"{number(trade.pnl, signed=True)} ({percent(trade.return_, 2)}) after {trade.bars_held:,} bars"
        for trade in trades
    ]
    places = [(trade.exit_time, trade.exit_price) for trade in trades]
    return _markers(name, places, text, {"symbol": "circle", "color": color})


def _markers(name: str, places: list[tuple[int, float]], text: list[str], marker: Spec) -> list[Spec]:
    if not places:
        return []
    time, price = zip(*places, strict=True)
    return [
        {
            "type": "scatter",
            "lod": "points",
            "mode": "markers",
            "name": name,
            "x": pack_times(np.array(time)),
            "y": pack(np.array(price)),
            "text": text,
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {**marker, "size": 10, "line": {"color": PANEL, "width": 1}},
        }
    ]
