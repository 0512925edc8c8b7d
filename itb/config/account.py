"""`[account]`: whether the symbols trade one account, and how they share it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from itb.config.sections import Section
from itb.config.values import Count


class AccountSection(Section):
    """Whether the symbols trade one account, and how they share it."""

    shared: bool = Field(
        default=False, description="All symbols trade one account, in one backtest; else each trades its own."
    )
    max_open_trades: Count = Field(
        default=0,
        description="On a shared account, at most so many positions at a time; 0: as many as there are symbols. A "
        "position counts until its exit has filled.",
    )
    equity_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="On a shared account, the fraction of the equity that one symbol's position is sized from; 0: "
        "evenly, 1 / max_open_trades. strategy.fraction of it is invested.",
    )

    tranches: Count = Field(
        default=0,
        description="How many positions may overlap in a symbol, each from an equal part of its cash and with its own "
        "exit: a trigger enters the first part that is free; 0: one position.",
    )

    @model_validator(mode="after")
    def _refuse_unused(self) -> Self:
        if self.shared and self.tranches:
            raise ValueError("tranches: split the cash of one symbol; leave it out, or set account.shared = false")
        if not self.shared:
            for name in ("max_open_trades", "equity_share"):
                if getattr(self, name):
                    raise ValueError(f"{name}: has a meaning on a shared account alone; set account.shared = true")
        return self
