"""`itb live`: from a config to a running bot, on paper, on the practice exchange or on an account."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from itb.config.environment import load_secrets, secret_values
from itb.config.told import outputs
from itb.errors import ConfigError, ItbError, ModelError
from itb.live.notify.chat.incoming import Heard
from itb.live.run.lock import LOCK_FILE, InstanceLock, account_lock_file
from itb.live.run.redaction import hide
from itb.live.run.socket_file import SOCKET, private_folder
from itb.runs.expected import refuse_unknown_run
from itb.runs.herald import open_ways
from itb.runs.live_models import live_models
from itb.runs.live_parts import check_account
from itb.runs.live_perpetuals import check_markets
from itb.runs.live_prices import check_prices
from itb.runs.live_words import with_remedy
from itb.runs.practice import Rehearsal, build_exchange
from itb.runs.rehearsal import PracticeProcess, begun_with, find_exchange, start_exchange
from itb.runs.strategy import check_settings

if TYPE_CHECKING:
    from pathlib import Path

    from itb.runs.said import Said
    from itb.runs.workspace import Workspace


def _no_config() -> Workspace:
    raise ConfigError("this bot was not started from a config, so none can be read again")


@dataclass(frozen=True)
class Launch:
    """What the command line asks of a bot beside the config.

    Parameters
    ----------
    is_paper
        Orders are filled here, by live bars; else they go to the exchange.
    rehearsal
        The practice exchange that is started, ``None`` for a real one.
    bars
        How many bars it decides on before it stops; 0 runs until it is stopped.
    reload
        Reads the config anew, as the command line did.
    stepped_down
        Why it is on paper although more was asked for; empty where it is not.
    heard
        Up to where its chat was heard, in this life and those before it.
    """

    is_paper: bool = True
    rehearsal: Rehearsal | None = None
    bars: int = 0
    reload: Callable[[], Workspace] = field(default=_no_config, compare=False)
    stepped_down: str = ""
    heard: Heard = field(default_factory=Heard, compare=False)

    @property
    def mode(self) -> str:
        """What status and folder call it."""
        if self.rehearsal is None:
            return "paper" if self.is_paper else "live"
        return "paper on practice" if self.is_paper else "practice"

    @property
    def told(self) -> str:
        """The mode, and why it is not the one that was asked for."""
        return f"{self.mode}: stepped down, {self.stepped_down}" if self.stepped_down else self.mode


def bot_folder(workspace: Workspace, launch: Launch) -> Path:
    """Give the folder that a bot keeps its life in; each kind of account has its own."""
    name = workspace.config.live.name
    return workspace.runs / "live" / (f"{name}-{launch.mode.replace(' ', '-')}" if launch.mode != "live" else name)


def live(workspace: Workspace, launch: Launch, tell: Callable[[str], None], console: Any = None) -> Said:
    """Run a bot until it is stopped or its bars are over; the same folder makes it go on where it was.

    The live view is drawn on ``console``, a rich one, where there is one.
    """
    hide(secret_values(workspace.config.folder, os.environ))
    before: Workspace | None = None
    while True:
        begun: list[bool] = []
        try:
            said, following = _one_life(workspace, launch, tell, console, begun)
        except ItbError as error:
            if before is None or any(begun):
                raise
            tell(f"The config as it is now cannot be worked by, going on with the one before: {error}")
            workspace, before = before, None
            continue
        if following is None:
            return said
        is_reload = following[1] == launch
        before = workspace if is_reload else None
        workspace, launch = following
        tell("Beginning anew: the config was read again" if is_reload else f"Beginning anew: {launch.told}")


def _one_life(
    workspace: Workspace, launch: Launch, tell: Callable[[str], None], console: Any, begun: list[bool]
) -> tuple[Said, tuple[Workspace, Launch] | None]:
    """Live once; ``begun`` gets whether the bot was at work."""
    from itb.runs.live_bot import Bot

    check_settings(workspace.config)
    outputs(workspace.config)
    open_ways(workspace.config)
    refuse_unknown_run(workspace)
    check_account(workspace.config, launch)
    check_markets(workspace, launch)
    check_prices(workspace.config, launch)
    folder, what = bot_folder(workspace, launch), f"bot {workspace.config.live.name}"
    private_folder(folder)
    with contextlib.ExitStack() as held:
        held.enter_context(InstanceLock(folder / LOCK_FILE, what))
        if launch.mode == "live" and (account := _account_file(workspace)) is not None:
            held.enter_context(InstanceLock(account, what))
        practice, until_ms = None, None
        if launch.rehearsal is not None:
            practice, until_ms = _rehearse(workspace, launch.rehearsal, folder, tell)
        try:
            models = {
                symbol: live_models(workspace, symbol, until_ms, folder / "models")
                for symbol in workspace.config.data.symbols
            }
        except ModelError as error:
            raise with_remedy(error, workspace.config, launch, folder) from None
        if launch.rehearsal is not None and practice is None:
            practice = start_exchange(workspace, launch.rehearsal, folder)
            tell(f"Practice exchange at {practice.url}, process {practice.pid}{_takes(workspace, launch)}")
        bot = Bot(workspace, launch, folder, models, practice, tell, console)
        try:
            return asyncio.run(bot.run()), bot.next_life
        except ModelError as error:
            raise with_remedy(error, workspace.config, launch, folder) from None
        finally:
            begun.append(bot.is_up)


def _takes(workspace: Workspace, launch: Launch) -> str:
    """Say how long the bars of a rehearsal take, where that is known and worth a word."""
    speed = "" if launch.rehearsal is None else launch.rehearsal.speed
    if not launch.bars or speed in {"", "max", "lockstep"}:
        return ""
    minutes = launch.bars * workspace.config.data.timeframe.ms / 60_000 / float(speed)
    return f"; {launch.bars:,} bars take {minutes:,.1f} minutes at this speed" if minutes > 1 else ""


def _account_file(workspace: Workspace) -> Path | None:
    """Where bots of the same account on this machine meet: two would take each other's trades for foreign ones."""
    key = load_secrets(workspace.config.folder).exchange_api_key
    exchange = workspace.config.traded_on
    return None if key is None else account_lock_file(exchange, key.get_secret_value())


def _rehearse(
    workspace: Workspace, rehearsal: Rehearsal, folder: Path, tell: Callable[[str], None]
) -> tuple[PracticeProcess | None, int]:
    """Find the exchange of an earlier life, or make room for a new one; give where its replay begins."""
    found = find_exchange(folder)
    if found is not None:
        tell(f"Going on with the practice exchange at {found.url}, as it was begun: {begun_with(folder)}")
        return found, found.start_ms
    _make_room(folder, tell)
    return None, build_exchange(workspace, rehearsal).venue.now


def _make_room(folder: Path, tell: Callable[[str], None]) -> None:
    """Put aside what a bot knew of an exchange that is gone: its orders are nowhere any more."""
    stays = {LOCK_FILE, SOCKET}
    kept = [path for path in folder.iterdir() if path.name not in stays and not path.name.startswith("earlier-")]
    if not kept:
        return
    number = 1 + sum(path.name.startswith("earlier-") for path in folder.iterdir())
    aside = folder / f"earlier-{number}"
    aside.mkdir()
    for path in kept:
        path.rename(aside / path.name)
    tell(f"The practice exchange of before is gone; what was known of it lies in {aside}")


def describe_account(workspace: Workspace) -> tuple[str, ...]:
    """Say what a bot on a real account trades, with what, and what it may never do."""
    config = workspace.config
    check_account(config, Launch(is_paper=False))
    check_markets(workspace, Launch(is_paper=False))
    section, limits = config.live, config.live.limits
    exchange = config.traded_on
    place = f"{exchange}, its test network" if section.sandbox else exchange
    cash = "not set" if section.cash is None else f"{section.cash:,.2f}"
    rules = {
        "largest order": limits.max_order_notional,
        "largest position": limits.max_position_notional,
        "orders a minute": limits.max_orders_per_minute,
        "daily loss": limits.max_daily_loss,
        "drawdown": limits.max_drawdown,
    }
    told = ", ".join(f"{name} {value or 'no limit'}" for name, value in rules.items())
    traded = f"{', '.join(config.data.symbols)} {config.data.timeframe}, {config.strategy.name}"
    kind = "perpetuals at 1x, isolated, one way" if ":" in config.data.symbols[0] else "spot"
    return (
        f"{section.name} on {place}: {traded}; {kind}",
        f"It may use {cash} of quote currency (live.cash). Limits: {told}",
        "It buys and sells at the market, rests stops, cancels its own orders, and never touches those of others",
    )
