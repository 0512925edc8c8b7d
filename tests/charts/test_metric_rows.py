from __future__ import annotations

import math

import pytest

from itb.charts.metric_rows import comparison, costs_of, metric_rows, written
from itb.ledger.breakeven import BreakEven
from itb.ledger.metrics import Metrics, formulas

EDGE = BreakEven(gross_pnl=50.0, notional=20_000.0, charged_bps=15.0, start_cash=1_000.0)


def test_every_figure_has_a_row_with_its_formula() -> None:
    rows = metric_rows(Metrics(), Metrics(), Metrics(), EDGE)
    assert len({row.name for row in rows}) == len(rows) == len(formulas()) + 1
    assert all(row.formula for row in rows)


def test_tiles_are_six_and_name_the_break_even() -> None:
    tiles = [row.name for row in metric_rows(Metrics(), edge=EDGE) if row.is_headline]
    assert tiles == ["Total return", "Sharpe ratio", "Maximum drawdown", "Break-even cost", "Time in market", "Trades"]


def test_figures_of_trades_are_not_compared_with_holding() -> None:
    rows = {row.name: row for row in metric_rows(Metrics(trades=5), Metrics(trades=0))}
    assert rows["Trades"].hold == ""
    assert rows["Total return"].hold == "–"


@pytest.mark.parametrize(
    ("edge", "tone", "words"),
    [
        (EDGE, "good", "25.0 bps"),
        (BreakEven(20.0, 20_000.0, 15.0, 1_000.0), "bad", "10.0 bps"),
        (BreakEven(-5.0, 20_000.0, 15.0, 1_000.0), "bad", "none"),
        (BreakEven(0.0, 0.0, math.nan, 1_000.0), "plain", "none"),
    ],
)
def test_break_even_below_what_was_charged_is_bad(edge: BreakEven, tone: str, words: str) -> None:
    row = next(row for row in metric_rows(Metrics(), edge=edge) if row.name == "Break-even cost")
    assert (row.tone, row.strategy) == (tone, words)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("annual_return", -0.0314, "−3.1 %"),
        ("max_drawdown", 0.2, "20.0 %"),
        ("win_rate", 0.5, "50.0 %"),
        ("best_trade", 0.01234, "+1.23 %"),
        ("final_equity", 10_250.5, "10,250.50 USDT"),
        ("duration_days", 30.25, "30.2 d"),
        ("bars", 8_760, "8,760"),
        ("average_bars_held", 4.56, "4.6"),
        ("profit_factor", math.nan, "–"),
    ],
)
def test_figures_are_written_with_their_unit(name: str, value: float, words: str) -> None:
    assert written(name, Metrics(**{name: value}), "USDT") == words  # type: ignore[arg-type]  # int and float fields


def test_two_scenarios_stand_side_by_side() -> None:
    table = comparison(("Stop first", "Target first"), (Metrics(trades=3), Metrics(trades=4)))
    assert ("Trades", "3", "4") in table.rows


def test_cost_curve_carries_what_was_charged_and_where_the_edge_ends() -> None:
    curve = costs_of(EDGE)
    assert (curve.charged_bps, curve.break_even_bps) == (15.0, 25.0)
    assert curve.net_return[0] == pytest.approx(0.05)
