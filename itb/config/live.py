"""The sections of a config file that say how a bot runs live."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from itb.config.sections import Part, Section
from itb.config.values import ColumnName, Count, Length, LengthValue, Number


class LimitsSection(Section):
    """Hard limits, kept by the order machine whatever a strategy asks; 0 is no limit."""

    max_order_notional: Number = Field(default=Decimal(0), ge=0, description="Largest order, in quote.")
    max_position_notional: Number = Field(
        default=Decimal(0), ge=0, description="Largest position of one strategy in one symbol, in quote."
    )
    max_orders_per_minute: Count = Field(default=30, description="Orders beyond it wait.")
    max_daily_loss: Number = Field(
        default=Decimal(0), ge=0, lt=1, description="Share of the day's first equity that may be lost before a halt."
    )
    max_drawdown: Number = Field(
        default=Decimal(0), ge=0, lt=1, description="Share of the highest equity that may be lost before a halt."
    )


class SlicesSection(Section):
    """How large orders are cut into parts that leave one after the other; a backtest fills them as one."""

    max_notional: Number = Field(
        default=Decimal(0), ge=0, description="Orders worth more, in quote, are cut into parts of about that; 0: none."
    )
    most: int = Field(default=10, ge=1, description="Parts at most, however large they are then.")
    spacing: LengthValue = Field(
        default=Length(0), description="Pause between the end of a part and the next; paper on bars makes none."
    )
    jitter: float = Field(
        default=0.0, ge=0, lt=1, allow_inf_nan=False, description="Sizes vary at random by up to this fraction."
    )
    seed: int = Field(default=0, description="Of that draw: the same order, the same parts.")


class LiveStrategyPart(Part):
    """One of several strategies on one account: repeat `[[live.strategies]]`; without any, `[strategy]` runs alone.

    Keys that `[strategy]` has and this table has not are taken from there where both name the same class.
    """

    selector: ClassVar[str | None] = "name"
    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    called: ColumnName = Field(description="What it is called in status, journal and messages.")
    name: str = Field(default="", description="Strategy class, as in [strategy]; empty: that one.")
    allocation: float = Field(
        default=0.0, ge=0, le=1, description="Share of the account that it trades; 0: what is left, split evenly."
    )


class ShadowPart(Part):
    """A variant that trades on paper beside the bot, from the same scores: repeat `[[live.shadows]]`."""

    selector: ClassVar[str | None] = "name"

    called: ColumnName = Field(description="What it is called in status and report.")
    name: str = Field(default="", description="Strategy class, as in [strategy]; empty: that one.")
    tranches: Count = Field(
        default=0, description="How many positions may overlap, one for each trigger with its own exit; 0: plain."
    )


class LiveSection(Section):
    """A bot: which account, which bars, how orders leave, and what it may never do."""

    name: ColumnName = Field(default="bot", description="Name of the bot: its folder, and the mark on its orders.")
    exchange: str | None = Field(
        default=None, examples=["binance"], description="Exchange that it trades on; not set: `data.exchange`."
    )
    sandbox: bool = Field(default=False, description="Use the exchange's test network.")
    trust_unfindable: bool = Field(
        default=False,
        description="Trade on an exchange whose orders cannot be found by our own id: a lost answer then needs a look.",
    )
    set_margin: bool = Field(
        default=False,
        description="Perpetuals: set one-way positions, isolated margin and a leverage of 1 where it is otherwise.",
    )
    cash: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Money that it may use, in quote; not set: see below."
    )
    history: Count = Field(default=0, description="Bars before the first live one; 0: what the features need.")
    delay: LengthValue = Field(
        default=Length.parse("1s"), description="How long after its close a bar is read as final."
    )
    give_up: LengthValue = Field(
        default=Length.parse("20s"), description="How long after its close a bar that nobody has is taken as missing."
    )
    gaps: Literal["refuse", "flat", "drop"] | None = Field(
        default=None, description="What becomes of a bar that never comes; not set: as in `data.gaps`."
    )
    deadline: LengthValue = Field(
        default=Length.parse("30s"), description="How long a timestamp waits for its last symbol."
    )
    behind: Literal["wait", "without"] = Field(
        default="wait", description='Then "wait" on, or decide "without" the symbols that are late.'
    )
    fresh: LengthValue = Field(
        default=Length.parse("30s"), description="How long after a bar's close a decision still counts."
    )
    decide_within: LengthValue = Field(
        default=Length.parse("5s"), description="How long a strategy may take for a bar; later orders are withdrawn."
    )
    most_orders: int = Field(
        default=20, ge=1, description="Orders that a strategy may send at one bar of each of its symbols."
    )
    drift: Literal["halt", "adopt", "tell"] = Field(
        default="halt", description="What happens when the account's balances are not what the journal explains."
    )
    on_stop: Literal["keep", "cancel"] = Field(
        default="keep", description="What a stop does with resting orders; positions stay, and so do their stops."
    )
    journal: str = Field(
        default="",
        description="URL of the real account's journal; empty: an SQLite file in the bot's folder, as for all others.",
    )
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Port on 127.0.0.1 for Prometheus; 0 is off.")
    runtime: Literal["torch", "onnx"] = Field(
        default="torch", description="What computes networks; ONNX differs in the last digits of single precision."
    )
    self_check: int = Field(default=1, ge=0, description="Earlier bars whose scores are computed again at each bar.")
    retrain: bool = Field(default=True, description="Train again when the walk-forward says so, in its own process.")
    challengers: bool = Field(
        default=False, description="Let the newest refit, where it was not promoted, score every bar beside who speaks."
    )
    model_expires: LengthValue = Field(
        default=Length(0), description="A model older than this says nothing; 0: it speaks until the next one does."
    )
    limits: LimitsSection = Field(
        default=LimitsSection(), description="Hard limits, kept by the order machine whatever a strategy asks."
    )
    prices: Literal["bars", "trades", "book"] = Field(
        default="bars",
        description="What is seen between decisions: paper is filled by it, and targets that do not rest are watched.",
    )
    silence: LengthValue = Field(
        default=Length.parse("1m"),
        description="Trades or book: how long a market may tell no price until closes take their place; 0: any time.",
    )
    latency: LengthValue = Field(
        default=Length(100), description="Paper on trades or book: how long an order is on its way, in market time."
    )
    slices: SlicesSection = Field(
        default=SlicesSection(), description="How large orders are cut into parts that leave one after the other."
    )
    strategies: tuple[LiveStrategyPart, ...] = Field(
        default=(), description="Several strategies on one account; without any, [strategy] runs alone."
    )
    shadows: tuple[ShadowPart, ...] = Field(
        default=(), description="Variants that trade on paper beside the bot, from the same scores."
    )

    @field_validator("strategies", "shadows")
    @classmethod
    def _refuse_repeats(cls, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [part.called for part in parts]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"expected each name once, {twice} is there twice")
        return parts

    @model_validator(mode="after")
    def _refuse_impossible(self) -> Self:
        if self.give_up.ms < self.delay.ms:
            raise ValueError(f"give_up must not be shorter than delay ({self.delay}), was {self.give_up}")
        taken = {part.called for part in self.strategies} or {"main"}
        twice = next((part.called for part in self.shadows if part.called in taken), None)
        if twice is not None:
            raise ValueError(f"shadows need names that no strategy has, {twice} is one's")
        given = sum(part.allocation for part in self.strategies)
        if given > 1 + 1e-9:
            raise ValueError(f"strategies share one account: their allocations must sum to 1 at most, were {given:g}")
        return self
