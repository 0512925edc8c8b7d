"""The laws on one strategy, in the order in which a failure makes the next ones pointless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from itb.errors import StrategyError
from itb.indicators.score import ArrayScores
from itb.laws.batch_step import check_batch_step, check_shared_batch_step
from itb.laws.money import check_money
from itb.laws.parity import check_parity
from itb.laws.reproducible import check_reproducible
from itb.laws.shared import check_shared_causal, check_shared_money, check_shared_parity, check_shared_warmup
from itb.laws.strategy import check_strategy_causal, check_strategy_warmup

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult, SharedResult
    from itb.backtest.run import Backtest, TradedMarket
    from itb.indicators.score import ScoreSource
    from itb.laws.result import LawResult
    from itb.market.bars import Bars, FloatArray

Verdict = Literal["holds", "BROKEN", "not checked"]
HOLDS: Verdict = "holds"
BROKEN: Verdict = "BROKEN"
UNCHECKED: Verdict = "not checked"
_FEWEST_ORDERS = 6
_OVERSHOOT = 1.25


@dataclass(frozen=True)
class Finding:
    """One law on one subject, as it is shown."""

    law: str
    subject: str
    verdict: Verdict
    evidence: str


def of(result: LawResult) -> Finding:
    """Word a result; one that compared nothing has proved nothing.

    >>> from itb.laws.result import LawResult
    >>> of(LawResult("causal", "x", passed=True, evidence="nothing came", figures={"compared": 0})).verdict
    'not checked'
    """
    proved = HOLDS if result.figures.get("compared", 1) else UNCHECKED
    return Finding(result.law, result.subject, proved if result.passed else BROKEN, result.evidence)


def check_strategy(
    test: Backtest, bars: Bars, sources: Mapping[str, ArrayScores], columns: frozenset[str]
) -> Iterator[Finding]:
    """Run laws 1, 2, 3, 4, 6 and 7 on a strategy that reads ``columns`` of the scores it is given.

    A strategy whose scores leave it nearly idle is tried on made-up scores that wander through their whole range:
    these laws hold for any scores. Raises :class:`itb.errors.StrategyError` for a strategy that cannot run at all.
    """
    name = test.strategy.__name__
    told = _told(sources, columns)
    causal_first = check_strategy_causal(test, bars, *told)
    try:
        run = test.run(bars, *told)
    except StrategyError:
        yield of(causal_first)
        yield Finding("parity", name, UNCHECKED, "it does not run to the end; see the causal law")
        return
    if columns and len(run.orders) < _FEWEST_ORDERS:
        told = _told({name: made_up(source, seed) for seed, (name, source) in enumerate(sources.items())}, columns)
        run = test.run(bars, *told)
        causal_first = _on_made_up(check_strategy_causal(test, bars, *told))
    again = check_reproducible(lambda: _kept(test.run(bars, *told)), subject=name)
    yield of(again)
    if not again:
        yield Finding("causal", name, UNCHECKED, "its decisions change from run to run; seed what is random")
        return
    yield of(check_batch_step(test, bars, *told))
    if not run.orders:
        yield Finding("causal", name, UNCHECKED, f"it sent no order on {len(bars)} bars: there is nothing to compare")
        return
    yield of(causal_first)
    yield of(check_strategy_warmup(test, bars, *told))
    yield of(check_parity(test, bars, *told))
    money = check_money(
        bars,
        run.fills,
        start_cash=run.starting_cash,
        equity=run.equity,
        cash=run.cash,
        position=run.position,
        trades=run.trades,
        dust=run.dust,
        subject=name,
    )
    yield of(money)


def check_shared_strategy(
    test: Backtest, markets: Sequence[TradedMarket], columns: frozenset[str]
) -> Iterator[Finding]:
    """Run the same laws on a strategy and all symbols that share an account, as :func:`check_strategy` on one."""
    name = f"{test.strategy.__name__} on {len(markets)} symbols"
    start = _shared_start(markets, columns)
    causal = check_shared_causal(test, markets, start, subject=name)
    try:
        run = test.run_shared(markets, start)
    except StrategyError:
        yield of(causal)
        yield Finding("parity", name, UNCHECKED, "it does not run to the end; see the causal law")
        return
    if columns and len(run.orders) < _FEWEST_ORDERS * len(markets):
        markets = [
            replace(one, scores={key: made_up(_kept_as(source), place) for key, source in one.scores.items()})
            for place, one in enumerate(markets)
        ]
        start = _shared_start(markets, columns)
        run = test.run_shared(markets, start)
        causal = _on_made_up(check_shared_causal(test, markets, start, subject=name))
    again = check_reproducible(lambda: _kept(test.run_shared(markets, start)), subject=name)
    yield of(again)
    if not again:
        yield Finding("causal", name, UNCHECKED, "its decisions change from run to run; seed what is random")
        return
    yield of(check_shared_batch_step(test, markets, start, subject=name))
    if not run.orders:
        yield Finding("causal", name, UNCHECKED, f"it sent no order in {len(run.clock)} steps: nothing to compare")
        return
    yield of(causal)
    yield of(check_shared_warmup(test, markets, start, subject=name))
    yield of(check_shared_parity(test, markets, start, subject=name))
    yield of(check_shared_money(run, subject=name))


def _shared_start(markets: Sequence[TradedMarket], columns: frozenset[str]) -> int | None:
    """Find the first bar at which the scores of any symbol speak."""
    known = [_told({key: _kept_as(source) for key, source in one.scores.items()}, columns)[1] for one in markets]
    return min((time for time in known if time is not None), default=None)


def _kept_as(source: ScoreSource) -> ArrayScores:
    assert isinstance(source, ArrayScores)
    return source


def _told(sources: Mapping[str, ArrayScores], columns: frozenset[str]) -> tuple[Mapping[str, ArrayScores], int | None]:
    """Give the scores, and the first bar at which each of ``columns`` has had one, as a backtest takes them."""
    known = [np.flatnonzero(np.isfinite(source.values)) for name, source in sources.items() if name in columns]
    first = max((int(rows[0]) for rows in known if len(rows)), default=None)
    times = next((source.open_time for source in sources.values()), None)
    return sources, None if first is None or times is None else int(times[first])


def _kept(run: BacktestResult | SharedResult) -> dict[str, Any]:
    return {"fills": run.fills, "trades": run.trades, "equity": run.equity}


def _on_made_up(result: LawResult) -> LawResult:
    return replace(result, evidence=f"{result.evidence} (on made-up scores: its model's led to hardly an order)")


def made_up(source: ArrayScores, seed: int = 0) -> ArrayScores:
    """Give scores that wander slowly through the declared range, NaN where the source begins with NaN.

    They stay at each end for every sixth bar or so: flags are up there. A range without ends is taken to reach five
    times as far as the scores did, or to 1 where they said nothing.
    """
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0, 1, len(source.values))
    wander: FloatArray = np.empty_like(shocks)
    state = 0.0
    for bar, shock in enumerate(shocks.tolist()):
        state = 0.9 * state + shock
        wander[bar] = state
    share = np.clip(0.5 + _OVERSHOOT * (1 / (1 + np.exp(-wander)) - 0.5), 0, 1)
    known = source.values[np.isfinite(source.values)]
    reach = 5 * float(np.abs(known).max()) if len(known) and np.abs(known).max() > 0 else 1.0
    low = source.low if np.isfinite(source.low) else -reach
    high = source.high if np.isfinite(source.high) else reach
    values = np.where(share < 1, low + share * (high - low), high)
    begins = int(np.isfinite(source.values).argmax()) if len(known) else len(values) // 2
    values[:begins] = np.nan
    return replace(source, values=values)
