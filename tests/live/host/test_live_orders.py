"""Every kind of order that a strategy may send, live on paper against the backtest."""

from __future__ import annotations

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import backtrader as bt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.backtest.run import Backtest
from itb.engine.orders import Protection
from itb.engine.venue import Venue
from itb.live.gateways.faults import LATE, FaultPlan
from itb.live.invariants import VenueTruth, violations
from itb.market.costs import Costs
from itb.strategies.base import Strategy
from tests.live.host.paper_run import PaperRun, difference
from tests.live.host.test_live_broker import MEMORY
from tests.live.host.test_parity import market
from tests.live.rehearsal import BTC

WARM = 30
PROTECT = Protection(0.002, 0.003)
KINDS = ("enter", "protected", "grow", "part", "all", "limit", "taking", "stop", "stop_limit", "cancel", "drop")


class Wild(Strategy):
    """Does at each bar what a list says; its quantities add up exactly in floats, as they do in decimals live."""

    params: Any = (("plan", ()),)

    def __init__(self) -> None:
        super().__init__()
        self.resting: list[Any] = []

    def next(self) -> None:
        what = self.p.plan[len(self.data) % len(self.p.plan)]
        self.resting = [order for order in self.resting if order.alive()]
        if not self.is_waiting:
            self.act(what)

    def act(self, what: str) -> None:
        close, held = self.data.close[0], self.held
        if what == "enter" and not held:
            self.send(0.125, "entry")
        elif what == "protected" and not held and not self.resting:
            self.send(0.125, "entry", protect=PROTECT)
        elif what == "grow" and 0 < held < 0.38:
            self.send(0.0625, "more")
        elif what == "part" and held > 0.05:
            self.send(-0.03125, "part")
        elif what == "all" and held:
            self.send(-held, "exit")
            self.broker.shields.drop(self.data)
        elif what == "drop" and held:
            self.broker.shields.drop(self.data)
        elif what == "cancel":
            for order in self.resting:
                self.cancel(order)
        elif what in {"limit", "taking", "stop", "stop_limit"} and not held and not self.resting:
            self.rest(what, close)

    def rest(self, what: str, close: float) -> None:
        kind = {"limit": bt.Order.Limit, "taking": bt.Order.Limit, "stop": bt.Order.Stop}.get(what, bt.Order.StopLimit)
        price = close * {"limit": 0.9995, "taking": 1.0005}.get(what, 1.0005)
        limit = close * 1.001 if what == "stop_limit" else None
        valid = dt.timedelta(minutes=3) if what in {"limit", "stop"} else None
        order = self.buy(size=0.125, exectype=kind, price=price, plimit=limit, valid=valid, reason=what)
        self.resting.append(order)


def apart(plan: tuple[str, ...], seed: int, costs: Costs) -> str:
    bars = market(130, seed)
    test = Backtest(Wild, {"plan": plan}, cash=100_000.0, venue=Venue(costs, instrument=BTC))  # none is locked
    backtest = test.run(bars, {}, int(bars.open_time[WARM]))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        lived = PaperRun(Path(folder) / "journal.db", test, bars, {}, WARM).run()
    return difference(backtest, lived)


@settings(max_examples=8)
@given(
    plan=st.lists(st.sampled_from(KINDS), min_size=3, max_size=9).map(tuple),
    seed=st.integers(0, 1_000),
)
def test_whatever_is_sent_paper_fills_it_as_the_backtest(plan: tuple[str, ...], seed: int) -> None:
    assert apart(plan, seed, Costs(taker_fee_bps=10, maker_fee_bps=4, slippage_bps=2)) == ""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_strategy_knows_what_the_venue_knows_whatever_fails(seed: int, journal_file: Path) -> None:
    bars = market(160, seed)
    kinds = FaultPlan().kinds
    plan = FaultPlan(seed, 100.0, tuple(kind for kind in kinds if kind not in LATE))
    test = Backtest(Wild, {"plan": KINDS}, cash=100_000.0, venue=Venue(Costs(fee_currency="base"), instrument=BTC))
    run = PaperRun(journal_file, test, bars, {}, WARM, faults=plan)
    result = run.run()
    book, venue, mirror = run.dealer.book, run.venue, run.broker.mirror
    truth = VenueTruth(tuple(venue.orders.values()), venue.trades, venue.totals, OPENING)
    assert len(result.orders) > 20
    assert violations(book, truth) == []
    assert mirror.book.positions == book.positions
    assert mirror.account.sizes["BTC/USDT"] == venue.totals["BTC"]
    assert mirror.account.exact_cash == venue.totals["USDT"]
    unfinished = {ticket.order.ref for ticket in mirror.all_tickets()}
    assert [order for order in run.broker.sent if order.alive() and order.ref not in unfinished] == []


OPENING = {"USDT": Decimal(100_000), "BTC": Decimal(0)}
