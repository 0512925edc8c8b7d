"""The parts of a bot, built from a config: when bars are final, how fast a venue is asked, limits, accounts, lanes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from itb.config.environment import load_secrets
from itb.errors import BarsError, ConfigError
from itb.live.bars.barrier import BarrierRules
from itb.live.bars.pump import Patience
from itb.live.bars.schedule import BarRules
from itb.live.dealer import Dealer
from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.bar_venue import BarVenue
from itb.live.gateways.ccxt_line import Account as Login
from itb.live.gateways.ccxt_line import Line, open_line
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.lasting import bar_after
from itb.live.gateways.paper import BarPaper
from itb.live.journal.store import Journal
from itb.live.lookout import Pace
from itb.live.orders.limits import Limits
from itb.live.orders.machine import KEPT, Machine
from itb.live.orders.rules import Rules
from itb.live.paper import resume
from itb.live.run.account import Account
from itb.live.run.bars import BarPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from itb.config import Config
    from itb.live.gateways.ccxt_gateway import CcxtGateway
    from itb.live.gateways.port import KnowsRates
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.runs.live import Launch
    from itb.runs.live_models import LiveModels
    from itb.runs.rehearsal import PracticeProcess
    from itb.runs.workspace import Workspace

_MARGIN_MS = 3_000
_POLL_MS, _IDLE_MS, _BACKOFF_MS = 3_000, 60_000, 60_000
_RETRY_MS, _RETRY_MOST_MS, _AGREE_MS = 250, 30_000, 3_000
_LOCKSTEP_BAR_S = 0.005  # longest sleep between two looks where market time stands until it is answered
_LEAST_HISTORY, _LEAST_KEPT = 100, 1_000
JOURNAL = "journal.sqlite"


def journal_of(config: Config, folder: Path) -> str | Path:
    """Give where a bot's journal is: ``live.journal`` is that of the real account, and no rehearsal writes into it."""
    return config.live.journal if config.live.journal and folder.name == config.live.name else folder / JOURNAL


def stored_bars(workspace: Workspace, until_ms: int | None = None) -> dict[str, Bars | None]:
    """Give the stored bars of each symbol before ``until_ms``; ``None`` where there are none."""
    from itb.runs.market import load_bars

    found: dict[str, Bars | None] = {}
    for symbol in workspace.config.data.symbols:
        try:
            bars: Bars | None = load_bars(workspace, symbol)
        except BarsError:
            bars = None
        found[symbol] = bars if bars is None or until_ms is None else bars.between(None, until_ms)
    return found


def bar_plan(config: Config, models: Mapping[str, LiveModels], speed: float, *, is_practice: bool) -> BarPlan:
    """Say which bars the bot reads; ``speed`` is how fast the market runs, 0 where it waits for answers."""
    section, frame = config.live, config.data.timeframe
    needed = max((one.reach for one in models.values()), default=0) + 1 + section.self_check
    pace = speed or 1.0
    rules = BarRules(
        frame,
        gaps=section.gaps or config.data.gaps,
        delay_ms=0 if is_practice else section.delay.ms,
        give_up_ms=round(max(section.give_up.ms, _AGREE_MS) * pace),
        retry_ms=round(_RETRY_MS * pace),
        retry_most_ms=round(_RETRY_MOST_MS * pace),
        agree_ms=round(_AGREE_MS * pace),
    )
    barrier = BarrierRules(
        frame,
        deadline_ms=round(section.deadline.ms * pace),
        policy=section.behind,
        fresh_ms=round(section.fresh.ms * pace),
    )
    patience = Patience(speed=speed or frame.ms / 1000 / _LOCKSTEP_BAR_S)
    return BarPlan(rules, barrier, max(section.history, needed, _LEAST_HISTORY), patience)


def kept_bars(history: Bars) -> int:
    """Give how many bars a running bot keeps in memory at least: as many as a start reads, so that it looks as far."""
    return max(len(history), _LEAST_KEPT)


def exchange_line(config: Config, launch: Launch, practice: PracticeProcess | None) -> Line:
    """Open the way to the exchange: the practice one, a real one's public side for paper, or an account.

    Raises :class:`itb.errors.ConfigError` where there is none, or its keys are missing.
    """
    symbols, section = config.data.symbols, config.live
    rehearsal = launch.rehearsal
    if practice is not None and rehearsal is not None:
        text = rehearsal.speed
        speed = 1.0 if text in {"max", "lockstep"} else float(text)
        return open_line(traits_of("binance", symbols), Login(practice_url=practice.url, speed=speed))
    check_account(config, launch)
    exchange = config.traded_on
    if launch.is_paper:
        return open_line(traits_of(exchange, symbols, allow_unsafe=True), Login(sandbox=section.sandbox))
    key, secret = _keys(config)
    login = Login(key=key, secret=secret, sandbox=section.sandbox)
    return open_line(traits_of(exchange, symbols, allow_unsafe=section.trust_unfindable), login)


def check_account(config: Config, launch: Launch) -> None:
    """Refuse what cannot trade before anything is learned or anybody is asked; a rehearsal needs nothing.

    Raises :class:`itb.errors.ConfigError` where there is no exchange, no cash, or no keys.
    """
    if launch.rehearsal is not None:
        return
    if config.traded_on == "synthetic":
        told = "the built-in market is no exchange: rehearse on it with --practice, or name one with --exchange"
        raise ConfigError(config.complaint(("data", "exchange"), told))
    if not launch.is_paper:
        usable_cash(config)
        _keys(config)


def _keys(config: Config) -> tuple[str, str]:
    secrets = load_secrets(config.folder)
    key, secret = secrets.exchange_api_key, secrets.exchange_api_secret
    if key is None or secret is None:
        raise ConfigError(
            "no keys for the exchange: set ITB_EXCHANGE_API_KEY and ITB_EXCHANGE_API_SECRET, in the environment or "
            "in an owner-only .env beside the config"
        )
    return key.get_secret_value(), secret.get_secret_value()


def limits_of(config: Config) -> Limits:
    """Give the hard limits."""
    section = config.live.limits
    return Limits(
        max_order_notional=section.max_order_notional,
        max_position_notional=section.max_position_notional,
        max_orders_per_minute=section.max_orders_per_minute,
        max_daily_loss=section.max_daily_loss,
        max_drawdown=section.max_drawdown,
        allow_short=all(":" in symbol for symbol in config.data.symbols),
    )


def venue_account(
    config: Config,
    gateway: CcxtGateway,
    instruments: Mapping[str, Instrument],
    file: Path | str,
    clock: Callable[[], float],
    speed: float,
) -> Account:
    """Make the account at a venue, real or practice; its times are the market's, so they stretch with its speed."""
    section, pace = config.live, speed or 1.0
    machine = Machine(
        limits_of(config),
        Rules(margin_ms=round(_MARGIN_MS * pace)),
        instruments=dict(instruments),
        window_ms=gateway.window_ms,
    )
    dealer = Dealer(
        gateway,
        Journal(file),
        owner=section.name,
        clock=lambda: int(clock()),
        machine=machine,
        pace=Pace(round(_POLL_MS * pace), round(_IDLE_MS * pace), round(_BACKOFF_MS * pace)),
        drift_policy=section.drift,
    )
    return Account("main", dealer, pulse_s=0.25 if speed == 1.0 else 0.02)


def paper_account(
    config: Config,
    name: str,
    cash: Decimal,
    instruments: Mapping[str, Instrument],
    histories: Mapping[str, Bars],
    file: Path | str,
    *,
    rates: KnowsRates | None = None,
    is_shadow: bool = False,
) -> Account:
    """Make an account on paper that fills by bars, with ``cash`` of each quote currency at its first start.

    ``rates`` knows what was published of the funding of perpetuals.
    """
    balances: dict[str, Decimal] = {}
    for symbol in instruments:
        base, quote = symbol.split(":")[0].split("/")
        balances.setdefault(base, Decimal(0))
        balances[quote] = cash
    kind = BarPerpetuals if all(one.is_perpetual for one in instruments.values()) else BarVenue
    venue = kind(tuple(instruments.values()), balances, config.costs, bar_ms=config.data.timeframe.ms, keep=KEPT)
    for symbol, bars in histories.items():
        venue.quote(symbol, Decimal(repr(float(bars.close[-1]))))
    journal = Journal(file)
    if resume(venue, journal) is None:
        venue.now = min(int(bars.close_time[-1]) for bars in histories.values())
    paper = BarPaper(venue, rates)
    dealer = Dealer(
        paper,
        journal,
        owner=config.live.name,
        clock=paper.clock,
        machine=Machine(limits_of(config), instruments=dict(instruments)),
        drift_policy=config.live.drift,
    )
    return Account(name, dealer, paper, is_shadow)


def paper_goes_on(config: Config, folder: Path) -> int | None:
    """Give the bar that an account on paper goes on with, ``None`` for a new one.

    Orders of an earlier life must meet every bar since, so those bars are no history; on trades or book they meet none.
    """
    if config.live.prices != "bars":
        return None
    journal = Journal(journal_of(config, folder))
    try:
        newest = journal.newest()
    finally:
        journal.close()
    return None if newest is None else bar_after(newest.time, config.data.timeframe.ms)


def purses(config: Config) -> tuple[tuple[str, ...], ...]:
    """Give the markets that trade one purse each: every symbol alone, or all of them on a shared account."""
    symbols = config.data.symbols
    return (symbols,) if config.account.shared else tuple((symbol,) for symbol in symbols)


def paper_cash(config: Config, *, is_shadow: bool = False) -> Decimal:
    """Give the cash of an account on paper: as said, else that of the backtest for each purse of each strategy.

    A shadow's account is that of one strategy.
    """
    if config.live.cash is not None:
        return Decimal(repr(config.live.cash))
    strategies = 1 if is_shadow else max(1, len(config.live.strategies))
    return Decimal(repr(config.backtest.cash)) * strategies * len(purses(config))


def usable_cash(config: Config) -> Decimal:
    """Give the quote currency that a bot on a real account may use."""
    if config.live.cash is None:
        told = (
            "not set; say how much quote currency the bot may use: an account's balance is changed by other hands, too"
        )
        raise ConfigError(config.complaint(("live", "cash"), told))
    return Decimal(repr(config.live.cash))
