"""The live broker on paper against the backtest: the same decisions, orders and fills on every bar."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.live.gateways.port import Funding, VenueTrade
from itb.live.host.broker_account import Allotment, Subaccount
from itb.live.host.growing import GrowingBars
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.protections import Cooldown, StopLossGuard
from tests.live.host.paper_run import PaperRun, difference
from tests.live.host.test_parity import WARM, market, scores_of
from tests.live.rehearsal import BTC

VENUE = Venue(Costs(taker_fee_bps=5, slippage_bps=1), instrument=BTC)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
SETTINGS: list[dict[str, Any]] = [
    {"buy_threshold": 0.9, "sell_threshold": 0.1},
    {"buy_threshold": 0.8, "sell_threshold": 0.3, "cooldown_bars": 3, "max_bars": 12},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "stop_loss": 0.002, "max_bars": 30},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "stop_loss": 0.002, "take_profit": 0.003, "max_bars": 30},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "take_profit": 0.003},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "take_profit": 0.003, "stop_loss": 0.004, "trailing_stop": 0.002},
    {"buy_threshold": 0.9, "sell_threshold": 0.02, "trailing_stop": 0.002, "sizing": "volatility_target"},
    {
        "buy_threshold": 0.7,
        "sell_threshold": 0.05,
        "stop_loss": 0.002,
        "entry": "limit",
        "entry_offset_bps": 4,
        "entry_bars": 4,
        "entry_timeout": "market",
    },
]


@pytest.mark.parametrize("asked", SETTINGS)
def test_paper_sends_the_same_orders_and_gets_the_same_fills_as_the_backtest(
    asked: dict[str, Any], journal_file: Path
) -> None:
    bars = market(500, 7)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, asked, venue=VENUE)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    lived = PaperRun(journal_file, test, bars, scores, WARM).run()
    assert len(backtest.fills) > 10
    assert difference(backtest, lived) == ""


GUARDED = (Cooldown(5), StopLossGuard(lookback=20, trade_limit=2, stop_duration=10))


@st.composite
def settings_of(draw: st.DrawFn) -> dict[str, Any]:
    """Draw how a strategy trades."""
    share = st.sampled_from([0.0, 0.0, 0.001, 0.002, 0.005])
    return {
        "buy_threshold": draw(st.sampled_from([0.6, 0.9])),
        "sell_threshold": draw(st.sampled_from([0.05, 0.3])),
        "stop_loss": draw(share),
        "take_profit": draw(share),
        "trailing_stop": draw(share),
        "max_bars": draw(st.integers(0, 15)),
        "cooldown_bars": draw(st.integers(0, 4)),
        "sizing": draw(st.sampled_from(["percent_of_equity", "fixed_notional"])),
        "entry": draw(st.sampled_from(["market", "limit"])),
        "entry_offset_bps": draw(st.sampled_from([-4.0, 2.0, 6.0])),
        "entry_bars": draw(st.integers(0, 4)),
        "entry_reprice": draw(st.booleans()),
        "entry_timeout": draw(st.sampled_from(["cancel", "market"])),
        "fraction": draw(st.sampled_from([0.1, 0.95])),
        "protections": draw(
            st.sampled_from([(), (Cooldown(5), StopLossGuard(lookback=20, trade_limit=2, stop_duration=10))])
        ),
    }


@settings(max_examples=12)
@given(
    asked=settings_of(),
    costs=st.builds(
        Costs,
        taker_fee_bps=st.sampled_from([0.0, 10.0]),
        fee_currency=st.sampled_from(["quote", "base", "BNB"]),
        slippage_bps=st.sampled_from([0.0, 3.0]),
        impact_bps=st.sampled_from([0.0, 20.0]),
    ),
    seed=st.integers(0, 10_000),
)
def test_whatever_the_settings_paper_trades_as_the_backtest(asked: dict[str, Any], costs: Costs, seed: int) -> None:
    bars = market(150, seed)
    scores = scores_of(bars, seed)
    test = Backtest(MLThreshold, asked, venue=Venue(costs, instrument=BTC))
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        lived = PaperRun(Path(folder) / "journal.db", test, bars, scores, WARM).run()
    assert difference(backtest, lived) == ""


class KilledError(BaseException):
    """The program ends here, as by ``kill -9``."""


class Reaper:
    """Kills at the n-th fail point."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, point: str) -> None:
        self.left -= 1
        if not self.left:
            raise KilledError(point)


def lives_of(test: Backtest, bars: Bars, scores: Any, file: Path, seed: int) -> tuple[PaperRun, int]:
    """Kill a bot at fail points at random and start it again, until the bars are over."""
    random, lives = np.random.default_rng(seed), 0
    while True:
        lives += 1
        run = None
        try:
            run = PaperRun(file, test, bars, scores, WARM, history=60, reach=Reaper(int(random.integers(1, 200))))
            run.run()
        except KilledError:
            if run is not None:
                run.close()
        else:
            return run, lives


@pytest.mark.parametrize(("seed", "asked"), [(1, 5), (2, 3), (8, 7)])
def test_a_bot_that_is_killed_again_and_again_trades_as_one_that_was_not(
    seed: int, asked: int, journal_file: Path
) -> None:
    bars = market(200, seed)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, SETTINGS[asked], venue=VENUE)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    run, lives = lives_of(test, bars, scores, journal_file, seed)
    assert lives > 3
    assert journal_fills(run) == [(f.open_time, f.qty, f.price, f.reason) for f in backtest.fills]
    closed = [trade for trade in backtest.trades if not trade.is_open]
    assert run.broker.getcash() == pytest.approx(backtest.cash[-1], rel=1e-12)
    assert [(t.entry_time, t.exit_time, t.exit_reason) for t in run.trades] == [
        (t.entry_time, t.exit_time, t.exit_reason) for t in closed
    ]


def journal_fills(run: PaperRun) -> list[tuple[int, float, float, str]]:
    """Give what the journal says was executed, oldest first."""
    orders = run.dealer.book.orders.values()
    fills = [(int(trade.trade_id), trade, order.intent) for order in orders for trade in order.fills]
    return [
        (trade.time, intent.sign * float(trade.qty), float(trade.price), intent.reason)
        for _, trade, intent in sorted(fills, key=lambda one: one[0])
    ]


def account_of(cash: int = 1_000) -> Subaccount:
    part = Allotment("main", Decimal(cash), {"BTC/USDT": VENUE})
    return Subaccount(part, {"BTC/USDT": GrowingBars(market(60).head(40))})


def test_funding_is_paid_from_the_cash_and_told_by_the_open_trade() -> None:
    account = account_of()
    opened = int(market(60).open_time[10])
    account.book(
        VenueTrade("1", "1", "BTC/USDT", "buy", Decimal(2), Decimal(100), Decimal(0), "USDT", opened), "entry", 1
    )
    account.book_funding(Funding("f", "BTC/USDT", "USDT", Decimal(-3), opened + 120_000), Decimal("0.5"))
    trade = account.histories["BTC/USDT"].open
    assert trade is not None
    assert (account.exact_cash, trade.funding, trade.entry_bar) == (Decimal("798.5"), 1.5, 10)


def test_a_fill_before_or_after_all_bars_is_counted_on() -> None:
    account, bars = account_of(), market(60)
    start = int(bars.open_time[0])
    assert account.bar_of("BTC/USDT", start - 59_000) == (-1, start - 60_000)
    assert account.bar_of("BTC/USDT", start + 45 * 60_000 + 5) == (45, start + 45 * 60_000)
    assert account.bar_of("BTC/USDT", start + 7 * 60_000 + 59_999) == (7, start + 7 * 60_000)


class Greedy(Strategy):
    """Buys more than it was given."""

    def next(self) -> None:
        if len(self.data) == WARM + 5:
            self.send(1.0, "entry")


def test_a_strategy_cannot_spend_what_belongs_to_others(journal_file: Path) -> None:
    bars = market(70)
    test = Backtest(Greedy, {}, cash=1_000.0, venue=VENUE)
    run = PaperRun(journal_file, test, bars, {}, WARM)
    run.broker.allotment = replace(run.broker.allotment, shares_account=True)
    run.venue.totals["USDT"] += 100_000
    (order,) = run.run().orders
    assert order.status == "margin"
    assert "1000.00 is left of what the strategy was given" in run.broker.rejected[0].why
    assert run.dealer.book.orders == {}
