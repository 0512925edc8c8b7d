"""The account: its value and drawdown beside buy-and-hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack, pack_times
from itb.charts.figure import BAD, HOLD, STRATEGY, Figure, Spec, axis, layout, time_axis, title
from itb.charts.thinning import DETAIL, thin_line
from itb.ledger.equity import drawdown

if TYPE_CHECKING:
    from itb.charts.data import EquityCurve
    from itb.market.bars import FloatArray, IntArray


def equity_figure(curve: EquityCurve, detail: int = DETAIL) -> Figure:
    """Draw equity above and drawdown below, on one time axis."""
    traces: list[Spec] = []
    if curve.hold is not None:
        traces.append(_line(curve.close_time, curve.hold, "buy and hold", HOLD, detail))
        fall = drawdown(curve.hold, curve.start_cash)
        traces.append(
            {**_line(curve.close_time, fall, "buy and hold, drawdown", HOLD, detail), **_below, "showlegend": False}
        )
    traces.append(_line(curve.close_time, curve.strategy, "strategy", STRATEGY, detail, width=2.0))
    depth = {
        **_line(curve.close_time, drawdown(curve.strategy, curve.start_cash), "strategy, drawdown", BAD, detail),
        **_below,
    }
    traces.append({**depth, "showlegend": False, "fill": "tozeroy", "fillcolor": "var(--bad-soft)"})
    return Figure(
        "equity",
        "Equity and drawdown of the strategy" + (" beside buy and hold" if curve.hold is not None else ""),
        traces,
        layout(
            xaxis=time_axis(anchor="y2"),
            yaxis=axis(domain=[0.34, 1], title=title(figure_text(curve.currency or "equity")), tickformat=",~r"),
            yaxis2=axis(domain=[0, 0.28], title=title("drawdown"), tickformat=".0%", rangemode="tozero", nticks=5),
            showlegend=True,
        ),
        height=460,
        is_timeline=True,
        has_log=bool(np.nanmin(curve.strategy) > 0) if len(curve.strategy) else False,
    )


_below: Spec = {"yaxis": "y2", "hovertemplate": "%{y:.2%}"}


def _line(time: IntArray, values: FloatArray, name: str, color: str, detail: int, width: float = 1.4) -> Spec:
    kept = thin_line(values, detail)
    return {
        "type": "scatter",
        "lod": "line",
        "name": name,
        "x": pack_times(time[kept]),
        "y": pack(values[kept]),
        "mode": "lines",
        "line": {"color": color, "width": width},
        "hovertemplate": "%{y:,.2f}",
    }
