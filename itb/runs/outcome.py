"""What one backtest computed, before it is written or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.ledger.metrics import compute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.backtest.result import BacktestResult
    from itb.backtest.run import Scenarios
    from itb.indicators.score import ScoreSource
    from itb.ledger.baselines import Baseline
    from itb.ledger.breakeven import BreakEven
    from itb.ledger.metrics import Metrics
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything one backtest computed, before it is written or drawn."""

    run_id: str
    market: Market
    scenarios: Scenarios[BacktestResult]
    metrics: Metrics
    other_metrics: Metrics | None
    hold: Baseline
    cash: Baseline
    edge: BreakEven
    scored: ScoredMarket | None
    qualities: tuple[ModelQuality, ...]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    looks: int

    @property
    def result(self) -> BacktestResult:
        """The headline run."""
        return self.scenarios.headline

    @property
    def scores(self) -> Mapping[str, ScoreSource]:
        """The score columns that the strategy was given."""
        return {} if self.scored is None else self.scored.scores

    @property
    def walked(self) -> tuple[WalkForwardResult, ...]:
        """The walk-forward of each learned column; ``qualities`` has their grades, in the same order."""
        return () if self.scored is None else self.scored.walked


def metrics_of(result: BacktestResult, slippage: float = float("nan")) -> Metrics:
    """Compute the figures of a run; ``slippage`` is what its fills paid over the market's prices, where known."""
    return compute(
        result.bars,
        result.equity,
        result.position,
        result.fills,
        result.trades,
        start_cash=result.starting_cash,
        start_bar=result.start,
        dust=result.dust,
        slippage=slippage,
    )
