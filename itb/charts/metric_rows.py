"""The ledger's figures in words, each beside buy-and-hold and cash."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from itb.charts.data import CostCurve, MetricRow, Table, Tone
from itb.charts.wording import number, percent
from itb.ledger.breakeven import cost_curve
from itb.ledger.metrics import Unit, formulas, units

if TYPE_CHECKING:
    from itb.ledger.breakeven import BreakEven
    from itb.ledger.metrics import Metrics

_HEADLINES = ("total_return", "sharpe", "max_drawdown", "trades", "exposure")
_CHANGES = ("total_return", "annual_return", "average_trade", "best_trade", "worst_trade")  # their sign matters
_NAMES = {
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "max_drawdown": "Maximum drawdown",
    "max_drawdown_days": "Maximum drawdown, length",
    "longest_drawdown_days": "Longest drawdown",
    "bar_sharpe": "Sharpe ratio of bars",
    "bar_volatility": "Volatility of bars",
    "exposure": "Time in market",
    "duration_days": "Duration",
    "sqn": "SQN",
}
_DIGITS = {"count": 0, "bars": 0, "days": 1}
_OF_TRADES = {
    "trades", "open_trades", "win_rate", "profit_factor", "expectancy", "expectancy_ratio", "average_trade",
    "average_win", "average_loss", "best_trade", "worst_trade", "average_bars_held", "longest_losing_streak", "sqn",
}  # fmt: skip


def metric_rows(
    own: Metrics,
    hold: Metrics | None = None,
    cash: Metrics | None = None,
    edge: BreakEven | None = None,
    *,
    currency: str = "",
) -> tuple[MetricRow, ...]:
    """Write every figure of a run; the break-even cost stands on a tile after the drawdown.

    Figures of trades are not compared: buy-and-hold has one trade, which stays open.

    >>> from itb.ledger.metrics import Metrics
    >>> row = metric_rows(Metrics(total_return=0.031), Metrics(total_return=-0.2))[0]
    >>> row.name, row.strategy, row.hold, row.tone
    ('Total return', '+3.1 %', '−20.0 %', 'good')
    """
    rows = []
    for name, formula in formulas().items():
        beside = [
            "" if other is None or name in _OF_TRADES else written(name, other, currency) for other in (hold, cash)
        ]
        row = MetricRow(
            label(name),
            written(name, own, currency),
            hold=beside[0],
            cash=beside[1],
            formula=formula,
            tone=_tone(name, own),
            is_headline=name in _HEADLINES,
        )
        rows.append(row)
        if name == "max_drawdown" and edge is not None:
            rows.append(_break_even_row(edge))
    return tuple(rows)


def _break_even_row(edge: BreakEven) -> MetricRow:
    at = edge.break_even_bps
    charged = "" if math.isnan(edge.charged_bps) else f"; {number(edge.charged_bps, 1)} bps were charged"
    tone: Tone = "good" if at is not None and at > edge.charged_bps else "bad" if edge.notional else "plain"
    formula = f"one-way cost at which the same fills end level with cash{charged}"
    return MetricRow("Break-even cost", str(edge), formula=formula, tone=tone, is_headline=True)


def comparison(columns: tuple[str, ...], runs: tuple[Metrics, ...], *, currency: str = "") -> Table:
    """Tabulate what matters of several runs side by side, such as the two orders inside the bar.

    >>> from itb.ledger.metrics import Metrics
    >>> comparison(("Stop first", "Target first"), (Metrics(total_return=0.01), Metrics(total_return=0.02))).rows[0]
    ('Total return', '+1.0 %', '+2.0 %')
    """
    shown = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor", "fees")
    rows = tuple((label(name), *(written(name, run, currency) for run in runs)) for name in shown)
    return Table(("Figure", *columns), rows)


def costs_of(edge: BreakEven) -> CostCurve:
    """Give the curve that the report draws.

    >>> from itb.ledger.breakeven import BreakEven
    >>> costs_of(BreakEven(50.0, 20_000.0, 15.0, 1_000.0)).break_even_bps
    25.0
    """
    one_way_bps, net_return = cost_curve(edge)
    return CostCurve(one_way_bps, net_return, edge.charged_bps, edge.break_even_bps)


def label(name: str) -> str:
    """Name a figure of :class:`itb.ledger.metrics.Metrics` for people.

    >>> label("total_return"), label("sqn")
    ('Total return', 'SQN')
    """
    return _NAMES.get(name, name.replace("_", " ").capitalize())


def written(name: str, metrics: Metrics, currency: str = "") -> str:
    """Write one figure with its unit; a dash where it does not exist.

    >>> from itb.ledger.metrics import Metrics
    >>> written("fees", Metrics(fees=12.5), "USDT"), written("sharpe", Metrics())
    ('12.50 USDT', '–')
    """
    value = float(getattr(metrics, name))
    unit: Unit = units()[name]
    if unit == "fraction":
        return percent(value, 2 if name in _OF_TRADES and name in _CHANGES else 1, signed=name in _CHANGES)
    digits = 1 if name == "average_bars_held" else _DIGITS.get(unit, 2)
    after = {"quote": currency, "days": "d"}.get(unit, "")
    text = number(value, digits)
    return f"{text} {after}" if after and math.isfinite(value) else text


def _tone(name: str, metrics: Metrics) -> Tone:
    value = float(getattr(metrics, name))
    if name not in ("total_return", "annual_return") or math.isnan(value):
        return "plain"
    return "good" if value > 0 else "bad" if value < 0 else "plain"
