"""`itb live status` and its kin: a bot seen and steered from another terminal, or its journal read where none runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itb.charts import wording
from itb.charts.data import Table
from itb.errors import ConfigError, ItbError
from itb.live.cockpit import Cockpit, ModelLine, OrderLine, Status, TradeLine, to_json
from itb.live.orders.machine import KEPT
from itb.live.run.control import RemoteCockpit
from itb.live.run.lock import LOCK_FILE, holder
from itb.live.run.past import JournalCockpit
from itb.live.run.socket_file import NotRunningError
from itb.market.bars import utc
from itb.runs.said import Said

if TYPE_CHECKING:
    from itb.config import Config

JOURNAL = "journal.sqlite"
EVENTS = "events.jsonl"
KINDS = (
    "",
    "-paper",
    "-practice",
    "-paper-on-practice",
)  # what the folder's name says of the account, behind the bot's name
BY = "terminal"
_POLL_S = 0.1
_EVENTS = 50  # newest events that are read for the view


@dataclass(frozen=True)
class Bot:
    """Where a bot lives: its name, its folder, the URL of its journal where that is elsewhere."""

    name: str
    folder: Path
    journal: str = ""

    @property
    def is_running(self) -> bool:
        """Whether a process holds the folder's lock."""
        return holder(self.folder / LOCK_FILE) is not None

    @property
    def last_written(self) -> float:
        """When its journal's file changed, in seconds; 0 where there is none."""
        files = [self.folder / name for name in (JOURNAL, f"{JOURNAL}-wal", EVENTS)]
        return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)

    def far(self) -> RemoteCockpit:
        """Give the cockpit of the running bot."""
        return RemoteCockpit(self.folder)

    def to_look_at(self, most: int = 0) -> Cockpit:
        """Give the cockpit of the running bot, or what the journal says where none runs.

        A list of ``most`` lines that is longer than what a running bot has in memory is read from the journal, too.
        """
        if self.is_running and most <= KEPT:
            try:
                cockpit = self.far()
                cockpit.status()
            except NotRunningError:  # it is just starting or stopping
                if not self.journal and not (self.folder / JOURNAL).exists():
                    raise NotRunningError(f"{self.name} is starting: nothing to see yet; ask again shortly") from None
            else:
                return cockpit
        return JournalCockpit(self.name, self.journal or self.folder / JOURNAL)


def find_bot(name: str, project: Path, load: Callable[[], Config]) -> Bot:
    """Find the bot that is meant: by the name of its folder, or the one that runs, or the one that ran last.

    A bot that runs is found without the config, which may be broken by now and must not keep anybody from stopping it.
    """
    config, trouble = None, None
    try:
        config = load()
    except ItbError as error:
        trouble = error
    root = (project / "runs" if config is None else config.runs_root) / "live"
    journals = {} if config is None else {config.live.name: config.live.journal}
    known = [Bot(path.name, path, journals.get(path.name, "")) for path in sorted(root.glob("*")) if path.is_dir()]
    running = [bot for bot in known if bot.is_running]
    if name:
        found = [bot for bot in known if bot.name == name]
    else:
        own = () if config is None else tuple(f"{config.live.name}{kind}" for kind in KINDS)
        found = running or [bot for bot in known if not own or bot.name in own]
    if not found:
        if trouble is not None:
            raise trouble
        told = f"--bot {name}: there is no such bot" if name else "there is no bot yet"
        there = f"; there is {', '.join(bot.name for bot in known)}" if known else ""
        raise NotRunningError(f"{told} in {root}{there}. `itb live` starts one")
    if len(running) > 1 and not name:
        raise ConfigError(f"several bots run: {', '.join(bot.name for bot in running)}; name one with --bot")
    return max(found, key=lambda bot: bot.last_written)


# -- to see


def status(bot: Bot, *, must_run: bool = False) -> Said:
    """Say how a bot is; with ``must_run`` it is a finding when it does not run or is halted."""
    seen = bot.to_look_at().status()
    found = must_run and (not seen.is_running or seen.health == "HALTED")
    return Said(to_json(seen), tuple(status_lines(seen)), _positions(seen), found=found, drawn=lambda: _drawn(seen))


def orders(bot: Bot, ended: int) -> Said:
    """List unfinished orders, and the newest finished ones."""
    found = bot.to_look_at(ended).orders(ended)
    table = Table(
        ("asked", "strategy", "symbol", "side", "kind", "qty", "filled", "price", "phase", "why"),
        tuple(_order_row(order) for order in found),
    )
    data = {"orders": [to_json(order) for order in found]}
    return Said(data, () if found else ("No order is unfinished.",), table if found else None)


def trades(bot: Bot, most: int) -> Said:
    """List the newest trades."""
    found = bot.to_look_at(most).trades(most)
    table = Table(
        ("entered", "strategy", "symbol", "side", "qty", "entry", "left", "exit", "profit", "return", "why"),
        tuple(_trade_row(trade) for trade in found),
    )
    data = {"trades": [to_json(trade) for trade in found]}
    return Said(data, () if found else ("No trade yet.",), table if found else None)


def balance(bot: Bot) -> Said:
    """List what the account holds."""
    found = bot.to_look_at().balance()
    rows = tuple((line.currency, f"{line.total:f}", _amount(line.value)) for line in found)
    data = {"balance": [to_json(line) for line in found]}
    table = Table(("currency", "total", "worth"), rows)
    return Said(data, () if found else ("The journal knows of no balance yet.",), table if found else None)


def watch_status(bot: Bot, console: Any) -> None:
    """Show a running bot until it ends or somebody presses Ctrl-C."""
    from itb.live.run.event_log import read_events
    from itb.live.run.view import watch

    def look() -> tuple[Status, list[dict[str, Any]]] | None:
        return (bot.to_look_at().status(), read_events(bot.folder / EVENTS, _EVENTS)) if bot.is_running else None

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    watch(look, wait, console)
    console.print(f"{bot.name} does not run.")


# -- to act


def pause(bot: Bot) -> Said:
    """Let a bot take no new risk."""
    return _told(bot.far().pause(BY))


def resume(bot: Bot) -> Said:
    """Lift a pause or a halt."""
    return _told(bot.far().resume(BY))


def close(bot: Bot, symbol: str, strategy: str) -> Said:
    """Close positions."""
    return _told(bot.far().close(BY, symbol=symbol, strategy=strategy))


def stop(bot: Bot, *, cancel: bool | None, wait_s: float) -> Said:
    """End a bot, and wait until it has; still running after ``wait_s`` is a finding."""
    told = bot.far().stop(BY, cancel=cancel)
    end = time.monotonic() + wait_s
    while (is_running := bot.is_running) and time.monotonic() < end:
        time.sleep(_POLL_S)
    if is_running and wait_s:
        line = f"{bot.name} has not ended within {wait_s:g} s; look at it with `itb live status`"
        return Said({"said": told, "ended": False}, (told, line), found=True)
    return Said({"said": told, "ended": not is_running}, (told,) if is_running else (told, f"{bot.name} has ended."))


def _told(sentence: str) -> Said:
    return Said({"said": sentence}, (sentence,))


# -- words


def status_lines(seen: Status) -> list[str]:
    """Word a status for people."""
    if seen.is_running:
        lasting = wording.duration(max(0, seen.time - seen.started_at))
        head = f"{seen.bot} runs ({seen.mode}, process {seen.pid}) for {lasting}, {seen.steps:,} steps: {seen.health}"
    elif seen.time:
        head = f"{seen.bot} does not run; its journal ends at {utc(seen.time)}: {seen.health}"
    else:
        head = f"{seen.bot} does not run; its journal is empty"
    lines = [head, *(f"  {reason}" for reason in seen.reasons)]
    if seen.waiting_for:
        lines.append(f"  no order yet: {'; '.join(seen.waiting_for)}")
    if seen.equity is not None:
        money = [f"equity {_amount(seen.equity)}"]
        for since, start in (("today", seen.day_start), ("since the peak", seen.peak)):
            if start:
                money.append(f"{wording.percent(float(seen.equity / start) - 1, 2)} {since}")
        lines.append(", ".join(money))
    lines.append(f"{seen.open_orders} unfinished order{'' if seen.open_orders == 1 else 's'}")
    for line in seen.strategies:
        shadow = " (shadow)" if line.is_shadow else ""
        worth = "" if line.equity is None else f", worth {_amount(line.equity)}"
        lines.append(f"{line.name}{shadow}: {line.trades:,} trades, {_amount(line.profit, signed=True)}{worth}")
    bars = {bar.symbol: bar for bar in seen.bars}
    for symbol, bar in bars.items():
        said = ", ".join(
            f"{one.column} {'–' if one.value is None else format(one.value, '+.4f')}"
            for one in seen.scores
            if one.symbol == symbol
        )
        lines.append(f"{symbol} {utc(bar.open_time)} close {bar.close:f}" + (f", {said}" if said else ""))
    return [*lines, *map(_model_line, seen.models)]


def _model_line(line: ModelLine) -> str:
    who = f"model of {utc(line.known_at)}" if line.known_at else "nobody speaks"
    extras = (f", {line.not_promoted} not promoted" if line.not_promoted else "") + (
        f", newer models came {line.late_bars} bars late" if line.late_bars else ""
    )
    if line.challenger_at:
        extras += f"; challenger of {utc(line.challenger_at)}"
        if line.challenger_distance is not None:
            extras += f", mean difference {line.challenger_distance:.4g} on {line.challenger_bars:,} bars"
    return f"{line.symbol} {line.column}: {who}, {line.refits} refits{extras}"


def _positions(seen: Status) -> Table | None:
    rows = tuple(
        (
            line.symbol, line.strategy, f"{line.qty:f}", _amount(line.entry_price), _amount(line.price),
            _amount(line.profit, signed=True), utc(line.entry_time) if line.entry_time else "",
        )
        for line in seen.positions
    )  # fmt: skip
    return Table(("position", "strategy", "qty", "entry", "price", "profit", "since"), rows) if rows else None


def _drawn(seen: Status) -> Any:
    from itb.live.run.view import drawn

    return drawn(seen, ())


def _order_row(order: OrderLine) -> tuple[str, ...]:
    prices = [f"{price:f}" for price in (order.price, order.stop_price) if price is not None]
    phase = f"{order.phase}, cancel {order.cancel}" if order.cancel else order.phase
    return (
        utc(order.asked_at) if order.asked_at else "", order.strategy, order.symbol, order.side, order.kind,
        f"{order.qty:f}", f"{order.filled:f}", " / ".join(prices), phase, order.reason,
    )  # fmt: skip


def _trade_row(trade: TradeLine) -> tuple[str, ...]:
    return (
        utc(trade.entry_time), trade.strategy, trade.symbol, trade.side, f"{trade.qty:f}", _amount(trade.entry_price),
        "open" if trade.is_open else utc(trade.exit_time), _amount(trade.exit_price),
        _amount(trade.profit, signed=True), "" if trade.return_ is None else wording.percent(trade.return_, 2),
        trade.exit_reason or trade.entry_reason,
    )  # fmt: skip


def _amount(value: Decimal | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    small = 0 < abs(value) < 1
    return wording.significant(float(value)) if small and not signed else wording.number(float(value), signed=signed)
