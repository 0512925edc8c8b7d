"""Several symbols on one account: from a config to what one backtest of all of them computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket, run_shared_scenarios
from itb.engine.venue import Venue
from itb.ledger import baselines, breakeven
from itb.ledger.metrics import Metrics, compute
from itb.runs.inputs import inputs
from itb.runs.looks import earlier_looks
from itb.runs.market import load_market
from itb.runs.model import grades, score_columns
from itb.runs.outcome import metrics_of
from itb.runs.strategy import choose_strategy
from itb.runs.venue import build_venue

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult, SharedResult
    from itb.backtest.run import Scenarios
    from itb.ledger.baselines import SharedBaseline
    from itb.ledger.breakeven import BreakEven
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace


@dataclass(frozen=True, eq=False)
class SharedOutcome:
    """Everything one backtest of several symbols computed, before it is written or drawn.

    ``traded``, ``markets`` and ``scored`` are in the order of ``data.symbols``; ``scored`` is empty for a strategy that
    reads no score, ``graded`` has each learned column by its symbol. ``cash`` are the figures of holding none, ``hold``
    those of an equal part of the cash in each symbol.
    """

    run_id: str
    markets: tuple[Market, ...]
    traded: tuple[TradedMarket, ...]
    scored: tuple[ScoredMarket, ...]
    scenarios: Scenarios[SharedResult]
    metrics: Metrics
    other_metrics: Metrics | None
    by_symbol: Mapping[str, Metrics]
    hold: SharedBaseline
    cash: Metrics
    edge: BreakEven
    graded: tuple[tuple[str, WalkForwardResult, ModelQuality], ...]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    looks: int

    @property
    def result(self) -> SharedResult:
        """The headline run."""
        return self.scenarios.headline


def compute_shared(workspace: Workspace, run_id: str, command: str = "backtest") -> SharedOutcome:
    """Compute the backtest of all symbols on one account; writes nothing but cached training and hold-outs' entries."""
    config = workspace.config
    markets = tuple(load_market(workspace, symbol, run_id=run_id, command=command) for symbol in config.data.symbols)
    chosen = choose_strategy(workspace, *(market.bars for market in markets))
    scored = tuple(score_columns(workspace, market) for market in markets) if chosen.reads_scores else ()
    start_ms = min((one.first_score(chosen.columns) for one in scored), default=None)
    traded = tuple(
        TradedMarket(market.bars, scored[place].scores if scored else {}, build_venue(config, market))
        for place, market in enumerate(markets)
    )
    workspace.report(0, 1, "backtesting")
    venue = Venue(config.costs)
    test = Backtest(chosen.strategy, chosen.parameters, config.backtest.cash, venue, stepping=config.backtest.engine)
    scenarios = run_shared_scenarios(test, traded, start_ms)
    workspace.report(1, 1, "backtesting")
    result = scenarios.headline
    nothing = np.full(len(result.clock), result.starting_cash)
    return SharedOutcome(
        run_id=run_id,
        markets=markets,
        traded=traded,
        scored=scored,
        scenarios=scenarios,
        metrics=shared_metrics(result, breakeven.slippage_paid(result.fills, result.market_prices)),
        other_metrics=None if scenarios.other is None else shared_metrics(scenarios.other),
        by_symbol={
            symbol: metrics_of(part, breakeven.slippage_paid(part.fills, part.market_prices))
            for symbol, part in result.parts.items()
        },
        hold=baselines.hold_all(
            [market.bars for market in markets],
            config.costs,
            start_cash=result.starting_cash,
            start_bars=[part.start for part in result.parts.values()],
            clock=result.clock,
            start_step=result.start,
            funding=[one.venue.funding if one.venue else {} for one in traded],
        ),
        cash=compute(
            result.clock, nothing, 0 * nothing, (), (), start_cash=result.starting_cash, start_bar=result.start
        ),
        edge=breakeven.break_even(
            result.fills, result.market_prices, start_cash=result.starting_cash, final_equity=result.end_value
        ),
        graded=tuple(
            (one.market.bars.symbol, walked, quality)
            for one in scored
            for walked, quality in zip(one.walked, grades(one), strict=True)
        ),
        settings=chosen.in_force,
        inputs=_inputs(workspace, markets, chosen.strategy),
        looks=max(_looks(workspace, market, part) for market, part in zip(markets, result.parts.values(), strict=True)),
    )


def shared_metrics(result: SharedResult, slippage: float = float("nan")) -> Metrics:
    """Compute the figures of an account that holds several symbols."""
    return compute(
        result.clock,
        result.equity,
        result.held.astype(np.float64),
        result.fills,
        result.trades,
        start_cash=result.starting_cash,
        start_bar=result.start,
        slippage=slippage,
    )


def _looks(workspace: Workspace, market: Market, part: BacktestResult) -> int:
    return earlier_looks(workspace, market, market.bars.slice(part.start, None))


def _inputs(workspace: Workspace, markets: Sequence[Market], strategy: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for market in markets:
        own = inputs(workspace.config, market, strategy)
        of_market = ("bars", "finer bars", "funding rates")
        found |= {f"{name} of {market.bars.symbol}" if name in of_market else name: own[name] for name in own}
    return found
