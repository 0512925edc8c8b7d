"""How the trades are spread: their returns, how long they lasted, and what ended them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import ACCENT, DOWN, MUTED, UP, Figure, Spec, axis, layout, mark, rule, title
from itb.charts.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.ledger.trades import Trade
    from itb.market.bars import FloatArray, IntArray


def trade_figures(trades: Sequence[Trade]) -> tuple[Figure, ...]:
    """Draw closed trades: a histogram of returns, one of holding times, and profit by reason of exit."""
    closed = [trade for trade in trades if not trade.is_open]
    if not closed:
        return ()
    returns = np.array([trade.return_ for trade in closed])
    held = np.array([trade.bars_held for trade in closed], dtype=np.int64)
    return _returns(returns), _holding(held), _reasons(closed)


def _returns(returns: FloatArray) -> Figure:
    low, high = np.quantile(returns, [0.005, 0.995])
    reach = max(float(high - low), 1e-4)
    width = _round_width(reach / 40)
    first, last = np.floor(low / width), np.floor(high / width)
    slot = np.clip(np.floor(returns / width), first, last) - first
    counts = np.bincount(slot.astype(np.int64))
    centres = (first + np.arange(len(counts)) + 0.5) * width
    mean = float(returns.mean())
    bars: Spec = {
        "type": "bar",
        "x": pack(centres, "f8"),
        "y": pack(counts, "u4"),
        "width": width * 0.92,
        "marker": {"color": [UP if centre > 0 else DOWN for centre in centres], "line": {"width": 0}},
        "hovertemplate": "%{y} trades around %{x:.2%}<extra></extra>",
    }
    return Figure(
        "trade-returns",
        f"Returns of {len(returns):,} closed trades",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(tickformat=".1~%", title=title("return of the trade, net of fees"), showgrid=False),
            yaxis=axis(title=title("trades")),
            shapes=[rule(x0=mean, x1=mean, yref="paper", y0=0, y1=1, color=ACCENT)],
            annotations=[
                mark(f"mean {percent(mean, 2)}", x=mean, yref="paper", y=1, yanchor="bottom"),
            ],
            margin={"l": 8, "r": 12, "t": 22, "b": 8},
        ),
        height=280,
        notes=("The outermost bars hold everything beyond them.",) if len(returns) > 200 else (),
    )


def _holding(held: IntArray) -> Figure:
    longest = int(np.quantile(held, 0.99, method="higher"))
    width = max(1, -(-longest // 40))
    counts = np.bincount(np.minimum(held, longest) // width)
    edges = np.arange(len(counts)) * width
    bars: Spec = {
        "type": "bar",
        "x": pack(edges + (width - 1) / 2, "f8"),
        "y": pack(counts, "u4"),
        "customdata": [f"{edge}" if width == 1 else f"{edge} to {edge + width - 1}" for edge in edges.tolist()],
        "width": width * 0.92,
        "marker": {"color": "var(--series-2)", "line": {"width": 0}},
        "hovertemplate": "%{y} trades held %{customdata} bars<extra></extra>",
    }
    return Figure(
        "trade-holding",
        "How long trades were held",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(title=title("bars held"), showgrid=False, rangemode="tozero"),
            yaxis=axis(title=title("trades")),
            margin={"l": 8, "r": 12, "t": 22, "b": 8},
        ),
        height=280,
    )


def _reasons(closed: Sequence[Trade]) -> Figure:
    gains: dict[str, list[float]] = {}
    for trade in closed:
        gains.setdefault(trade.exit_reason, []).append(trade.pnl)
    total = {reason: math.fsum(values) for reason, values in gains.items()}
    order = sorted(total, key=lambda reason: (total[reason], reason))
    bars: Spec = {
        "type": "bar",
        "orientation": "h",
        "width": 0.55,
        "y": [f"{figure_text(reason)} · {len(gains[reason]):,}" for reason in order],
        "x": [total[reason] for reason in order],
        "marker": {"color": [UP if total[reason] > 0 else DOWN for reason in order], "line": {"width": 0}},
        "hovertemplate": "%{y} trades: %{x:,.2f} in all<extra></extra>",
    }
    return Figure(
        "trade-reasons",
        "Profit and loss by reason of exit",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(title=title("profit and loss in all"), tickformat="~s", zeroline=True, zerolinecolor=MUTED),
            yaxis=axis(showgrid=False, type="category"),
            margin={"l": 8, "r": 12, "t": 22, "b": 8},
        ),
        height=280,
    )


def _round_width(raw: float) -> float:
    """Round a bin width up to 1, 2 or 5 times a power of ten, so that 0 is an edge and labels are short."""
    power = 10.0 ** np.floor(np.log10(raw))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= raw * (1 - 1e-9)))
