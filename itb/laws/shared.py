"""The laws of strategies on several symbols that trade one account."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.run import TradedMarket
from itb.errors import StrategyError
from itb.laws.causal import poison_after
from itb.laws.decisions import decisions, failure, reads_past_end
from itb.laws.money import TOLERANCE, check_money
from itb.laws.parity import CAUSES, OTHERS, difference
from itb.laws.result import LawResult
from itb.laws.strategy import BEYOND, TOLERANCE_OF_ORDERS, head, later, noise
from itb.ledger.difference import first_difference
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.backtest.result import SharedResult
    from itb.backtest.run import Backtest

_CUTS = 8


def check_shared_parity(
    test: Backtest, markets: Sequence[TradedMarket], start_ms: int | None = None, *, subject: str = ""
) -> LawResult:
    """Check that every way of stepping over the raster gives the run that backtrader's own loop gives.

    The same orders and fills of every symbol, and the account equal to the last bit at every step.
    """
    subject = subject or test.strategy.__name__
    plain = dataclasses.replace(test, stepping="plain").run_shared(markets, start_ms)
    for stepping in OTHERS:
        try:
            other = dataclasses.replace(test, stepping=stepping).run_shared(markets, start_ms)
        except StrategyError as error:
            evidence = f"runs with plain stepping, but with {stepping} stepping it fails: {failure(error)}"
            return LawResult("parity", subject, passed=False, evidence=f"{evidence} (cause: {CAUSES[stepping]})")
        apart = shared_difference(plain, other, ("plain stepping", f"{stepping} stepping"))
        if apart:
            return LawResult("parity", subject, passed=False, evidence=f"{apart} (cause: {CAUSES[stepping]})")
    evidence = (
        f"plain, dense, sparse and blind stepping over {len(plain.parts)} symbols sent the same {len(plain.orders)} "
        f"orders, filled {len(plain.fills)} alike and had the same account at each of {len(plain.clock)} steps"
    )
    figures = {"orders": len(plain.orders), "fills": len(plain.fills)}
    return LawResult("parity", subject, passed=True, evidence=evidence, figures=figures)


def shared_difference(one: SharedResult, other: SharedResult, names: tuple[str, str]) -> str:
    """Name the first thing in which two runs over the same markets differ; empty if they are the same."""
    for symbol, part in one.parts.items():
        apart = difference(part, other.parts[symbol], names)
        if apart:
            return f"{symbol}: {apart}"
    in_turn = first_difference(one.fills, other.fills, names=names)
    if in_turn is not None:
        return f"each symbol's fills are the same, their order is not: {in_turn}"
    wrong = np.flatnonzero((one.equity != other.equity) | (one.cash != other.cash))
    if len(wrong):
        step = int(wrong[0])
        where = f"the account at step {step} ({utc(one.clock.open_time[step])})"
        return f"fills are the same, but {where} is worth {one.equity[step]!r} and {other.equity[step]!r}"
    return ""


def check_shared_money(result: SharedResult, *, subject: str = "") -> LawResult:
    """Check each symbol's part by its fills, and that at every step the parts add up to the account.

    Within 1e-9 of the largest amount in the account, as :func:`itb.laws.money.check_money`.
    """
    gains = np.zeros(len(result.clock))
    for symbol, part in result.parts.items():
        own = check_money(
            part.bars, part.fills, start_cash=part.starting_cash, equity=part.equity, cash=part.cash,
            position=part.position, trades=part.trades, dust=part.dust, subject=subject or symbol,
        )  # fmt: skip
        if not own:
            return dataclasses.replace(own, evidence=f"{symbol}: {own.evidence}")
        row = np.searchsorted(part.bars.open_time, result.clock.open_time, side="right") - 1
        gains += np.where(row >= 0, part.equity[np.maximum(row, 0)] - part.starting_cash, 0.0)
    explained = result.starting_cash + gains
    scale = max(float(np.abs(values).max()) for values in (result.equity, result.cash, explained))
    off = np.abs(result.equity - explained)
    wrong = ~(off <= TOLERANCE * scale)
    subject = subject or "account"
    if wrong.any():
        step = int(wrong.argmax())
        where = f"equity at step {step} ({utc(result.clock.open_time[step])})"
        evidence = (
            f"{where} is {result.equity[step]:.12g}, its {len(result.parts)} symbols explain {explained[step]:.12g}"
        )
        return LawResult("money", subject, passed=False, evidence=evidence, figures={"step": step})
    evidence = (
        f"{len(result.fills)} fills of {len(result.parts)} symbols explain every one of {len(result.clock)} steps; "
        f"the largest rounding is {off.max():.1g}"
    )
    return LawResult("money", subject, passed=True, evidence=evidence, figures={"largest_difference": float(off.max())})


def check_shared_causal(
    test: Backtest,
    markets: Sequence[TradedMarket],
    start_ms: int | None = None,
    *,
    subject: str = "",
    seed: int = 0,
) -> LawResult:
    """Check that what is ordered at a step depends on no bar or score of any symbol after it.

    At steps where orders were sent, all later bars and scores of every symbol are once cut off and once replaced by
    noise, as :func:`itb.laws.strategy.check_strategy_causal` does.
    """
    subject = subject or test.strategy.__name__
    blind = dataclasses.replace(test, stepping="blind")
    try:
        whole = test.run_shared(markets, start_ms)
    except StrategyError as error:
        if not reads_past_end(error):
            raise
        evidence = f"it asks for a bar that is not there yet: {failure(error)}"
        return LawResult("causal", subject, passed=False, evidence=evidence)
    rng = np.random.default_rng(seed)
    tried = compared = 0
    for time in _cuts(whole, rng):
        before = {symbol: decisions(part, _row(part.bars.open_time, time)) for symbol, part in whole.parts.items()}
        for what, runner, world in (
            ("cut off", blind, [_cut(one, time) for one in markets]),
            ("noise", test, [_noisy(one, time, rng) for one in markets]),
        ):
            try:
                again = runner.run_shared(world, start_ms)
            except StrategyError as error:
                if what == "noise":
                    continue  # noise may be too wild for it; the same bars without a future are the judge
                evidence = f"when the bars after {utc(time)} are {what}, it fails: {failure(error)}"
                return LawResult("causal", subject, passed=False, evidence=evidence)
            tried += 1
            for symbol, part in again.parts.items():
                names = ("the run on all bars", "the run without them")
                now = decisions(part, _row(part.bars.open_time, time))
                apart = first_difference(before[symbol], now, names=names)
                compared += len(before[symbol])
                if apart is not None:
                    evidence = f"{symbol}: when the bars after {utc(time)} are {what}: {apart}"
                    return LawResult("causal", subject, passed=False, evidence=evidence, figures={"bar": apart.bar})
    evidence = f"{tried} changes of later bars and scores of all symbols changed none of {compared} earlier orders"
    return LawResult("causal", subject, passed=True, evidence=evidence, figures={"compared": compared})


def _row(times: np.ndarray[tuple[int], np.dtype[np.int64]], time: int) -> int:
    return int(np.searchsorted(times, time, side="right")) - 1


def _cuts(whole: SharedResult, rng: np.random.Generator) -> Iterator[int]:
    """Draw times where orders were sent and every symbol had bars: without any it could not be run at all."""
    listed = max(int(part.bars.open_time[part.start]) for part in whole.parts.values())
    sent = {int(whole.parts[order.symbol].bars.open_time[order.bar]) for order in whole.orders}
    times = np.array(sorted(time for time in sent if listed <= time < int(whole.clock.open_time[-1])), dtype=np.int64)
    yield from sorted(map(int, rng.choice(times, min(_CUTS, len(times)), replace=False)))


def _cut(one: TradedMarket, time: int) -> TradedMarket:
    row = _row(one.bars.open_time, time)
    scores = {name: head(source, one.bars, row) for name, source in one.scores.items()}
    return dataclasses.replace(one, bars=one.bars.head(row + 1), scores=scores)


def _noisy(one: TradedMarket, time: int, rng: np.random.Generator) -> TradedMarket:
    row = _row(one.bars.open_time, time)
    world = poison_after(one.bars.head(row + 1 + BEYOND), row, rng)
    return dataclasses.replace(
        one, bars=world, scores={name: noise(source, world, row, rng) for name, source in one.scores.items()}
    )


def check_shared_warmup(
    test: Backtest, markets: Sequence[TradedMarket], start_ms: int | None = None, *, subject: str = ""
) -> LawResult:
    """Check that the same decisions are taken from ``start_ms`` on with half of the earlier bars of every symbol."""
    subject = subject or test.strategy.__name__
    firsts, lasts = zip(*((int(one.bars.open_time[0]), int(one.bars.open_time[-1])) for one in markets), strict=True)
    first = min(firsts)
    begin = (max(firsts) + min(lasts)) // 2 if start_ms is None or start_ms <= first else start_ms
    middle = (first + begin) // 2
    blind = dataclasses.replace(test, stepping="blind")
    long = blind.run_shared(markets, begin)
    short = blind.run_shared([later(one, middle, test.venue) for one in markets], begin)
    compared = 0
    for symbol, part in long.parts.items():
        ours, theirs = decisions(part), decisions(short.parts[symbol])
        names = ("all earlier bars", "half of them")
        apart = first_difference(ours, theirs, names=names, tolerance=TOLERANCE_OF_ORDERS)
        compared += len(ours)
        if apart is not None:
            return LawResult("warmup", subject, passed=False, evidence=f"{symbol}: {apart}")
    evidence = f"all earlier bars and half of them led to the same {compared} orders of {len(long.parts)} symbols"
    return LawResult("warmup", subject, passed=True, evidence=evidence, figures={"compared": compared})
