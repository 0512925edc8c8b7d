"""Laws 1 and 2 on strategies: later bars change no earlier decision, and older bars do not matter."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.run import TradedMarket
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores
from itb.laws.causal import poison_after
from itb.laws.decisions import decisions, failure, reads_past_end, trading_starts
from itb.laws.result import LawResult
from itb.ledger.difference import first_difference
from itb.market.bars import Bars

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.backtest.run import Backtest
    from itb.engine.venue import Leg, Venue
    from itb.indicators.score import ScoreSource

    Scores = Mapping[str, ScoreSource]

TOLERANCE_OF_ORDERS = 1e-9  # of a quantity or price
BEYOND = 200  # bars of noise after a cut
_SHARP, _BLUNT = 8, 4  # cuts where an order was sent, cuts elsewhere


def check_strategy_causal(
    test: Backtest,
    bars: Bars,
    scores: Scores | None = None,
    start_ms: int | None = None,
    *,
    subject: str = "",
    seed: int = 0,
) -> LawResult:
    """Check that what a strategy orders at a bar does not depend on bars, or scores, after it.

    At bars where it sent an order and at some where it did not, all later bars and scores are once cut off and once
    replaced by noise; no order sent until then may change, vanish or appear. A strategy that brings its own knowledge
    of the future (a list of dates, a file of prices) cannot be told from a lucky one.

    >>> from itb.backtest.run import Backtest
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.strategies.base import Strategy
    >>> class Seer(Strategy):
    ...     def next(self):
    ...         closes = self.data.bars.close
    ...         if not self.position and closes[-1] > closes[len(self.data) - 1]:
    ...             self.buy(size=1)
    >>> print(check_strategy_causal(Backtest(Seer), sinus(bars=90)))  # doctest: +ELLIPSIS
    causal: Seer: BROKEN: when the bars after row ... are ...: entry 0, ...
    """
    subject = subject or test.strategy.__name__
    blind = dataclasses.replace(test, stepping="blind")  # stock indicators fail in bulk on fewer bars than they need
    try:
        whole = test.run(bars, scores, start_ms)
    except StrategyError as error:
        if not reads_past_end(error):
            raise
        evidence = f"it asks for a bar that is not there yet: {failure(error)}"
        return LawResult("causal", subject, passed=False, evidence=evidence)
    tried = compared = 0
    for what, cut, changed, told in _worlds(whole, bars, scores or {}, np.random.default_rng(seed)):
        try:
            again = (test if what == "noise" else blind).run(changed, told, start_ms)
        except StrategyError as error:
            if what == "noise":
                continue  # noise may be too wild for it; the same bars without a future are the judge
            evidence = f"when the bars after row {cut} are {what}, it fails: {failure(error)}"
            return LawResult("causal", subject, passed=False, evidence=evidence, figures={"cut": cut})
        before = decisions(whole, cut)
        apart = first_difference(before, decisions(again, cut), names=("the run on all bars", "the run without them"))
        tried += 1
        compared += len(before)
        if apart is not None:
            evidence = f"when the bars after row {cut} are {what}: {apart}"
            return LawResult("causal", subject, passed=False, evidence=evidence, figures={"cut": cut, "bar": apart.bar})
    evidence = f"{tried} changes of later bars and scores changed none of {compared} earlier orders"
    return LawResult("causal", subject, passed=True, evidence=evidence, figures={"compared": compared})


def _worlds(
    whole: BacktestResult, bars: Bars, scores: Scores, rng: np.random.Generator
) -> Iterator[tuple[str, int, Bars, Scores]]:
    last = len(bars) - 2
    if last < whole.start:
        return
    sent = np.unique([order.bar for order in whole.orders if whole.start <= order.bar <= last]).astype(np.int64)
    sharp = rng.choice(sent, min(_SHARP, len(sent)), replace=False) if len(sent) else sent
    blunt = rng.integers(whole.start, last, _BLUNT, endpoint=True)
    for cut in sorted({whole.start, *map(int, sharp), *map(int, blunt)}):
        yield "cut off", cut, bars.head(cut + 1), {name: head(source, bars, cut) for name, source in scores.items()}
        world = poison_after(bars.head(cut + 1 + BEYOND), cut, rng)
        yield "noise", cut, world, {name: noise(source, world, cut, rng) for name, source in scores.items()}


def head(source: ScoreSource, bars: Bars, cut: int) -> ArrayScores:
    """Give the scores of the bars up to ``cut``."""
    values = source.batch()[: cut + 1]
    return ArrayScores(source.column, bars.open_time[: cut + 1], values, source.low, source.high)


def noise(source: ScoreSource, world: Bars, cut: int, rng: np.random.Generator) -> ArrayScores:
    """Give the scores up to ``cut``, and after it others drawn from them."""
    known = source.batch()
    finite = known[np.isfinite(known)]
    later = len(world) - cut - 1
    drawn = rng.choice(finite, later) if len(finite) else np.full(later, np.nan)
    values = np.concatenate([known[: cut + 1], drawn])
    return ArrayScores(source.column, world.open_time, values, source.low, source.high)


def check_strategy_warmup(
    test: Backtest,
    bars: Bars,
    scores: Scores | None = None,
    start_ms: int | None = None,
    *,
    subject: str = "",
) -> LawResult:
    """Check that a strategy takes the same decisions from ``start_ms`` on with half of the earlier bars.

    Where fewer than eight bars come before ``start_ms``, trading starts in the middle of the bars instead. Quantities
    and prices may differ by 1e-9 of themselves.

    >>> from itb.backtest.run import Backtest
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.strategies.base import Strategy
    >>> class Counting(Strategy):
    ...     def next(self):
    ...         if len(self.data) == 60:
    ...             self.buy(size=1)
    >>> print(check_strategy_warmup(Backtest(Counting), sinus(bars=100)))  # doctest: +ELLIPSIS
    warmup: Counting: BROKEN: entry 0, bar 9 ...: 50 earlier bars has a market order to buy 1 (user), ...
    """
    subject = subject or test.strategy.__name__
    start = trading_starts(bars, start_ms)
    start = start if start >= 8 else len(bars) // 2
    begin, skipped = int(bars.open_time[start]), start - start // 2
    part = later(TradedMarket(bars, scores or {}), int(bars.open_time[skipped]), test.venue)
    blind = dataclasses.replace(test, stepping="blind")
    long = decisions(blind.run(bars, scores, begin))
    assert part.venue is not None
    short = decisions(dataclasses.replace(blind, venue=part.venue).run(part.bars, part.scores, begin))
    names = (f"{start} earlier bars", f"{start - skipped} earlier bars")
    apart = first_difference(long, short, names=names, tolerance=TOLERANCE_OF_ORDERS)
    if apart is not None:
        figures = {"bar": apart.bar, "long": start, "short": start - skipped}
        return LawResult("warmup", subject, passed=False, evidence=str(apart), figures=figures)
    evidence = f"{names[0]} and {names[1]} led to the same {len(long)} orders"
    return LawResult("warmup", subject, passed=True, evidence=evidence, figures={"compared": len(long)})


def later(one: TradedMarket, from_ms: int, venue: Venue) -> TradedMarket:
    """Give a market without the bars before ``from_ms``; ``venue`` is what it trades on where it names none."""
    skipped = int(one.bars.open_time.searchsorted(from_ms))
    part = one.bars.slice(skipped, None)
    scores = {
        name: ArrayScores(name, part.open_time, source.batch()[skipped:], source.low, source.high)
        for name, source in one.scores.items()
    }
    return TradedMarket(part, scores, _later(one.venue or venue, skipped))


def _later(venue: Venue, skipped: int) -> Venue:
    """Give the venue of bars that begin ``skipped`` bars later."""
    settle = venue.settle

    def settle_later(bar: int, stop: float, target: float, is_long: bool) -> Leg | None:
        assert settle is not None
        return settle(bar + skipped, stop, target, is_long)

    return dataclasses.replace(
        venue,
        buy_price=None if venue.buy_price is None else venue.buy_price[skipped:],
        sell_price=None if venue.sell_price is None else venue.sell_price[skipped:],
        settle=None if settle is None else settle_later,
        funding={bar - skipped: rate for bar, rate in venue.funding.items() if bar >= skipped},
    )
