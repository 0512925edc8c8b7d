"""Law 4 on the live path: the same decisions, orders and fills in a backtest, on paper and on the practice exchange."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.result import BacktestResult
from itb.backtest.run import Backtest
from itb.datafeeds.importers import read_file
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.laws.live_parity import Compared, ScoreApart, Within, compare, scores_apart
from itb.laws.places import OnPaper, OnPractice
from itb.laws.stepped import SteppedRun
from itb.live.orders.working import WHOLE, Slicing
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.fills import Fill
from itb.market.instrument import Instrument
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.protections import StopLossGuard

WARM = 50
MEMORY = "sqlite://"
NAMES = ("backtest", "live")
BTC = Instrument("BTC/USDT", tick=Decimal("0.01"), step=Decimal("0.00001"), min_notional=Decimal(5))
ETH = Instrument("ETH/USDT", tick=Decimal("0.01"), step=Decimal("0.0001"), min_notional=Decimal(5))
FULL: dict[str, Any] = {
    "buy_threshold": 0.97, "sell_threshold": 0.03, "stop_loss": 0.004, "take_profit": 0.004, "trailing_stop": 0.003,
    "cooldown_bars": 5, "max_bars": 60, "protections": (StopLossGuard(lookback=240, trade_limit=3, stop_duration=60),),
}  # fmt: skip
EASY: dict[str, Any] = {"buy_threshold": 0.9, "sell_threshold": 0.1, "stop_loss": 0.004}


def scores_of(bars: Bars, seed: int = 5) -> dict[str, ArrayScores]:
    """Scores at random, some of them missing."""
    draw = np.random.default_rng(seed).uniform(size=len(bars))
    draw[np.random.default_rng(seed + 1).uniform(size=len(bars)) < 0.02] = np.nan
    return {"up": ArrayScores("up", bars.open_time, draw, 0.0, 1.0)}


def three(
    test: Backtest, bars: Bars, slicing: Slicing = WHOLE
) -> tuple[BacktestResult, Compared, Compared, OnPractice]:
    """Run backtest, paper and practice; give the first and what the others are beside it."""
    scores = scores_of(bars)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    exchange, within = OnPractice(test, bars, WARM), Within.decimals(7 if slicing.max_notional else 8)
    paper, practice = (
        as_wholes(SteppedRun(MEMORY, test, bars, scores, place, warm=WARM, slicing=slicing).run(), slicing)
        for place in (OnPaper(test, bars, WARM), exchange)
    )
    return backtest, compare(backtest, paper, NAMES), compare(backtest, practice, NAMES, within), exchange


def as_wholes(run: BacktestResult, slicing: Slicing) -> BacktestResult:
    """Give a run with the executions of each order within a bar as one; parts must have been parts."""
    wholes: list[Fill] = []
    for fill in run.fills:
        last = wholes[-1] if wholes else None
        if last is not None and (last.order_id, last.bar, last.price) == (fill.order_id, fill.bar, fill.price):
            added = {name: getattr(last, name) + getattr(fill, name) for name in ("qty", "fee", "fee_quote")}
            wholes[-1] = dataclasses.replace(last, **added)
        else:
            wholes.append(fill)
    if slicing.max_notional:
        parts = [fill for fill in run.fills if fill.reason in {"entry", "signal"}]  # what protects rests as a whole
        assert len(parts) > 3 * sum(fill.reason in {"entry", "signal"} for fill in wholes)
        assert max(abs(fill.qty * fill.price) for fill in parts) < 1.3 * float(slicing.max_notional)
    return dataclasses.replace(run, fills=tuple(wholes))


def of_real_days(days: int, file: Path, instrument: Instrument, costs: Costs) -> BacktestResult:
    """Replay the last days of a file; give the backtest that both others were equal to."""
    bars = read_file(file).tail(days * 1_440 + WARM)
    test = Backtest(MLThreshold, FULL, venue=Venue(costs, instrument=instrument))
    backtest, paper, practice, exchange = three(test, bars)
    assert (paper.apart, practice.apart) == (None, None)
    assert paper == practice
    assert (paper.decisions, paper.fills) == (days * 1_440, len(backtest.fills))
    assert (exchange.bars_read, exchange.bars_apart) == (days * 1_440, ())
    return backtest


@pytest.mark.real
@pytest.mark.parametrize(
    ("symbol", "instrument", "fee_currency"), [("BTCUSDT", BTC, "quote"), ("ETHUSDT", ETH, "base")]
)
def test_two_real_days_of_minutes(
    real_data: Callable[[str], Path], symbol: str, instrument: Instrument, fee_currency: str
) -> None:
    file = real_data(f"binance/{symbol}-1m.parquet")
    backtest = of_real_days(2, file, instrument, Costs(fee_currency=fee_currency))
    reasons = {fill.reason for fill in backtest.fills}
    assert len(backtest.fills) > 60
    assert {"entry", "signal", "target", "trailing"} <= reasons


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize(("symbol", "instrument"), [("BTCUSDT", BTC), ("ETHUSDT", ETH)])
@pytest.mark.parametrize("fee_currency", ["quote", "base"])
def test_thirty_real_days_of_minutes(
    real_data: Callable[[str], Path], symbol: str, instrument: Instrument, fee_currency: str
) -> None:
    file = real_data(f"binance/{symbol}-1m.parquet")
    assert len(of_real_days(30, file, instrument, Costs(fee_currency=fee_currency)).fills) > 600


def test_bars_at_which_nothing_happens_cost_no_request() -> None:
    bars = SyntheticMarket(400, "1m", seed=7).bars()["BTC/USDT"]
    test = Backtest(MLThreshold, {"buy_threshold": 1.0, "sell_threshold": 0.0}, venue=Venue(instrument=BTC))
    backtest, _, practice, exchange = three(test, bars)
    assert (backtest.orders, practice.apart) == ((), None)
    assert exchange.bars_read == 350
    assert exchange.requests < 10


@pytest.mark.parametrize("asked", [
    {"entry_offset_bps": 4, "entry_bars": 4, "stop_loss": 0.003, "take_profit": 0.002},
    {"entry_offset_bps": 2, "entry_bars": 2, "entry_timeout": "market", "trailing_stop": 0.002},
    {"entry_offset_bps": 6, "entry_bars": 0, "entry_reprice": False, "stop_loss": 0.004, "max_bars": 20},
    {"entry_offset_bps": -5, "entry_bars": 1},
])  # fmt: skip
def test_limit_entries_rest_follow_and_run_out_of_time_alike(asked: dict[str, Any]) -> None:
    bars = SyntheticMarket(330, "1m", seed=9).bars()["BTC/USDT"]
    chosen = {"entry": "limit", "buy_threshold": 0.85, "sell_threshold": 0.1, **asked}
    backtest, paper, practice, _ = three(Backtest(MLThreshold, chosen, venue=Venue(instrument=BTC)), bars)
    assert (paper.apart, practice.apart) == (None, None)
    assert paper == practice
    assert len(backtest.fills) > 8
    if asked["entry_bars"] != 1:
        assert {"completed", "canceled"} <= {order.status for order in backtest.orders if order.kind == "limit"}


def test_large_orders_in_parts_are_one_order_to_the_bars() -> None:
    bars = SyntheticMarket(230, "1m", seed=9).bars()["BTC/USDT"]
    chosen = {"buy_threshold": 0.85, "sell_threshold": 0.1, "stop_loss": 0.003, "take_profit": 0.003}
    slicing = Slicing(Decimal(2_000), jitter=0.2, seed=3)
    test = Backtest(MLThreshold, chosen, venue=Venue(instrument=BTC))
    backtest, paper, practice, _ = three(test, bars, slicing)
    assert (paper.apart, practice.apart) == (None, None)
    assert len(backtest.fills) > 6


class Plain(Strategy):
    """Enters and leaves at the market, without protection."""

    def next(self) -> None:
        if not self.is_waiting and len(self.data) % 9 == 0:
            self.send(-self.held or 0.45, "signal" if self.held else "entry")


def test_large_orders_without_a_plan_of_their_own_go_in_parts() -> None:
    bars = SyntheticMarket(150, "1m", seed=9).bars()["BTC/USDT"]
    test = Backtest(Plain, {}, venue=Venue(instrument=BTC))
    backtest, paper, practice, _ = three(test, bars, Slicing(Decimal(2_000)))
    assert (paper.apart, practice.apart) == (None, None)
    assert {fill.reason for fill in backtest.fills} == {"entry", "signal"}


def test_parts_of_an_entry_that_rests_fill_within_its_bar_on_paper() -> None:
    """On a venue each part comes after the one before was heard of: in lock-step a bar later."""
    bars = SyntheticMarket(230, "1m", seed=9).bars()["BTC/USDT"]
    chosen = {"buy_threshold": 0.85, "sell_threshold": 0.1, "entry": "limit", "entry_bars": 3, "stop_loss": 0.004}
    test, slicing = Backtest(MLThreshold, chosen, venue=Venue(instrument=BTC)), Slicing(Decimal(2_000))
    backtest = test.run(bars, scores_of(bars), int(bars.open_time[WARM]))
    place = OnPaper(test, bars, WARM)
    paper = SteppedRun(MEMORY, test, bars, scores_of(bars), place, warm=WARM, slicing=slicing).run()
    ours, theirs = (
        [(fill.bar, round(fill.qty, 8), fill.price, fill.reason) for fill in run.fills]
        for run in (backtest, as_wholes(paper, slicing))
    )
    assert ours == theirs
    assert len(ours) > 6


class Breakout(Strategy):
    """Buys breakouts by stop-limit orders, taken back after some bars, and sells what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.resting: Any = None

    def next(self) -> None:
        if self.is_waiting:
            return
        bar, close = len(self.data), self.data.close[0]
        is_at_rest = self.resting is not None and self.resting.alive()
        if self.held:
            if bar % 7 == 0:
                self.send(-self.held, "exit")
        elif not is_at_rest and bar % 3 == 0:
            stop = close * (1.0002 if bar % 2 else 1.0006)
            self.resting = self.buy(
                size=0.25, exectype=bt.Order.StopLimit, price=stop, plimit=stop * 1.0004, reason="breakout"
            )
        elif is_at_rest and bar % 11 == 0:
            self.cancel(self.resting)


def test_stop_limit_orders_of_a_strategy_are_triggered_and_filled_alike() -> None:
    bars = SyntheticMarket(330, "1m", seed=4).bars()["BTC/USDT"]
    test = Backtest(Breakout, {}, venue=Venue(instrument=BTC))
    backtest, paper, practice, _ = three(test, bars)
    assert (paper.apart, practice.apart) == (None, None)
    stop_limits = [order.status for order in backtest.orders if "limit" in order.kind]
    assert {"completed", "canceled"} <= set(stop_limits)
    assert stop_limits.count("completed") > 5


# ---- the comparison can fail, and says why


@pytest.fixture(scope="module")
def market() -> Bars:
    return SyntheticMarket(300, "1m", seed=7).bars()["BTC/USDT"]


def run_of(bars: Bars, costs: Costs | None = None, scores: Any = None, **settings: Any) -> BacktestResult:
    test = Backtest(MLThreshold, {**EASY, **settings}, venue=Venue(costs or Costs(), instrument=BTC))
    return test.run(bars, scores or scores_of(bars), int(bars.open_time[WARM]))


def cause_of(one: BacktestResult, other: BacktestResult, *scores: ScoreApart) -> tuple[str, str]:
    found = compare(one, other, NAMES, scores=scores)
    assert found.apart is not None
    assert found.decisions < len(one.bars) - one.start
    return found.apart.what, found.apart.cause


def test_a_price_that_differs_is_told_with_its_cause(market: Bars) -> None:
    assert cause_of(run_of(market), run_of(market, Costs(slippage_bps=6))) == ("fill", "price model")


def test_a_fee_that_differs_is_told_with_its_cause(market: Bars) -> None:
    run = run_of(market)
    dear = [dataclasses.replace(fill, fee=1.001 * fill.fee, fee_quote=1.001 * fill.fee_quote) for fill in run.fills]
    assert cause_of(run, dataclasses.replace(run, fills=tuple(dear))) == ("fill", "fee")


def test_a_decision_that_follows_from_another_score_is_told_with_it(market: Bars) -> None:
    ours = scores_of(market)["up"]
    said = ours.batch().copy()
    place = int(np.flatnonzero(said[WARM:] >= 0.9)[0]) + WARM
    said[place] = 0.5
    theirs = {"up": ArrayScores("up", market.open_time, said, 0.0, 1.0)}
    when = int(market.open_time[place])
    apart = scores_apart("up", market.open_time, ours.batch(), said, {when: "late model"})
    assert [one.open_time for one in apart] == [when]
    what, cause = cause_of(run_of(market), run_of(market, scores=theirs), *apart)
    assert what == "decision"
    assert cause.startswith("score: late model; up said 0.9")


def test_an_order_that_was_refused_is_told_with_the_reason(market: Bars) -> None:
    strict = dataclasses.replace(BTC, min_notional=Decimal(1_000_000))
    test = Backtest(MLThreshold, EASY, venue=Venue(instrument=strict))
    other = test.run(market, scores_of(market), int(market.open_time[WARM]))
    _, cause = cause_of(run_of(market), other)
    assert cause.startswith("filter or limit: ")
    assert "1000000" in cause


def test_counts_are_those_until_the_difference(market: Bars) -> None:
    run = run_of(market)
    fills = list(run.fills)
    fills[4] = dataclasses.replace(fills[4], price=fills[4].price * 1.01)
    found = compare(run, dataclasses.replace(run, fills=tuple(fills)), NAMES)
    assert found.fills == sum(fill.bar < fills[4].bar for fill in fills)
    assert found.decisions == fills[4].bar - WARM
    assert "price is" in str(found.apart)


def test_decimals_that_a_venue_has_are_no_difference_and_more_are(market: Bars) -> None:
    run = run_of(market)
    near = dataclasses.replace(run, fills=tuple(dataclasses.replace(f, price=f.price + 9e-6) for f in run.fills))
    assert compare(run, near, NAMES, Within.decimals(5)).agrees
    assert not compare(run, near, NAMES, Within.decimals(6)).agrees
    assert not compare(run, near, NAMES).agrees


def test_quantities_that_follow_from_rounded_prices_are_no_difference_and_more_are(market: Bars) -> None:
    """The account of a cheap coin is worth something else after 8 decimals, so the next order has other steps."""
    cheap = dataclasses.replace(market, columns={
        name: values / 100_000 if name in {"open", "high", "low", "close"} else values
        for name, values in market.columns.items()
    })  # fmt: skip
    free = Venue(instrument=dataclasses.replace(BTC, tick=Decimal("1e-8")))
    run = Backtest(MLThreshold, EASY, venue=free).run(cheap, scores_of(cheap), int(cheap.open_time[WARM]))

    def sized(share: float, run: BacktestResult = run) -> BacktestResult:
        return dataclasses.replace(
            run,
            fills=tuple(dataclasses.replace(one, qty=one.qty * (1 + share)) for one in run.fills),
            orders=tuple(dataclasses.replace(one, qty=one.qty * (1 + share)) for one in run.orders),
        )

    within = Within.decimals(8, 1e-5)
    allowed = within.quantities(run.fills)
    assert allowed == pytest.approx(sum(1e-8 * abs(one.qty) + 1e-8 for one in run.fills)
                                    / min(abs(one.qty * one.price) for one in run.fills))  # fmt: skip
    assert compare(run, sized(0.9 * allowed), NAMES, within).agrees
    assert not compare(run, sized(1.1 * allowed), NAMES, within).agrees
    assert not compare(run, sized(0.9 * allowed), NAMES).agrees
    funding = dataclasses.replace(run.fills[0], qty=0.0, reason="funding")
    assert within.quantities((*run.fills, funding)) == allowed
    assert within.quantities((funding,)) == 0.0
    dear = run_of(market)
    assert within.quantities(dear.fills) == 0.0
    assert not compare(dear, sized(1e-9, dear), NAMES, within).agrees
