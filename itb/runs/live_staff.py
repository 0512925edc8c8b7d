"""Strategies at work: each gets its lanes in an account, one for each market or one for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itb.engine.venue import Venue
from itb.live.episodes import about
from itb.live.host.broker import LiveBroker
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Decided, Hosting, LiveHost, LiveMarket
from itb.live.host.seats import Seats
from itb.live.orders.working import Slicing
from itb.live.run.account import Account, Lane, allotments, books_of
from itb.live.run.rates import published_by
from itb.live.run.tranches import Turn
from itb.runs.live_parts import paper_account, paper_cash, purses
from itb.runs.live_reload import left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal
    from pathlib import Path

    from itb.config import Config
    from itb.live.run.engine import Engine
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.runs.live_strategies import LiveStrategy


@dataclass(frozen=True, eq=False)
class Staff:
    """What strategies work with: the engine, the markets with their bars so far, and the pace of the market's time."""

    config: Config
    engine: Engine
    instruments: Mapping[str, Instrument]
    histories: Mapping[str, Bars]
    pace: float = 1.0
    seats: Seats = field(default_factory=Seats)

    def hire(self, account: Account, chosen: tuple[LiveStrategy, ...], cash: Decimal) -> None:
        """Give each strategy its lanes in an account and its share of the cash.

        On a shared account a strategy has one lane with every market; tranches have one for each, as elsewhere.
        """
        settings, engine = self.config.live, self.engine
        takes_turns = any(one.tranche for one in chosen)
        shared = tuple((symbol,) for symbol in self.config.data.symbols) if takes_turns else purses(self.config)
        venues = {symbol: Venue(costs=self.config.costs, instrument=one) for symbol, one in self.instruments.items()}
        split = allotments(
            {one.name: one.share for one in chosen}, shared, cash, venues,
            pairs=account.dealer.gateway.capabilities.pairs, max_age_ms=round(settings.fresh.ms * self.pace),
            slicing=self._slicing(account),
        )  # fmt: skip
        door = account.door(asyncio.get_running_loop())
        for one in chosen:
            for purse in shared:
                allotment = split[one.name, purse]
                broker = LiveBroker(allotment, door)
                lane = Lane(one.name, purse, broker, books_of(allotment, engine.windows))
                lane.turn = Turn(engine.gate) if one.tranche else None
                hosting = Hosting(
                    gate=lane.turn or engine.gate,
                    trouble=about(lane.label, engine.board.hear),
                    decided=_decided(engine, lane),
                    most_orders=settings.most_orders * len(purse),
                    limit_s=settings.decide_within.ms / 1000,
                    seats=self.seats,
                )
                markets = {
                    symbol: LiveMarket(
                        GrowingBars(self.histories[symbol], engine.windows[symbol].keep), engine.desks[symbol].sources
                    )
                    for symbol in purse
                }
                lane.host = LiveHost(one.strategy, one.settings, broker, markets, hosting)
                account.lanes.append(lane)
        if gone := left_behind(account.dealer.book.positions, _places(split)):
            told = f"nobody watches {gone}: put both back into the config"
            engine.board.trouble(f"{account.name}: left behind", told)

    def _slicing(self, account: Account) -> Slicing:
        """Say how large orders are cut; on bars the parts follow each other at once, as there is no time between."""
        asked = self.config.live.slices
        spacing_ms = 0 if account.paper is not None else round(asked.spacing.ms * self.pace)
        return Slicing(asked.max_notional, asked.most, spacing_ms, asked.jitter, asked.seed)

    def shadow(self, name: str, chosen: tuple[LiveStrategy, ...], folder: Path) -> Account:
        """Open an account on paper for a variant that is only watched; its journal lies in the bot's folder."""
        cash = paper_cash(self.config, is_shadow=True)
        file = folder / f"shadow-{name}.sqlite"
        main = self.engine.accounts[0]
        account = paper_account(
            self.config, name, cash, self.instruments, self.histories, file,
            rates=published_by(main.dealer.gateway) if main.paper is None else main.paper.rates, is_shadow=True,
        )  # fmt: skip
        self.hire(account, chosen, cash)
        return account


def _places(split: Iterable[tuple[str, tuple[str, ...]]]) -> list[tuple[str, str]]:
    return [(name, symbol) for name, symbols in split for symbol in symbols]


def _decided(engine: Engine, lane: Lane) -> Callable[[Decided], None]:
    return lambda done: engine.decided(lane, done)
