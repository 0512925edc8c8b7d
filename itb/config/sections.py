"""The sections of a config file: every key with its type, its default and its meaning, said once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from itb.config.values import (
    ColumnName,
    Count,
    Folder,
    Moment,
    Number,
    SpanValue,
    Symbol,
    TimeframeValue,
    plain_moment,
    to_ms,
)
from itb.market.instrument import Instrument
from itb.market.span import Span
from itb.market.timeframe import Timeframe


class Section(BaseModel):
    """A table of settings: frozen, unknown keys refused, values never repeated by pydantic's own messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Part(BaseModel):
    """A table that names a part and passes its other keys to it; they are checked when the part is built."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    selector: ClassVar[str | None] = None

    @property
    def chosen(self) -> str:
        """The part's name in its registry."""
        assert self.selector is not None
        return str(getattr(self, self.selector))

    @property
    def settings(self) -> dict[str, Any]:
        """The keys passed to the part."""
        return dict(self.model_extra or {})


class DataSection(Section):
    """What is traded, where its bars lie, and which stretch of time is looked at."""

    exchange: str = Field(default="synthetic", description='Where bars come from; "synthetic" is the built-in market.')
    symbols: tuple[Symbol, ...] = Field(
        default=("BTC/USDT",),
        min_length=1,
        description='Markets, such as "BTC/USDT" (spot) or "BTC/USDT:USDT" (perpetual).',
    )
    timeframe: TimeframeValue = Field(default=Timeframe.parse("1h"), description='Length of a bar, "1m" to "1w".')
    file: Folder | None = Field(
        default=None,
        examples=["BTCUSDT-1h.csv"],
        description="A CSV, Parquet or Feather file that the bars are read from, instead of the store.",
    )
    root: Folder = Field(default=Path("data"), description="Folder of the bar store, seen from the config file.")
    gaps: Literal["refuse", "flat", "drop"] = Field(
        default="refuse",
        description='Missing bars: "refuse" stops the run, "flat" repeats the last close with volume 0, '
        '"drop" leaves them out.',
    )
    start: Moment | None = Field(
        default=None,
        validation_alias="from",
        serialization_alias="from",
        examples=["2022-01-01"],
        description="First open time that is used (UTC).",
    )
    stop: Moment | None = Field(
        default=None,
        validation_alias="to",
        serialization_alias="to",
        examples=["2024-01-01"],
        description="Bars that open at this time or later are not used (UTC).",
    )
    holdout_from: Moment | None = Field(
        default=None,
        examples=["2023-08-01"],
        description="Start of the sealed hold-out: research stops before it unless it is asked for.",
    )
    detail_timeframe: TimeframeValue | None = Field(
        default=None,
        examples=["1m"],
        description="Finer stored bars that settle what happened first inside a bar; not set: the finest stored.",
    )

    @property
    def start_ms(self) -> int | None:
        """``from`` in UTC milliseconds."""
        return to_ms(self.start)

    @property
    def stop_ms(self) -> int | None:
        """``to`` in UTC milliseconds."""
        return to_ms(self.stop)

    @property
    def holdout_ms(self) -> int | None:
        """``holdout_from`` in UTC milliseconds."""
        return to_ms(self.holdout_from)

    @property
    def is_before_holdout(self) -> bool:
        """Whether everything that is used ends before the hold-out begins."""
        return self.stop_ms is not None and self.holdout_ms is not None and self.stop_ms <= self.holdout_ms

    @property
    def is_synthetic(self) -> bool:
        """Whether bars come from the built-in market."""
        return self.exchange == "synthetic" and self.file is None

    @field_validator("symbols")
    @classmethod
    def _refuse_repeats(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        repeated = next((symbol for symbol in symbols if symbols.count(symbol) > 1), None)
        if repeated is not None:
            raise ValueError(f"expected each symbol once, {repeated} is there twice")
        return symbols

    @model_validator(mode="after")
    def _refuse_impossible_times(self) -> Self:
        refuse_order("from", self.start, "to", self.stop)
        refuse_order("from", self.start, "holdout_from", self.holdout_from)
        if self.file is not None and len(self.symbols) > 1:
            raise ValueError(f"file holds the bars of one symbol, {len(self.symbols)} are asked for; import them")
        detail = self.detail_timeframe
        if detail is not None and (detail == self.timeframe or not self.timeframe.is_multiple_of(detail)):
            raise ValueError(f"detail_timeframe must divide timeframe {self.timeframe}, was {detail}")
        return self


class SyntheticPart(Part):
    """The built-in market, used when ``data.exchange`` is ``"synthetic"``."""


class InstrumentSection(Section):
    """Rounding rules of the venue, for imported and synthetic bars."""

    tick: Number = Field(default=Instrument.tick, gt=0, description="Smallest step of a price, in quote.")
    step: Number = Field(default=Instrument.step, gt=0, description="Smallest step of a quantity, in base.")
    min_qty: Number = Field(default=Instrument.min_qty, ge=0, description="Smallest quantity of an order, in base.")
    min_notional: Number = Field(
        default=Instrument.min_notional, ge=0, description="Smallest worth of an order, in quote."
    )

    def instrument(self, symbol: str) -> Instrument:
        """Give the rules of one market."""
        return Instrument(symbol, self.tick, self.step, self.min_qty, self.min_notional)


class FeaturePart(Part):
    """One family of features; repeat ``[[features]]`` for more."""

    selector: ClassVar[str | None] = "family"

    family: str = Field(
        description="Name of the family, or file:name of a feature in one of `plugins.files`; its own keys follow."
    )
    prefix: str | None = Field(
        default=None,
        examples=["spot"],
        description="Put before the name of every column, with an underscore; not set: that of the source, if any.",
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        examples=["eth"],
        description="Compute from the columns of this source instead of the main bars.",
    )
    coins: tuple[str, ...] | None = Field(
        default=None,
        examples=[["eth", "sol"]],
        description="Sources from whose columns the family is computed as well.",
    )
    timeframes: tuple[TimeframeValue, ...] | None = Field(
        default=None,
        examples=[["4h", "1d"]],
        description="Longer bars on which the family is computed as well; a value is known when its long bar closes.",
    )
    shifts: tuple[int, ...] | None = Field(
        default=None,
        examples=[[1, 2]],
        description="How many bars ago (of its own timeframe) every column is given as well.",
    )

    @field_validator("coins", "timeframes", "shifts")
    @classmethod
    def _refuse_same_twice(cls, items: tuple[object, ...] | None) -> tuple[object, ...] | None:
        repeated = next((item for item in items or () if (items or ()).count(item) > 1), None)
        if repeated is not None:
            raise ValueError(f"expected each once, {repeated} is there twice")
        return items


class LabelPart(Part):
    """What the model learns to foresee."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(default="future_return", description="Name of the label; its own keys follow.")


class LabelsPart(LabelPart):
    """One of several labels in one run: repeat ``[[labels]]``, in place of ``[label]``; it has the same keys.

    Every model learns every label, unless ``labels`` of the model names some. A score column is called
    ``<label>_<model>``, so each label needs a name of its own: ``alias`` gives one.
    """


class ModelPart(Part):
    """The algorithm that learns it."""

    selector: ClassVar[str | None] = "algorithm"

    algorithm: str = Field(default="lightgbm", description="Name of the algorithm; its own keys follow.")
    seed: Count = Field(default=0, description="Seed of everything random in training.")
    name: ColumnName | None = Field(
        default=None,
        examples=["lightgbm"],
        description="Second half of the score column's name, in place of the algorithm's.",
    )
    labels: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        examples=[["up_12_0bps"]],
        description="Names of the labels that it learns; not set: every label.",
    )


class ModelsPart(ModelPart):
    """One of several models in one run: repeat ``[[models]]``, in place of ``[model]``; it has the same keys.

    Where an algorithm is there twice, with other keys, ``name`` tells its score columns apart.
    """


class PromotionPart(Part):
    """The rule by which a freshly fitted model replaces the one before; the same in a backtest and live."""

    selector: ClassVar[str | None] = "rule"

    rule: str = Field(default="sane", description="Name of the rule; its own keys follow.")


class WalkForwardSection(Section):
    """How often the model is trained again, on what, and when it starts to speak."""

    mode: Literal["sliding", "expanding"] = Field(
        default="sliding", description='Train on the last stretch ("sliding") or on all bars so far ("expanding").'
    )
    train: SpanValue = Field(
        default=Span.parse("180d"),
        description='Length of training, "180d" or a number of bars; when expanding, the first one.',
    )
    refit_every: SpanValue = Field(
        default=Span.parse("30d"), description='How long a model speaks before the next one, "30d" or a number of bars.'
    )
    embargo_bars: Count = Field(
        default=0, description="Bars left out between training and the block foreseen, on top of the label's horizon."
    )
    refit_delay_bars: Count = Field(
        default=1, description="Bars that pass between the end of training and a model's first word."
    )
    min_train_rows: int = Field(default=500, ge=2, description="Fewer known rows than this train no model.")
    every_nth_row: int = Field(
        default=1, ge=1, description="Train on every n-th row only: faster, and labels overlap less."
    )
    promotion: PromotionPart = Field(
        default=PromotionPart(), description="Who may speak: a rule's name, or a table that sets its keys."
    )
    workers: Count = Field(
        default=0, description="Processes that train folds; 0 takes what the machine has. Results do not change."
    )

    @field_validator("promotion", mode="before")
    @classmethod
    def _read_bare_name(cls, value: object) -> object:
        return {"rule": value} if isinstance(value, str) else value


class StrategyPart(Part):
    """What turns scores into orders."""

    selector: ClassVar[str | None] = "name"

    name: str = Field(
        default="MLThreshold",
        min_length=1,
        description='A built-in strategy, "module:Class" or "file.py:Class"; its own keys follow.',
    )


class ProtectionPart(Part):
    """A rule that forbids entries for a while after trades went wrong; repeat `[[protections]]` for more."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(description="Name of the protection; its own keys follow.")


class BacktestSection(Section):
    """How the simulated venue behaves."""

    cash: float = Field(default=10_000.0, gt=0, allow_inf_nan=False, description="Money at the start, in quote.")
    intrabar: Literal["stop_first", "target_first"] = Field(
        default="stop_first",
        description="The headline when one bar touches stop and target; both are always computed then.",
    )
    fill_price: Literal["open", "worst_of"] = Field(
        default="open", description='Market orders fill at the next "open", or at the worse of open and average price.'
    )
    fill_delay_s: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Seconds after the open at which a market order fills."
    )
    engine: Literal["auto", "sparse", "dense", "plain"] = Field(
        default="auto",
        description='"sparse" steps only bars where something can happen, "dense" every bar, "plain" is stock '
        'backtrader; "auto" takes the fastest that fits.',
    )
    funding: str | None = Field(
        default=None,
        examples=["funding.parquet"],
        description="Funding rates of a perpetual: the name of a source of events with the column funding_rate, or a "
        "Parquet or CSV file with the columns timestamp and funding_rate; of several symbols each needs its own, by "
        "`{symbol}` in the file's name.",
    )


class RunsSection(Section):
    """Where runs are kept."""

    root: Folder = Field(default=Path("runs"), description="Folder of the runs' capsules, seen from the config file.")


class PluginsSection(Section):
    """The user's own code."""

    files: tuple[Folder, ...] = Field(
        default=(), description="Python files inside the project folder that are imported first."
    )


def refuse_order(first: str, earlier: datetime | None, second: str, later: datetime | None) -> None:
    """Refuse two moments that stand the wrong way round."""
    if earlier is not None and later is not None and earlier >= later:
        raise ValueError(f"{first} must come before {second} ({plain_moment(later)}), was {plain_moment(earlier)}")
