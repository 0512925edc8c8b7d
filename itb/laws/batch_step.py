"""Law 3, batch = step: ``once()`` and ``next()`` of a backtrader indicator give the same line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.lines import lines_below
from itb.errors import StrategyError
from itb.laws.columns import differ, scales
from itb.laws.decisions import failure
from itb.laws.result import LawResult
from itb.market.bars import Bars, FloatArray, utc
from itb.strategies.base import Strategy

if TYPE_CHECKING:
    from itb.engine.cerebro import Stepping
    from itb.indicators.score import ScoreSource

    Scores = Mapping[str, ScoreSource]

LAW = "batch = step"
TOLERANCE = 1e-12  # of the value or the line's scale
_BATCHES: tuple[Stepping, ...] = ("plain", "dense")


def check_indicator(
    make: Callable[[Any], Any], bars: Bars, scores: Scores | None = None, *, subject: str = ""
) -> LawResult:
    """Check one indicator; ``make`` builds it from a data feed, so an indicator class will do.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.indicators.score import ArrayScores, MLScore
    >>> bars = sinus(bars=50)
    >>> print(check_indicator(MLScore, bars, {"up": ArrayScores("up", bars.open_time, bars.volume)}))
    batch = step: MLScore: ok: 1 lines of 1 indicators had the same value at each of 50 bars
    """
    holder = type("Holder", (Strategy,), {"__init__": _holding(make), "__module__": __name__})
    name = subject or getattr(make, "__name__", type(make).__name__)
    return check_batch_step(Backtest(holder), bars, scores, subject=name)


def _holding(make: Callable[[Any], Any]) -> Callable[[Any], None]:
    def init(self: Any) -> None:
        Strategy.__init__(self)
        self.held_indicator = make(self.data)

    return init


def check_batch_step(
    test: Backtest,
    bars: Bars,
    scores: Scores | None = None,
    start_ms: int | None = None,
    *,
    subject: str = "",
) -> LawResult:
    """Check every indicator that a strategy makes: computed in one go, and bar by bar without later bars.

    Every line, those of indicators inside indicators included, is compared at every bar, to 1e-12 of its value or of
    its root mean square; no NaN may come or go. ``figures["compared"]`` is 0 for a strategy without indicators.
    """
    return _compared(test, lambda other: other.run(bars, scores, start_ms), subject, bars)


def check_shared_batch_step(
    test: Backtest, markets: Sequence[TradedMarket], start_ms: int | None = None, *, subject: str = ""
) -> LawResult:
    """Check the indicators of a strategy on several feeds as :func:`check_batch_step` does those on one."""
    return _compared(test, lambda other: other.run_shared(markets, start_ms), subject)


def _compared(test: Backtest, run: Callable[[Backtest], object], subject: str, bars: Bars | None = None) -> LawResult:
    subject = subject or test.strategy.__name__
    try:
        stepped = dict(_lines(test, "blind", run))
    except StrategyError as error:
        evidence = f"bar by bar, without later bars, it fails: {failure(error)}"
        return LawResult(LAW, subject, passed=False, evidence=evidence)
    for stepping in _BATCHES:
        for name, line in _lines(test, stepping, run):
            count = min(len(line), len(stepped[name]))  # backtrader keeps a value or two to spare
            batch, steps = line[:count], stepped[name][:count]
            one, other = batch[:, np.newaxis], steps[:, np.newaxis]
            wrong = np.flatnonzero(differ(other, one, TOLERANCE, scales(one)))
            if len(wrong):
                row = int(wrong[0])
                when = "" if bars is None else f" ({utc(bars.open_time[row])})"
                evidence = (
                    f"{name} at bar {row}{when} is {batch[row]:.12g} from once() and {steps[row]:.12g} from next()"
                )
                figures = {"bar": row, "values_wrong": len(wrong)}
                return LawResult(LAW, subject, passed=False, evidence=evidence, figures=figures)
    indicators = len({name.rpartition(" line ")[0] for name in stepped})
    count = max((len(values) for values in stepped.values()), default=0) if bars is None else len(bars)
    evidence = f"{len(stepped)} lines of {indicators} indicators had the same value at each of {count} bars"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"compared": len(stepped)})


def _lines(test: Backtest, stepping: Stepping, run: Callable[[Backtest], object]) -> Iterator[tuple[str, FloatArray]]:
    seen: list[Any] = []

    def stop(self: Any) -> None:
        seen.append(self)
        test.strategy.stop(self)

    watched = type(test.strategy.__name__, (test.strategy,), {"stop": stop, "__module__": test.strategy.__module__})
    run(dataclasses.replace(test, strategy=watched, stepping=stepping))
    for number, indicator in enumerate(seen[0].getindicators()):
        for place, line in enumerate(lines_below(indicator)):
            values = np.array(line.array, dtype=np.float64)
            yield f"{type(indicator).__name__} {number} line {place}", values
