"""The sections of a config file about what happens to scores between the models and the strategy."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from itb.config.sections import Part, Section
from itb.config.values import Count, SpanValue
from itb.market.span import Span


class AbstainSection(Section):
    """Let a model say nothing (NaN) about rows that lie far from everything it learned from."""

    dissimilarity: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="From which distance to the nearest training row on, in mean distances of training rows from each "
        "other (FreqAI's dissimilarity index; 1 is usual); 0: models always speak.",
    )
    most_rows: int = Field(
        default=1_000, ge=2, description="So many training rows, drawn by the model's seed, are kept with each model."
    )


class CalibrationSection(Section):
    """Turn probabilities into ones that come true as often as they say."""

    method: Literal["none", "platt", "isotonic", "beta"] = Field(
        default="none",
        description="How, learned anew at each refit from out-of-sample scores of earlier blocks whose labels were "
        "known by then; the scores as they were stay in `<column>_raw`.",
    )
    min_rows: int = Field(
        default=500, ge=2, description="Scores are empty until so many earlier ones have met a known label."
    )


class ConformalSection(Section):
    """Add intervals that hold the label as often as promised to the scores of models that estimate a number."""

    method: Literal["none", "split", "adaptive"] = Field(
        default="none",
        description="Columns `<column>_low` and `<column>_high`, as wide as the errors known so far demand; "
        '"adaptive" also widens after misses and narrows after hits.',
    )
    coverage: float = Field(default=0.9, gt=0, lt=1, description="Share of labels that shall lie inside.")
    rate: float = Field(default=0.02, gt=0, allow_inf_nan=False, description="How fast adaptive intervals adapt.")
    window: Count = Field(default=1_000, description="So many of the newest errors decide the width; 0: all.")
    min_rows: int = Field(default=100, ge=1, description="Intervals are empty until so many errors are known.")


class StackPart(Part):
    """A model that learns from the out-of-sample scores of the others, walked forward over them: `<label>_stack`."""

    selector: ClassVar[str | None] = "algorithm"

    algorithm: str = Field(default="none", description='Name of the algorithm, or "none"; its own keys follow.')
    inputs: tuple[str, ...] = Field(
        default=(), description="Score columns that it learns from; empty takes every learned column."
    )
    label: str = Field(default="", description="Name of the label that it learns; empty takes the first.")
    train: SpanValue = Field(
        default=Span.parse("90d"), description="From when on it is fitted: so long after all inputs speak."
    )
    refit_every: SpanValue = Field(default=Span.parse("30d"), description="How long it speaks before the next one.")
    min_train_rows: int = Field(default=200, ge=2, description="Fewer known rows than this train no stack.")
    seed: Count = Field(default=0, description="Seed of everything random in its training.")


class ThresholdsPart(Part):
    """Flags to buy and to sell, `<column>_buy` and `<column>_sell`, by thresholds chosen on what came before."""

    selector: ClassVar[str | None] = "policy"

    policy: str = Field(default="none", description='How thresholds are chosen, or "none"; its own keys follow.')
    column: str = Field(default="", description="Score column that is flagged; empty takes the stack, or the only one.")
    horizon: Count = Field(
        default=0,
        description="How many bars ahead the returns lie that thresholds are chosen by; 0: the first label's.",
    )
    refit_every: SpanValue = Field(default=Span.parse("30d"), description="How long thresholds hold.")
    lookback: SpanValue | None = Field(
        default=None, examples=["90d"], description="How much of what came before is looked at; not set: all of it."
    )


class ShadowPart(Part):
    """A trigger rule that `itb shadows` lets trade on paper; repeat `[[shadows]]` for more.

    They share column, horizon, refits and lookback of `[thresholds]`. None: every policy that needs no key.
    """

    selector: ClassVar[str | None] = "policy"

    policy: str = Field(description="How its thresholds are chosen; the policy's own keys follow.")
    name: str | None = Field(
        default=None, examples=["careful"], description="What it is called, in place of the policy."
    )
