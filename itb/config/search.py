"""The section of a search: how much is tried, by whom, for what, and which settings vary."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from itb.config.sections import Section

SamplerName = Literal["tpe", "grid", "random", "gp", "cmaes", "nsga2", "qmc"]


class SearchSection(Section):
    """What `itb optimize` tries. `[search.space]` says which settings vary: see the page on searching."""

    trials: int = Field(default=500, ge=1, description="Trials in all: model sides times trade sides.")
    trade_sides: int = Field(
        default=25, ge=1, description="Sets of strategy settings tried on the scores of one trained model side."
    )
    sampler: SamplerName = Field(
        default="tpe", description='Who proposes: "tpe" learns; "grid" takes every combination.'
    )
    objectives: tuple[str, ...] = Field(
        default=("sharpe",), min_length=1, description="What is striven for; the first one ranks, several make a front."
    )
    windows: int = Field(
        default=12, ge=2, description="Rolling windows of the traded days, for nested choice and for pruning."
    )
    min_trades: int = Field(default=0, ge=0, description="Fewest closed trades in every window; 0 asks for none.")
    max_drawdown: float = Field(
        default=1.0, gt=0, le=1, description="Deepest fall of daily equity allowed, a fraction; 1 allows any."
    )
    prune: bool = Field(default=False, description="Stop trials early that are in the worst quarter after a third.")
    seed: int = Field(default=0, ge=0, description="Seed of every proposal and of the verdict's resampling.")
    confirm: int = Field(default=5, ge=1, description="Best trials that are run again in backtrader and compared.")
    permuted_labels: int = Field(
        default=19, ge=0, description="Models of the best kind trained on permuted labels, for a p-value; 0 for none."
    )
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="Setting -> what it may be; empty takes what the strategy and the model offer.",
    )
