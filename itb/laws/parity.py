"""Law 4, parity: the same strategy on the same bars takes the same decisions however it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import StrategyError
from itb.laws.decisions import decisions, failure
from itb.laws.result import LawResult
from itb.ledger.difference import first_difference
from itb.market.bars import Bars, utc

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.backtest.run import Backtest
    from itb.engine.cerebro import Stepping
    from itb.indicators.score import ScoreSource

LAW = "parity"
OTHERS: tuple[Stepping, ...] = ("dense", "sparse", "blind")
CAUSES: Mapping[str, str] = {
    "dense": "next() counts on something that dense stepping leaves out",
    "sparse": "next_decision() called a bar idle on which next() acts",
    "blind": "where later bars are loaded, the strategy or one of its indicators makes use of them, "
    "or once() and next() of an indicator disagree",
}


def check_parity(
    test: Backtest,
    bars: Bars,
    scores: Mapping[str, ScoreSource] | None = None,
    start_ms: int | None = None,
    *,
    subject: str = "",
) -> LawResult:
    """Check that every way of stepping over the bars gives the run that backtrader's own loop gives.

    Tried are ``dense``, ``sparse`` and ``blind`` stepping (see :mod:`itb.engine.cerebro`) against ``plain``: the same
    orders sent at the same bars, the same fills, and cash, position and equity equal to the last bit on every bar.
    The first difference is told with its cause.

    >>> from itb.backtest.run import Backtest
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.strategies.base import Strategy
    >>> class BuyOnce(Strategy):
    ...     def next(self):
    ...         if len(self.data) == 20:
    ...             self.buy(size=1)
    >>> print(check_parity(Backtest(BuyOnce), sinus(bars=50)))  # doctest: +ELLIPSIS
    parity: BuyOnce: ok: plain, dense, sparse and blind stepping sent the same 1 orders, ...
    """
    subject = subject or test.strategy.__name__
    plain = dataclasses.replace(test, stepping="plain").run(bars, scores, start_ms)
    sparse_visited = 0
    for stepping in OTHERS:
        try:
            other = dataclasses.replace(test, stepping=stepping).run(bars, scores, start_ms)
        except StrategyError as error:
            evidence = f"runs with plain stepping, but with {stepping} stepping it fails: {failure(error)}"
            return LawResult(LAW, subject, passed=False, evidence=f"{evidence} (cause: {CAUSES[stepping]})")
        if stepping == "sparse":
            sparse_visited = other.visited
        apart = difference(plain, other, ("plain stepping", f"{stepping} stepping"))
        if apart:
            return LawResult(LAW, subject, passed=False, evidence=f"{apart} (cause: {CAUSES[stepping]})")
    evidence = (
        f"plain, dense, sparse and blind stepping sent the same {len(plain.orders)} orders, filled "
        f"{len(plain.fills)} alike and had the same account on each of {len(bars)} bars"
    )
    if sparse_visited < len(bars):
        evidence += f", {sparse_visited} of which sparse stepping visited"
    figures = {"orders": len(plain.orders), "fills": len(plain.fills), "visited": sparse_visited}
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures=figures)


def difference(one: BacktestResult, other: BacktestResult, names: tuple[str, str]) -> str:
    """Name the first thing in which two runs over the same bars differ; empty if they are the same."""
    sent = first_difference(decisions(one), decisions(other), names=names)
    if sent is not None:
        return f"decisions differ: {sent}"
    filled = first_difference(one.fills, other.fills, names=names)
    if filled is not None:
        return f"decisions are the same, fills differ: {filled}"
    for what in ("cash", "position", "equity"):
        ours, theirs = getattr(one, what), getattr(other, what)
        wrong = np.flatnonzero(ours != theirs)
        if len(wrong):
            bar = int(wrong[0])
            where = f"{what} at bar {bar} ({utc(one.bars.open_time[bar])})"
            return f"fills are the same, but {where} is {ours[bar]!r} in {names[0]}, {theirs[bar]!r} in {names[1]}"
    if one.blocked != other.blocked:
        return f"the account is the same, but protections held back {one.blocked} and {other.blocked}"
    return ""
