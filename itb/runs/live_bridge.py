"""What a chat asks of a running bot beyond the cockpit: models, locks, blocks, pictures, a backtest beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from itb.errors import ItbError
from itb.live.notify.chat.bridge import LockLine, ModelLine, Report
from itb.live.notify.people import People
from itb.live.run.pilot import Pilot
from itb.runs.asides import aside
from itb.strategies.base import Strategy
from itb.strategies.protections.locks import locks
from itb.strategies.trader import Trader

if TYPE_CHECKING:
    from decimal import Decimal

    from itb.config import Config
    from itb.live.notify.message import Drawing
    from itb.live.run.account import Lane
    from itb.live.run.event_log import EventLog
    from itb.runs.live_reload import Lanes

_STUDIES = 5
_PICTURE_BARS = 168


@dataclass
class LiveBridge(Pilot):
    """A :class:`itb.live.notify.chat.bridge.Bridge` on a running bot.

    Parameters
    ----------
    settings
        The config that the bot runs by.
    log
        Its event log.
    reload
        Reads the config anew and begins a new life by it, given what is held now; raises :class:`itb.errors.ItbError`
        for one that cannot be.
    grades
        Says how what was sent turned out.
    protections
        Those of each lane's strategy, by its name.
    """

    settings: Config = field(kw_only=True)
    log: EventLog = field(kw_only=True)
    reload: Callable[[Mapping[Lanes, Decimal]], None] = field(kw_only=True)
    grades: Callable[[], str] = field(kw_only=True)
    protections: Mapping[str, Any] = field(kw_only=True, default_factory=dict)

    # -- to act

    def force_enter(self, by: str, symbol: str, side: Literal["long", "short"]) -> str:
        """Enter a market now, with the strategy's own size and protection."""
        if not self.engine.gate.is_open:
            raise ItbError(f"nothing can be entered yet: {', '.join(self.engine.gate.held_by)}")
        if self.main.dealer.book.halted:
            raise ItbError(f"trading is halted: {self.main.dealer.book.halted}; /resume lifts it")
        lanes = [lane for lane in self.main.lanes if symbol in lane.symbols]
        able = [lane for lane in lanes if isinstance(lane.host.strategy, Trader)]
        if not able:
            raise ItbError(f"no strategy that trades {symbol} can be asked to enter; there are {self._strategies()}")
        sign = 1 if side == "long" else -1
        for lane in able:
            lane.host.act(lambda strategy: strategy.enter_now(sign, symbol))
        return f"asked by {by}: {', '.join(lane.name for lane in able)} enters {symbol} {side} at the market"

    def _strategies(self) -> str:
        return ", ".join(dict.fromkeys(lane.name for lane in self.main.lanes))

    def cancel(self, by: str, key: str = "") -> str:
        """Cancel one resting order, or all."""
        book = self.main.dealer.book
        keys = [order.intent.key for order in book.unsettled() if key in {"", order.intent.key}]
        if key and not keys:
            raise ItbError(f"no unfinished order is called {key}; /status names them")
        for one in keys:
            self.main.dealer.cancel(one, f"cancelled by {by}")
        self.main.wake()
        return f"cancelling {len(keys)} orders" if len(keys) != 1 else f"cancelling {keys[0]}"

    def reload_config(self, by: str) -> str:
        """Read the config again and work by it from the next bar on."""
        self.reload(self.main.dealer.book.positions)
        return f"asked by {by}: the config was read and is sound; the bot goes on with it in a moment"

    def block(self, by: str, symbol: str) -> str:
        """Enter a market no more; what is held there is still protected and closed."""
        self._known(symbol)
        self.main.dealer.block(symbol, by)
        return f"{symbol} is blocked: nothing is entered there until it is lifted"

    def unblock(self, by: str, symbol: str) -> str:
        """Lift a block."""
        if symbol not in self.main.dealer.book.blocked:
            raise ItbError(f"{symbol} is not blocked; blocked are {', '.join(self.blocked()) or 'none'}")
        self.main.dealer.unblock(symbol)
        return f"{symbol} may be entered again, says {by}"

    def unlock(self, by: str, symbol: str = "") -> str:
        """Lift the locks of one market, or all."""
        found = [lock.symbol for lock in self.locks() if symbol in {"", lock.symbol}]
        if not found:
            return "nothing is locked there"
        for one in dict.fromkeys(found):
            self.main.dealer.pardon(one)
        self.apply_pardons()
        return f"unlocked by {by}: {', '.join(dict.fromkeys(found))}"

    def apply_pardons(self) -> None:
        """Tell strategies from when on trades count for protections."""
        for lane in self.main.lanes:
            since = self._pardoned(lane)
            if since:
                lane.host.act(lambda strategy, since=since: _pardon(strategy, since))  # type: ignore[misc]  # bound at once

    # -- to see

    def config(self) -> Mapping[str, Any]:
        """Give the config in force as plain tables; secrets are in none."""
        return self.settings.plain()

    def symbols(self) -> tuple[str, ...]:
        """Give the markets that may be traded."""
        return tuple(symbol for symbol in self.engine.windows if symbol not in self.main.dealer.book.blocked)

    def blocked(self) -> tuple[str, ...]:
        """Give the markets that a person has blocked."""
        return tuple(self.main.dealer.book.blocked)

    def _known(self, symbol: str) -> None:
        if symbol not in self.engine.windows:
            raise ItbError(f"{symbol} is not traded here; there are {', '.join(self.engine.windows)}")

    def locks(self) -> tuple[LockLine, ...]:
        """Give the markets that protections have locked."""
        now = int(self.clock())
        found = []
        for lane in self.main.lanes:
            found += [
                LockLine(symbol, lock.until_ms, lock.protection)
                for lock in self._locks_of(lane)
                for symbol in lane.symbols
                if lock.until_ms > now and lock.scope.symbol in (None, symbol)
            ]
        return tuple(dict.fromkeys(found))

    def _locks_of(self, lane: Lane) -> Any:
        since = self._pardoned(lane)
        ended = (trade for book in lane.books.histories.values() for trade in book.closed if trade.exit_time >= since)
        closed = sorted(ended, key=lambda trade: trade.exit_time)
        bar_ms = self.engine.windows[lane.symbols[0]].timeframe.ms
        return locks(self.protections.get(lane.name, ()), closed, bar_ms)

    def _pardoned(self, lane: Lane) -> int:
        """Give the time from which on trades count; what is lifted for one market of a purse is lifted for all."""
        return max(self.main.dealer.book.pardons.get(symbol, 0) for symbol in lane.symbols)

    def logs(self, most: int = 20) -> tuple[str, ...]:
        """Give the newest lines of the log."""
        return tuple(_worded(event) for event in self.log.recent[-most:]) if most else ()

    def models(self) -> tuple[ModelLine, ...]:
        """Give the models that speak."""
        section = self.settings.walkforward
        frame = self.settings.data.timeframe
        every = section.refit_every.bars(frame) * frame.ms
        expires = self.settings.live.model_expires.ms
        found = []
        for symbol, desk in self.engine.desks.items():
            times = self.engine.windows[symbol].open_time
            for column in desk.columns:
                entry = column.entry_at(int(times[-1])) if len(times) else None
                name = f"{symbol} {column.column}"
                if entry is None:
                    found.append(ModelLine(name, 0, 0, skill="nobody speaks"))
                    continue
                last = column.timeline.entries[-1]
                line = ModelLine(
                    name,
                    entry.trained_until,
                    entry.speaks_from,
                    last.known_at + every,
                    entry.known_at + expires if expires else 0,
                    entry.reason,
                )
                beside = self.engine.challengers.get((symbol, column.column))
                if beside is not None and beside.known_at:
                    apart = beside.distance if beside.bars else 0.0
                    line = replace(
                        line,
                        challenger_at=beside.known_at,
                        challenger_bars=beside.bars,
                        challenger_distance=apart,
                    )
                found.append(line)
        return tuple(found)

    def scoreboard(self) -> str:
        """Say how what was sent turned out."""
        return self.grades()

    def drawing(self, symbol: str) -> Drawing:
        """Give the picture of a market and its score."""
        from itb.charts.score_blocks import ScoreBlocks
        from itb.charts.score_picture import Mark, ScorePicture

        self._known(symbol)
        bars = self.engine.windows[symbol].tail(_PICTURE_BARS)
        desk = self.engine.desks.get(symbol)
        column = next(iter(desk.said), "") if desk is not None else ""
        said = np.full(len(self.engine.windows[symbol]), np.nan)
        if desk is not None and column:
            known = desk.said[column][: len(said)]
            said[: len(known)] = known
        first = int(bars.open_time[0])
        marks = tuple(
            Mark(trade.time, float(trade.price), trade.side)
            for order in self.main.dealer.book.orders.values()
            for trade in order.fills
            if trade.symbol == symbol and trade.time >= first
        )
        blocks = ScoreBlocks(bars.open_time, bars.high, bars.low, bars.close, said[-len(bars) :])
        middle = 0.5 if column and desk is not None and desk.sources[column].low == 0.0 else 0.0
        zone, asked = self.settings.notify.zone, self.settings.strategy.settings
        edges = tuple(float(asked[name]) for name in ("buy_threshold", "sell_threshold") if name in asked)
        span = People(zone).span(first, int(bars.close_time[-1]))
        told = f"{span}, {len(marks)} fill{'' if len(marks) == 1 else 's'}"
        return ScorePicture(f"{symbol} {bars.timeframe}", told, blocks, edges, marks=marks, middle=middle, zone=zone)

    async def search(self) -> Report:
        """Say how far searches for parameters are, the newest first."""
        if not (self.settings.runs_root / "studies").is_dir():
            return Report("no search was begun in this project")
        found = await aside(self.settings, "studies", most=_STUDIES)
        return Report("\n\n".join(_study(one) for one in found["studies"]) or "no search has a trial yet")

    async def backtest(self, by: str, days: int) -> Report:
        """Backtest the last days beside the bot, by the config in force."""
        found = await aside(self.settings, "backtest", days=days)
        return Report(f"Backtest asked by {by}\n{found['text']}", base64.b64decode(found["picture"]))


def _pardon(strategy: Any, since: int) -> None:
    if isinstance(strategy, Strategy):
        strategy.pardon(since)


def _study(told: Mapping[str, Any]) -> str:
    """Word a study of :mod:`itb.runs.studies`."""
    if told["trouble"]:
        return f"{told['name']}: {told['trouble']}"
    verdict = f"\nverdict: {told['judged']}" if told["judged"] else ""
    return f"{told['name']}: {told['state']}, {told['progress']} trials\nbest {told['reached']}{verdict}"


def _worded(event: Mapping[str, Any]) -> str:
    known = {"time", "event", "bot"}
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in known)
    return f"{event.get('time', '')} {event.get('event', '')} {rest}"[:300]
