"""A bot that runs for long keeps what its indicators and history need, decides as before, and grows no further."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import backtrader as bt
import pytest

from itb.backtest.run import Backtest
from itb.engine.lines import lines_below
from itb.engine.venue import Venue
from itb.live.bars.bar import Bar, rows_of
from itb.live.bars.barrier import Step
from itb.live.episodes import Episode
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Hosting, LiveHost, LiveMarket
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold
from tests.live.host.paper_run import PaperRun
from tests.live.host.test_parity import live, market, scores_of
from tests.live.rehearsal import BTC

WARM, KEEP = 50, 25
VENUE = Venue(Costs(taker_fee_bps=5, slippage_bps=1), instrument=BTC)
BUSY = {"buy_threshold": 0.6, "sell_threshold": 0.4, "stop_loss": 0.01, "take_profit": 0.01, "cooldown_bars": 1}


class Averages(Strategy):
    """Several kinds of lines: indicators within indicators, operations, delays; buys and sells by them."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = bt.indicators.SMA(self.data.close, period=40)
        macd: Any = bt.indicators.MACD(self.data.close)
        self.apart = self.data.close - self.slow
        self.before = self.data.close(-3)
        self.cross = bt.indicators.CrossOver(macd.macd, macd.signal)

    def next(self) -> None:
        if self.cross[0] > 0 and self.data.close[0] > self.before[0] - abs(self.apart[-5]):
            self.buy(size=0.1)
        elif self.cross[0] < 0 and self.getposition().size > 0:
            self.sell(size=self.getposition().size)


@pytest.mark.parametrize("keep", [50, 64])
def test_lines_that_are_cut_short_change_no_decision(keep: int) -> None:
    bars = market(600, 7)
    for strategy, asked in ((MLThreshold, BUSY), (Averages, {})):
        test = Backtest(strategy, asked, venue=Venue(Costs(taker_fee_bps=5, slippage_bps=1)))
        whole = live(test, bars, scores_of(bars, 3), WARM)
        short = live(test, bars, scores_of(bars, 3), WARM, keep=keep)
        assert len(whole.fills) > 10
        assert short.fills == whole.fills
        assert short.orders == whole.orders


@pytest.mark.parametrize("part", ["close", "slow", "apart", "get"])
def test_a_strategy_that_looks_back_too_far_is_told_so(part: str) -> None:
    class LooksBack(Averages):
        def next(self) -> None:
            if len(self.data) < 250:
                return
            if part == "get":
                self.data.close.get(size=200)
            else:
                {"close": self.data.close, "slow": self.slow, "apart": self.apart}[part][-199]

    bars = market(300, 7)
    troubles: list[Episode] = []
    host = LiveHost(LooksBack, {}, bt.brokers.BackBroker(), {bars.symbol: LiveMarket(GrowingBars(bars.head(50), 60))},
                    Hosting(trouble=troubles.append))  # fmt: skip
    for row in rows_of(bars)[50:]:
        host.step(Step(row.open_time, {bars.symbol: row}))
    host.stop()
    host.run()
    told = " ".join(str(one) for one in troubles)
    assert "asked for its last 200 values, a running bot keeps" in told
    assert "raise live.history" in told


def forgetful(file: Path, bars: Bars, scores: Any, passed: Callable[[Bar], None] = lambda _bar: None) -> PaperRun:
    """A bot on paper that keeps very little."""
    test = Backtest(MLThreshold, BUSY, venue=VENUE)
    run = PaperRun(file, test, bars, scores, WARM, keep=KEEP, passed=passed)
    run.venue.keep = run.book.keep = KEEP
    run.book.sweep_at = 2 * KEEP
    return run


def test_a_bot_that_keeps_little_trades_as_one_that_keeps_all(journal_file: Path) -> None:
    bars = market(600, 7)
    scores = scores_of(bars, 3)
    whole = PaperRun(journal_file, Backtest(MLThreshold, BUSY, venue=VENUE), bars, scores, WARM)
    little = forgetful(journal_file.with_name("b"), bars, scores)
    before, after = whole.run(), little.run()
    ours, theirs = whole.broker.mirror.account, little.broker.mirror.account
    assert len(before.fills) > 6 * KEEP
    assert [one.qty for one in after.fills] == [one.qty for one in before.fills][-len(after.fills) :]
    assert theirs.exact_cash == ours.exact_cash
    assert theirs.sizes == ours.sizes
    book, kept = ours.histories[bars.symbol], theirs.histories[bars.symbol]
    assert (kept.ended, kept.profit, kept.open) == (book.ended, book.profit, book.open)
    assert list(kept.closed) == list(book.closed)[-len(kept.closed) :]
    assert KEEP <= len(kept.closed) < 2 * KEEP


def in_memory(run: PaperRun) -> Counter[str]:
    """Count what a bot holds: objects by type, and the values in its lines."""
    gc.collect()
    caches = {"ReferenceType", "builtin_function_or_method"}  # of abstract classes: they know each type, once
    found = Counter(str(type(one)) for one in gc.get_objects() if type(one).__name__ not in caches)
    lines = [*run.host.strategy.data.lines, *lines_below(run.host.strategy)]
    found["values in lines"] = sum(len(line.array) for line in lines)
    found["bars"] = len(run.host.strategy.data.bars.open_time.left())
    return found


def test_a_bot_holds_after_three_times_as_many_bars_what_it_held_before(journal_file: Path) -> None:
    """Objects are counted where every store is as full as it was: after whole rounds of letting go."""
    steps = 0
    counted: dict[int, Counter[str]] = {}
    bars = market(WARM + 1_000, 7)

    def passed(_bar: Bar) -> None:
        nonlocal steps
        steps += 1
        if steps in {320, 960}:
            counted[steps] = in_memory(run)

    run = forgetful(journal_file, bars, scores_of(bars, 3), passed)
    run.run()
    few, many = counted[320], counted[960]
    ended = run.broker.mirror.account.histories[bars.symbol].ended
    assert ended > 6 * KEEP
    grown = {name: (few[name], count) for name, count in many.items() if count > few[name] + 2 * KEEP}
    assert grown == {}
    assert many.total() < few.total() + 2 * KEEP  # less than one object for each trade
