"""The section of a config file that says by which rules markets are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from itb.config.sections import Section
from itb.config.values import Count, Length, LengthValue, Moment, Symbol, TimeframeValue, to_ms

if TYPE_CHECKING:
    from itb.config.model import Config
    from itb.datafeeds.universe import Universe


class UniverseSection(Section):
    """Markets by rule, among those whose bars are stored; `itb data universe` lists them."""

    use: bool = Field(
        default=False,
        description="Take the members, as of `at`, in place of `data.symbols`; a --symbol on the command line wins.",
    )
    at: Moment | None = Field(
        default=None,
        examples=["2023-01-01"],
        description="As of when members are chosen for `use` (UTC); not set: `data.from`.",
    )
    symbols: tuple[Symbol, ...] = Field(
        default=(), examples=[["BTC/USDT"]], description="Markets that belong whatever the rules say."
    )
    quote: str = Field(default="USDT", min_length=1, description="Only markets against this currency are candidates.")
    blacklist: tuple[str, ...] = Field(
        default=("USDT", "BUSD", "TUSD"), description="Coins or markets that never belong."
    )
    timeframe: TimeframeValue | None = Field(
        default=None, examples=["1m"], description="Stored bars that are looked at; not set: those of `data.timeframe`."
    )
    window: LengthValue = Field(
        default=Length.parse("1d"), description="How far back volume, spread and share without trade are measured."
    )
    min_quote_volume: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Least worth of what is traded in a day, in quote."
    )
    min_age: LengthValue = Field(
        default=Length(0), description="How long ago a market's first stored bar must have opened."
    )
    max_spread_bps: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Widest median spread, where the bars have `bid` and `ask` or `spread_bps`; 0 is off.",
    )
    max_idle_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Largest fraction of the window's bars without a trade, missing ones included.",
    )
    most: Count = Field(
        default=0, description="Of the markets that no rule objects to, so many with the largest volume stay; 0: all."
    )
    owned_above: float = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="What is owned above this worth belongs, in quote."
    )
    refresh_every: LengthValue = Field(default=Length.parse("1d"), description="How often members are chosen anew.")
    chosen_at: Moment | None = Field(
        default=None,
        examples=["2023-01-01"],
        description="Written by itb where it chose `data.symbols` by these rules: as of when. Leave it alone.",
    )

    @property
    def at_ms(self) -> int | None:
        """``at`` in UTC milliseconds."""
        return to_ms(self.at)

    @property
    def chosen_ms(self) -> int | None:
        """``chosen_at`` in UTC milliseconds."""
        return to_ms(self.chosen_at)


def universe(config: Config) -> Universe:
    """Build what ``[universe]`` says."""
    from itb.config.parts import tell
    from itb.datafeeds.universe import Universe
    from itb.datafeeds.universe_rules import IdleShare, ListingAge, QuoteVolume, Spread

    section = config.universe

    def make() -> Universe:
        rules = (
            QuoteVolume(section.min_quote_volume),
            ListingAge(section.min_age.ms),
            Spread(section.max_spread_bps),
            IdleShare(section.max_idle_share),
        )
        return Universe(rules, section.symbols, section.blacklist, section.window.ms, section.owned_above, section.most)

    if section.refresh_every.ms == 0:
        return tell(config, ("universe",), _refuse_no_refresh, ["refresh_every"])
    return tell(config, ("universe",), make, list(type(section).model_fields))


def _refuse_no_refresh() -> Universe:
    raise ValueError("refresh_every must be longer than 0")
