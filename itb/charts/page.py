"""The whole page: sections in the order in which a sceptic asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.charts import html_parts as parts
from itb.charts.cost_figures import cost_figure
from itb.charts.curve_figure import curve_figure
from itb.charts.data import Table
from itb.charts.encoding import escape
from itb.charts.equity_figures import equity_figure
from itb.charts.market_figures import market_figure
from itb.charts.model_figures import calibration_figure, fold_figure, importance_figure
from itb.charts.shell import Drawing, Section, document
from itb.charts.thinning import DETAIL
from itb.charts.trade_figures import trade_figures

if TYPE_CHECKING:
    from itb.charts.data import ReportData
    from itb.charts.figure import Figure

_THINNED = (
    "Lines are thinned to their lowest and highest points per stretch, so no extreme is lost; "
    "zoom in (drag across, double-click to return) to see more."
)


def render(data: ReportData) -> str:
    """Write the page of a run."""
    draw = Drawing()
    sections = _sections(data, draw)
    looks = "" if data.looks is None else f"<span>look no. {data.looks:,} at this stretch of market</span>"
    return document(
        data.title,
        data.summary,
        sections,
        draw.figures,
        badges=parts.badges(is_synthetic=data.is_synthetic, is_free=data.is_free, holdout_seen=data.holdout_seen),
        meta=f"<span>run <code>{escape(data.run_id)}</code></span>{_period(data)}{looks}",
        footer=f"Run {escape(data.run_id)}{_made(data)}. Times are UTC. Past results promise nothing.",
    )


def _period(data: ReportData) -> str:
    if data.equity is None or not len(data.equity.close_time):
        return ""
    count = len(data.equity.close_time)
    first, last = (str(data.equity.close_time[i].astype("datetime64[ms]"))[:10] for i in (0, -1))
    return f"<span>{first} to {last}</span><span>{count:,} bar{'s' * (count != 1)}</span>"


def _made(data: ReportData) -> str:
    return f", written {escape(data.created)}" if data.created else ""


def _sections(data: ReportData, draw: Drawing) -> list[Section]:
    return [
        Section("overview", "Overview", _overview(data)),
        Section("equity-section", "Equity", _equity(data, draw), _THINNED),
        Section("symbols", "Symbols", parts.table(data.symbols) if data.symbols else "", _SYMBOLS),
        Section("market", "Market", draw(*_markets(data)), "Candles redraw as you zoom, down to single bars."),
        Section("months", "Months", _months(data)),
        Section("trades", "Trades", _trades(data, draw)),
        Section("model", "Model", _model(data, draw)),
        Section("costs", "Costs", draw(cost_figure(data.costs)) if data.costs else ""),
        Section("inside", "Inside the bar", _inside(data), _INSIDE),
        Section("rejected", "Rejected orders", _rejected(data)),
        Section("figures-table", "All figures", parts.metric_table(data.metrics) if data.metrics else ""),
        Section("manifest", "Manifest", parts.manifest(data.manifest), "Everything needed to run this again."),
    ]


_INSIDE = (
    "Where a bar touches both the stop and the target, its prices do not say which came first. Two complete runs were "
    "made: stop first (the headline) and target first. They are scenarios, not bounds."
)


_SYMBOLS = (
    "What each symbol added to the account: gains and losses are fractions of the account's starting cash, and the "
    "returns add up to the whole. A drawdown is that of the account as if it had held this symbol alone."
)


def _equity(data: ReportData, draw: Drawing) -> str:
    return draw(equity_figure(data.equity)) if data.equity is not None and len(data.equity.close_time) else ""


def _months(data: ReportData) -> str:
    return parts.month_table(data.equity) if data.equity is not None and len(data.equity.close_time) else ""


def _overview(data: ReportData) -> str:
    tiles, notes = parts.tiles(data.metrics), parts.notes(data.notes)
    return (f'<div class="tiles">{tiles}</div>' if tiles else "") + (f'<ul class="notes">{notes}</ul>' if notes else "")


def _markets(data: ReportData) -> list[Figure]:
    shown = [panel for panel in data.markets if len(panel.bars)]
    each = DETAIL // max(1, len(shown))
    return [market_figure(panel, data.trades or (), f"market-{place}", each) for place, panel in enumerate(shown)]


def _trades(data: ReportData, draw: Drawing) -> str:
    if data.trades is None:
        return ""
    drawn = trade_figures(data.trades)
    if not drawn:
        return '<p class="empty">No trade was closed.</p>'
    return f'<div class="grid three">{draw(*drawn)}</div>'


def _model(data: ReportData, draw: Drawing) -> str:
    folds = draw(*(fold_figure(quality, f"fold-{place}") for place, quality in enumerate(data.folds) if quality.labels))
    left = draw(
        *(
            calibration_figure(curve, _key("calibration", place))
            for place, curve in enumerate(data.calibrations)
            if len(curve.predicted)
        )
    )
    right = draw(
        *(importance_figure(one, _key("importance", place)) for place, one in enumerate(data.importances) if one.names)
    )
    curves = draw(*(curve_figure(one, _key("curves", place)) for place, one in enumerate(data.curves) if one.held))
    table = parts.table(data.quality) if data.quality else ""
    return table + "".join(f'<div class="grid two">{part}</div>' for part in (folds, left + right, curves) if part)


def _key(name: str, place: int) -> str:
    return f"{name}-{place}" if place else name


def _inside(data: ReportData) -> str:
    scenarios = parts.table(data.scenarios) if data.scenarios else ""
    if data.ambiguous is None:
        return scenarios
    trades = parts.table(data.ambiguous) if data.ambiguous.rows else '<p class="empty">No trade was ambiguous.</p>'
    return f"{scenarios}<h3>Ambiguous trades</h3>{trades}"


def _rejected(data: ReportData) -> str:
    rows = tuple((reason, f"{count:,}") for reason, count in data.rejected)
    return parts.table(Table(("Reason", "Orders"), rows)) if rows else ""
