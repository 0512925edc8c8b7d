"""What one study searches: a market, or all that trade one account."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from itb.errors import BarsError
from itb.market.bars import utc
from itb.market.raster import Clock
from itb.runs.looks import earlier_looks, enter_look
from itb.runs.market import load_market
from itb.runs.notes import data_notes, holdout_notes, said_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from itb.charts.data import Tone
    from itb.config import Config
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

_APART = ", "


def accounts(config: Config) -> tuple[str, ...]:
    """Name each account that is searched: one for each symbol, or the one that all of them share."""
    symbols = config.data.symbols
    return (_APART.join(symbols),) if config.account.shared else symbols


@dataclass(frozen=True, eq=False)
class SearchedMarkets:
    """The markets of one study: one, or all that trade one account, in the order in which they are served."""

    markets: tuple[Market, ...]
    is_shared: bool

    @classmethod
    def load(cls, workspace: Workspace, account: str, *, run_id: str, command: str) -> SearchedMarkets:
        """Load the markets of an account that :func:`accounts` has named."""
        symbols = account.split(_APART)
        found = [load_market(workspace, symbol, run_id=run_id, command=command) for symbol in symbols]
        return cls(tuple(found), workspace.config.account.shared)

    @cached_property
    def clock(self) -> Clock:
        """Times of the bars, or the steps of the account."""
        return Clock.of([market.bars for market in self.markets])

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols in the order in which they are served."""
        return tuple(market.bars.symbol for market in self.markets)

    @property
    def account(self) -> str:
        """The name under which :func:`accounts` knows it."""
        return _APART.join(self.symbols)

    @property
    def title(self) -> str:
        """What people are told: the symbol, or how many there are."""
        return self.account if len(self.markets) == 1 else f"{len(self.markets)} symbols"

    @property
    def label(self) -> str:
        """The same with the timeframe."""
        return f"{self.title} {self.clock.timeframe}"

    @property
    def name(self) -> str:
        """The names that looks are counted by."""
        return _APART.join(market.name for market in self.markets)

    @property
    def fingerprint(self) -> str:
        """What the bars are, of each market."""
        return _APART.join(market.fingerprint[:16] for market in self.markets)

    @property
    def is_synthetic(self) -> bool:
        """Whether the bars are made up."""
        return self.markets[0].is_synthetic

    @property
    def holdout_seen(self) -> bool:
        """Whether any bar of a hold-out was read."""
        return any(market.holdout_seen for market in self.markets)

    def start_of(self, market: Market, start: int) -> int:
        """Give the first bar of a market whose decisions count, where ``start`` is the first step.

        Raises :class:`itb.errors.BarsError` where there is none.
        """
        from_ms, times = int(self.clock.open_time[start]), market.bars.open_time
        bar = int(times.searchsorted(from_ms))
        if bar >= len(times):
            raise BarsError(
                f"{market.bars.label}: ends {utc(times[-1])}, before the search begins, {utc(from_ms)}; leave it out"
            )
        return bar

    def earlier_looks(self, workspace: Workspace, start: int) -> int:
        """Count the settings looked at before on the market that was looked at most."""
        return max(
            earlier_looks(workspace, market, market.bars.slice(self.start_of(market, start), None))
            for market in self.markets
        )

    def enter_look(
        self, workspace: Workspace, start: int, *, run_id: str, metrics: Mapping[str, float | int | None], trials: int
    ) -> None:
        """Enter into the register, for each market, all trials that a study has by now."""
        for market in self.markets:
            enter_look(
                workspace,
                market,
                market.bars.slice(self.start_of(market, start), None),
                run_id=run_id,
                command="optimize",
                metrics=metrics,
                trials=trials,
                is_counted_up=True,
            )

    def notes(self, config: Config) -> Iterator[tuple[str, Tone]]:
        """Say where the bars are from and what was done to them; what is true of all is said once."""
        return said_once({market.bars.symbol: data_notes(config, market) for market in self.markets})

    def holdout_notes(self) -> Iterator[tuple[str, Tone]]:
        """Say what became of the hold-outs."""
        return holdout_notes(self.markets)
