"""The section ``[[sources]]``: what else is joined to the bars, and when each row of it became known."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from itb.config.sections import Section
from itb.config.values import Folder, Length, LengthValue, Symbol, TimeframeValue

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EVENT_DELAY = Length.parse("1m")
_AT_ONCE = Length(0)
_STORED = ("exchange", "symbol")
_SETTLED = ("file", "timeframe")


class SourceSection(Section):
    """Another source on the raster of the bars; repeat ``[[sources]]`` for more.

    Perpetual klines beside spot, another coin or timeframe, funding rates, mark prices, order-book snapshots: any bars
    and any table with a time column, and what an exchange tells of a perpetual. Its columns join the bars as
    ``<prefix>_<column>``. A row is joined to the first bar at whose close it is known, and stays there until the next
    row: bars, and tables with ``time = "open"``, are known at open + timeframe + delay; settlements of funding and rows
    with ``time = "event"`` at their time + delay.
    """

    name: str = Field(examples=["perp"], description="Name of the source: letters, digits and underscores.")
    prefix: str | None = Field(
        default=None,
        examples=["perp"],
        description="Stands before the name of each column, which is `<prefix>_<column>`; not set: the source's name, "
        "empty: nothing. A column that begins with it already keeps its name.",
    )
    kind: Literal["bars", "table", "funding", "mark"] = Field(
        default="bars",
        description='"bars" with open, high, low, close and volume; any other "table"; of a perpetual the settlements '
        'of "funding" (columns `funding_rate` and `mark_price`) or bars of its "mark" price, both from the exchange.',
    )
    exchange: str | None = Field(
        default=None, examples=["binance-usdm"], description="Where stored bars come from; not set: `data.exchange`."
    )
    symbol: Symbol | None = Field(
        default=None,
        examples=["BTC/USDT:USDT"],
        description="Market of the bars; not set: the market that is traded, or the perpetual of that coin for "
        "funding and mark prices.",
    )
    timeframe: TimeframeValue | None = Field(
        default=None,
        examples=["1h"],
        description='Length of a bar, finer or coarser; not set: `data.timeframe`. A table with `time = "open"` '
        "must say its own.",
    )
    file: Folder | None = Field(
        default=None,
        examples=["funding.parquet"],
        description="CSV, Parquet or Feather file instead of the store, seen from the config file; a table needs one. "
        "`{symbol}` in it stands for the market that is traded, such as BTCUSDT: each has its own file.",
    )
    time: Literal["open", "event"] | None = Field(
        default=None,
        examples=["open"],
        description='What a row\'s time is: the "open" of a bar, known when it has closed, or an "event". A table must '
        'say it; bars are always "open".',
    )
    delay: LengthValue | None = Field(
        default=None,
        examples=["0m"],
        description="How much later a row is known; not set: 1m for events, none for bars.",
    )
    columns: tuple[str, ...] | dict[str, str] | None = Field(
        default=None,
        examples=[["close", "volume"]],
        description='Columns that are joined, as a list or, renamed, as a table `{ last = "price" }`; not set: all. '
        "`time` is the row's own time in UTC milliseconds; events bring it unasked.",
    )
    gaps: Literal["refuse", "flat", "drop", "empty"] = Field(
        default="refuse",
        description='Missing rows between the first and the last: "refuse" stops the run, "flat" repeats the last '
        'close with volume 0, "drop" keeps the last row, "empty" leaves no value. Events have no raster to miss.',
    )
    max_age: LengthValue | None = Field(
        default=None,
        examples=["1d"],
        description="A value that has been known for longer becomes empty; not set: it stays until the next one.",
    )

    def market(self, traded: str) -> str:
        """Give the market that it is of, beside one that is traded.

        >>> SourceSection(name="mark", kind="mark").market("BTC/USDT")
        'BTC/USDT:USDT'
        """
        market = self.symbol or traded
        if self.kind not in {"funding", "mark"} or ":" in market:
            return market
        return f"{market}:{market.partition('/')[2]}"

    @property
    def are_events(self) -> bool:
        """Whether its rows are events, which lie on no raster."""
        return self.kind == "funding" or self.time == "event"

    @property
    def put_before(self) -> str:
        """The prefix in force."""
        return self.name if self.prefix is None else self.prefix

    @property
    def delay_ms(self) -> int:
        """The delay in force, in milliseconds."""
        default = _EVENT_DELAY if self.are_events else _AT_ONCE
        return (self.delay or default).ms

    @property
    def max_age_ms(self) -> int | None:
        """``max_age`` in milliseconds."""
        return None if self.max_age is None else self.max_age.ms

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"expected letters, digits and underscores, such as perp or eth_1h, was {name!r}")
        return name

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str | None) -> str | None:
        if prefix and not _NAME.fullmatch(prefix):
            raise ValueError(f"expected letters, digits and underscores, or nothing, was {prefix!r}")
        return prefix

    @field_validator("columns")
    @classmethod
    def _check_columns(
        cls, columns: tuple[str, ...] | dict[str, str] | None
    ) -> tuple[str, ...] | dict[str, str] | None:
        if columns is None:
            return None
        made = list(columns.values()) if isinstance(columns, dict) else list(columns)
        if not made:
            raise ValueError("expected at least one column; leave columns out for all of them")
        twice = next((name for name in made if made.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"expected each column once, {twice} is there twice")
        return columns

    @model_validator(mode="after")
    def _refuse_what_does_not_fit(self) -> Self:
        if self.kind in {"bars", "mark"}:
            if self.time == "event":
                raise ValueError('time must be "open" for bars: a bar is known when it has closed, was "event"')
            if self.kind == "mark" and self.file is not None:
                raise ValueError('file must be left out for kind = "mark", which comes from the exchange; use "bars"')
            return self
        if self.kind == "funding":
            return self._refuse_no_settlements()
        if self.file is None:
            raise ValueError('file must be given for kind = "table"; stored bars have kind = "bars"')
        if self.time is None:
            raise ValueError(
                'time must be given for a table: "open" if its times are opens of bars, which are known only at their '
                'close, else "event"'
            )
        given = next((key for key in _STORED if getattr(self, key) is not None), None)
        if given is not None:
            raise ValueError(f"{given} must be left out for a table, which is read from its file")
        if self.time == "open" and self.timeframe is None:
            raise ValueError('timeframe must be given with time = "open": a row is known at its open + timeframe')
        if self.time == "event" and self.timeframe is not None:
            raise ValueError("timeframe must be left out for events, which have no length")
        if self.time == "event":
            self._refuse_gaps()
        return self

    def _refuse_no_settlements(self) -> Self:
        given = next((key for key in _SETTLED if getattr(self, key) is not None), None)
        if given is not None:
            raise ValueError(f'{given} must be left out for kind = "funding", whose settlements come from the exchange')
        if self.time == "open":
            raise ValueError('time must be "event" for settlements, was "open"')
        self._refuse_gaps()
        return self

    def _refuse_gaps(self) -> None:
        if self.gaps in {"flat", "empty"}:
            raise ValueError(
                f'gaps must be left out for events, which lie on no raster, was "{self.gaps}"; see max_age'
            )
