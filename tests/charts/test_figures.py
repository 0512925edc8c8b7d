from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from itb.charts.cost_figures import cost_figure
from itb.charts.data import CostCurve, EquityCurve, FoldQuality, Importance, ReportData
from itb.charts.encoding import Packed
from itb.charts.equity_figures import equity_figure
from itb.charts.html_parts import month_table
from itb.charts.market_figures import worth_drawing
from itb.charts.model_figures import fold_figure, importance_figure
from itb.charts.trade_figures import trade_figures
from itb.ledger.trades import Trade
from itb.market.bars import FloatArray


@pytest.fixture
def trades(full: ReportData) -> tuple[Trade, ...]:
    return tuple(full.trades or ())


@pytest.fixture
def equity(full: ReportData) -> EquityCurve:
    assert full.equity is not None
    return full.equity


@pytest.fixture
def costs(full: ReportData) -> CostCurve:
    assert full.costs is not None
    return full.costs


VIEWS = {"f4": "<f4", "f8": "<f8", "u4": "<u4"}


def unpack(packed: Packed) -> FloatArray:
    return np.frombuffer(base64.b64decode(packed["bdata"]), VIEWS[packed["dtype"]])


def test_histogram_counts_every_closed_trade_even_the_extreme(trades: tuple[Trade, ...]) -> None:
    wide = (trades[0]._replace(return_=9.0), *trades[1:])
    returns, holding, _ = trade_figures(wide)
    assert unpack(returns.data[0]["y"]).sum() == len(trades)
    assert unpack(holding.data[0]["y"]).sum() == len(trades)


def test_histogram_never_mixes_gains_and_losses_in_one_bar(trades: tuple[Trade, ...]) -> None:
    bars = trade_figures(trades)[0].data[0]
    centres, width = unpack(bars["x"]), bars["width"]
    assert (np.abs(centres) >= width / 2).all()


@pytest.mark.parametrize("value", [0.0, 1e-9, -0.3, 12.0])
def test_single_trade_and_equal_trades_are_drawn(trades: tuple[Trade, ...], value: float) -> None:
    alike = tuple(trade._replace(return_=value) for trade in trades[:1] * 3)
    assert unpack(trade_figures(alike)[0].data[0]["y"]).sum() == 3


def test_reasons_add_up_to_the_pnl_of_all_closed_trades(trades: tuple[Trade, ...]) -> None:
    reasons = trade_figures(trades)[2].data[0]
    assert sum(reasons["x"]) == pytest.approx(sum(trade.pnl for trade in trades))
    assert reasons["x"] == sorted(reasons["x"])


def test_open_trades_are_in_no_distribution(trades: tuple[Trade, ...]) -> None:
    assert trade_figures(tuple(trade._replace(is_open=True) for trade in trades)) == ()


def test_trades_worth_drawing_are_the_largest_in_their_order(trades: tuple[Trade, ...]) -> None:
    drawn = worth_drawing(trades, limit=5)
    smallest = min(abs(trade.pnl) for trade in drawn)
    assert all(abs(trade.pnl) <= smallest for trade in trades if trade not in drawn)
    assert [trade.entry_bar for trade in drawn] == sorted(trade.entry_bar for trade in drawn)


def test_break_even_is_marked_and_its_absence_is_said(costs: CostCurve) -> None:
    assert "2.0 bps" in cost_figure(costs).notes[0]
    assert "no gross edge" in cost_figure(replace(costs, break_even_bps=None)).notes[0]


def test_fold_bars_stand_on_what_guessing_scores() -> None:
    figure = fold_figure(FoldQuality("AUC", ("a", "b"), np.array([0.6, 0.4]), 0.5), "f")
    bars = figure.data[0]
    assert (bars["base"] + unpack(bars["y"])).tolist() == pytest.approx([0.6, 0.4])


def test_only_the_most_used_features_are_drawn_largest_on_top() -> None:
    values = np.arange(40.0)
    bars = importance_figure(Importance(tuple(f"f{i}" for i in range(40)), values)).data[0]
    assert bars["y"][-1] == "f39"
    assert len(bars["y"]) == 25


def test_drawdown_counts_from_the_starting_cash(equity: EquityCurve) -> None:
    curve = replace(equity, strategy=np.full(3_000, 9_000.0), hold=None)
    depth = unpack(equity_figure(curve).data[-1]["y"])
    assert depth.tolist() == pytest.approx([-0.1] * 3_000)


def test_logarithm_is_offered_only_for_an_account_above_zero(equity: EquityCurve) -> None:
    assert equity_figure(equity).has_log
    assert not equity_figure(replace(equity, strategy=equity.strategy - 1e6)).has_log


def test_month_table_has_a_row_a_year_and_the_hold_beside_it(equity: EquityCurve) -> None:
    html = month_table(equity)
    assert '<th scope="row">2023</th>' in html
    assert html.count('class="num hold"') == 1
    assert 'class="num hold"' not in month_table(replace(equity, hold=None))


def test_run_without_fills_has_a_cost_curve_without_a_charge(costs: CostCurve) -> None:
    figure = cost_figure(replace(costs, charged_bps=float("nan"), break_even_bps=None))
    assert figure.layout["annotations"] == []
