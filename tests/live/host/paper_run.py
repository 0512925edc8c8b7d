"""A strategy on paper in one thread: journal, dealer, paper venue and host, stepped in turn."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from itb.backtest.account import account, fills
from itb.backtest.result import BacktestResult, OrderRecord
from itb.backtest.run import Backtest
from itb.laws.parity import difference as law_difference
from itb.ledger.trades import Trade
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.dealer import Dealer
from itb.live.door import Door
from itb.live.episodes import Episode
from itb.live.gateways.bar_venue import BarVenue
from itb.live.gateways.paper import BarPaper
from itb.live.host.broker import LiveBroker
from itb.live.host.broker_account import Allotment
from itb.live.host.feed import Item, Stop
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Hosting, LiveHost, LiveMarket
from itb.live.journal.store import Journal, pass_by
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.paper import live_bar, resume
from itb.market.bars import Bars


class Stepped:
    """An inbox that lets the market live on whenever the loop asks for the next item."""

    def __init__(self, run: PaperRun, steps: Iterable[Step]) -> None:
        self._run, self._steps = run, iter(steps)

    def put(self, item: Item) -> None:
        raise AssertionError(f"nobody puts {item} here")

    def take(self) -> Item:
        step = next(self._steps, None)
        self._run.live(step)
        return Stop() if step is None else step


class PaperRun:
    """One life of a bot on paper; the same journal makes another one go on.

    ``history`` is how many bars before the first step the strategy gets, all of them if 0.
    """

    def __init__(
        self, file: Path, test: Backtest, bars: Bars, scores: Mapping[str, Any], warm: int, *,
        history: int = 0, reach: Callable[[str], None] = pass_by,
    ) -> None:  # fmt: skip
        self.test, self.bars, self.warm = test, bars, warm
        instrument = test.venue.instrument
        assert instrument is not None
        symbol = bars.symbol
        cash = Decimal(repr(test.cash))
        base, quote = symbol.split("/")
        self.journal = Journal(file, reach=reach)
        venue = BarVenue((instrument,), {quote: cash, base: Decimal(0)}, test.venue.costs, bar_ms=bars.timeframe.ms)
        begun = resume(venue, self.journal)
        place = warm if begun is None else max(warm, int(bars.open_time.searchsorted(begun)))
        if begun is None:
            venue.now = int(bars.open_time[place])
        venue.quote(symbol, Decimal(repr(float(bars.close[place - 1]))))
        self.gateway = BarPaper(venue)
        self.dealer = Dealer(
            self.gateway, self.journal, owner="test", clock=self.gateway.clock,
            machine=Machine(Limits(), instruments={symbol: instrument}), reach=reach,
        )  # fmt: skip
        self.broker = LiveBroker(
            Allotment("main", cash, {symbol: test.venue}, pairs=True, worth_of=lambda currency: 1.0), Door(self.dealer)
        )
        self.troubles: list[Episode] = []
        market = LiveMarket(GrowingBars(bars.slice(max(0, place - history) if history else 0, place)), scores)
        hosting = Hosting(trouble=self.troubles.append)
        self.host = LiveHost(test.strategy, test.settings, self.broker, {symbol: market}, hosting)
        steps = [Step(row.open_time, {symbol: row}) for row in rows_of(bars)[place:]]
        self.host.inbox = Stepped(self, steps)  # type: ignore[assignment]  # it offers what the host uses
        self.dealer.follow(self.broker.hear)
        self._loop = asyncio.new_event_loop()

    @property
    def trades(self) -> Sequence[Trade]:
        """Closed trades of all lives."""
        return self.broker.mirror.account.histories[self.bars.symbol].closed

    def live(self, step: Step | None) -> None:
        """Let what was decided leave, and the next bar pass."""
        self._loop.run_until_complete(self._live(step))

    async def _live(self, step: Step | None) -> None:
        await self.dealer.settle()
        if step is not None:
            await live_bar(self.dealer, self.gateway, step.bars)

    def run(self) -> BacktestResult:
        """Run to the end of the steps and give what a backtest gives."""
        self.host.run()
        self.close()
        assert self.troubles == []
        bars, broker, venue = self.bars, self.broker, self.test.venue
        books = account(bars, self.test.cash, broker.log)
        return BacktestResult(
            bars=bars, start=self.warm, starting_cash=self.test.cash, costs=venue.costs, dust=venue.dust,
            cash=books.cash, position=books.position, equity=books.equity,
            fills=tuple(fills(bars, broker.log, venue.costs.fee_currency)),
            market_prices=np.array([one.market_price for one in broker.log]),
            orders=tuple(OrderRecord.of(order, broker) for order in broker.sent),  # type: ignore[arg-type]
            rejected=tuple(broker.rejected), ambiguous=(), stepped="live", visited=len(bars), why_not_sparse="",
            blocked=dict(getattr(self.host.strategy, "blocked", {})),
        )  # fmt: skip

    def close(self) -> None:
        self._loop.close()
        self.journal.close()


def difference(backtest: BacktestResult, lived: BacktestResult) -> str:
    """Name the first difference; fees and money are exact decimals live, floats in a backtest: 12 digits agree."""
    exact = tuple(dataclasses.replace(fill, fee=0.0, fee_quote=0.0) for fill in backtest.fills)
    found = law_difference(
        dataclasses.replace(backtest, fills=exact, **_SAME),
        dataclasses.replace(
            lived, fills=tuple(dataclasses.replace(fill, fee=0.0, fee_quote=0.0) for fill in lived.fills), **_SAME
        ),
        ("backtest", "live"),
    )
    if found:
        return found
    for what in ("fee", "fee_quote"):
        ours, theirs = ([getattr(fill, what) for fill in run.fills] for run in (backtest, lived))
        if not np.allclose(ours, theirs, rtol=1e-12, atol=0.0):
            return f"{what} differs"
    for what in ("cash", "position", "equity"):
        ours, theirs = getattr(backtest, what), getattr(lived, what)
        wrong = np.flatnonzero(~np.isclose(ours, theirs, rtol=1e-12, atol=1e-9))
        if len(wrong):
            return f"{what} at bar {wrong[0]}: {ours[wrong[0]]!r} and {theirs[wrong[0]]!r}"
    alive = 0  # at the end nobody is told any more what became of an order
    for sent, told in zip(backtest.orders, lived.orders, strict=True):
        alive += told.status in {"submitted", "accepted"}
        if told.status not in {"submitted", "accepted", sent.status} or abs(sent.filled - told.filled) > 1e-12:
            return f"{sent} in the backtest, {told} live"
    return "" if alive <= 3 else f"{alive} orders never ended"


_SAME: dict[str, Any] = {name: np.zeros(0) for name in ("cash", "position", "equity")}
