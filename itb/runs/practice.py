"""`itb practice`: the configured markets as an exchange on this machine that bots can rehearse on."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from itb.errors import BarsError, ConfigError
from itb.live.practice.exchange import Exchange
from itb.live.practice.faults import FaultPlan, Faults
from itb.live.practice.guard import KEY, SECRET, Meter
from itb.live.practice.orders import UNIT
from itb.live.practice.pace import parse_speed
from itb.live.practice.server import HOST, Server
from itb.live.practice.settlement import FEE_CURRENCIES, Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.bars import utc
from itb.runs.market import load_bars
from itb.runs.said import Said
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.config import Config
    from itb.market.bars import Bars
    from itb.runs.workspace import Workspace

Tell = Callable[[str], None]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal is: how fast, how long, with which money, and what goes wrong.

    Parameters
    ----------
    speed
        Market seconds per second, ``max`` or ``lockstep``.
    bars
        How many bars to replay; ``None`` replays the second half of what there is.
    start_ms
        Market time at which the replay begins (UTC milliseconds); ``None`` leaves ``bars`` to the end.
    faults, seed
        The plan of faults and what they are drawn from.
    cash
        Opening balance in each quote currency; ``None`` takes that of the backtest.
    volume_share
        Share of a bar's volume that orders may fill; ``None`` fills everything.
    limits
        Whether request weights are enforced.
    """

    speed: str = "1"
    bars: int | None = None
    start_ms: int | None = None
    faults: str = ""
    seed: int = 0
    cash: float | None = None
    volume_share: float | None = None
    limits: bool = False


def build_exchange(workspace: Workspace, rehearsal: Rehearsal) -> Exchange:
    """Put the configured markets into a practice exchange; costs, tick and step are those of the backtest.

    Raises :class:`itb.errors.ConfigError` for what it does not serve, perpetuals among it.
    """
    config = workspace.config
    refuse_perpetuals(config)
    speed, plan = _read("--speed", parse_speed, rehearsal.speed), _read("--faults", FaultPlan.parse, rehearsal.faults)
    markets = {symbol: load_bars(workspace, symbol) for symbol in config.data.symbols}
    start_ms, stop_ms = _span(markets, rehearsal)
    tapes = []
    for symbol, bars in markets.items():
        if not len(bars.between(None, start_ms)):
            raise BarsError(f"{symbol}: no bars before {utc(start_ms)}, where the replay begins; begin later")
        rules = instrument(config, bars)
        tapes.append(Tape(bars, replace(rules, tick=max(rules.tick, UNIT)), start_ms))
    cash = config.backtest.cash if rehearsal.cash is None else rehearsal.cash
    balances = {tape.rules.quote: Decimal(repr(float(cash))) for tape in tapes}
    share = rehearsal.volume_share
    terms = _terms(workspace, None if share is None else Decimal(repr(share)))
    if terms.fee_currency == "BNB" and not any(tape.rules.base == "BNB" for tape in tapes):
        told = "fees in BNB need its price: add a market such as BNB/USDT with --symbol"
        raise ConfigError(config.complaint(("costs", "fee_currency"), told))
    venue = Venue(tapes, balances, terms, start_ms=start_ms)
    return Exchange(
        venue, speed=speed, stop_ms=stop_ms, faults=Faults(plan, rehearsal.seed),
        meter=Meter(is_strict=rehearsal.limits),
    )  # fmt: skip


def refuse_perpetuals(config: Config) -> None:
    """Say that the practice exchange is spot, where a market is none."""
    perpetual = next((symbol for symbol in config.data.symbols if ":" in symbol), None)
    if perpetual is not None:
        told = f"the practice exchange trades spot, {perpetual} is a perpetual; rehearse it with `itb live --paper`"
        raise ConfigError(config.complaint(("data", "symbols"), told))


def practice(workspace: Workspace, rehearsal: Rehearsal, port: int, tell: Tell) -> Said:
    """Serve until SIGINT or SIGTERM; ``tell`` hears the address as soon as there is one."""
    exchange = build_exchange(workspace, rehearsal)
    asyncio.run(_serve(exchange, port, tell))
    venue = exchange.venue
    orders, fills = len(venue.orders), sum(len(order.fills) for order in venue.orders.values())
    totals = {asset: str(amount) for asset, amount in venue.wallet.totals().items()}
    data = {
        "time": venue.now, "over": exchange.is_over, "orders": orders, "fills": fills,
        "faults": len(exchange.faults.log), "totals": totals,
    }  # fmt: skip
    held = ", ".join(f"{amount} {asset}" for asset, amount in totals.items())
    line = (
        f"Stopped at {utc(venue.now)}: {orders:,} orders, {fills:,} fills, {len(exchange.faults.log):,} faults; {held}"
    )
    return Said(data, (line,))


async def _serve(exchange: Exchange, port: int, tell: Tell) -> None:
    server, stopped, loop = Server(exchange), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        try:
            url = await server.start(port)
        except OSError as error:
            told = f"--port {port}: cannot listen on {HOST}: {error.strerror}; 0 takes any port that is free"
            raise ConfigError(told) from error
        for line in _welcome(exchange, url):
            tell(line)
        await _until_stopped(server, stopped, tell)
    finally:
        await server.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _until_stopped(server: Server, stopped: asyncio.Event, tell: Tell) -> None:
    is_over = False
    while not stopped.is_set():
        if server.failure is not None:
            raise server.failure
        if server.exchange.is_over and not is_over:
            is_over = True
            tell(f"The replay is over at {utc(server.exchange.venue.now)}; time stands still until you stop me.")
        try:
            async with asyncio.timeout(0.25):
                await stopped.wait()
        except TimeoutError:
            continue


def _welcome(exchange: Exchange, url: str) -> tuple[str, ...]:
    venue = exchange.venue
    speed = f"{exchange.speed:g} x" if isinstance(exchange.speed, float) else exchange.speed
    planned = len({*exchange.faults.plan.rates, *exchange.faults.plan.exact})
    return (
        f"Practice exchange at {url} (Binance spot interface), key {KEY!r}, secret {SECRET!r}",
        f"{', '.join(tape.symbol for tape in venue.tapes.values())} from {utc(venue.now)} to {utc(exchange.stop_ms)}, "
        f"speed {speed}, {planned} kinds of fault" + (f", seed {exchange.faults.seed}" if planned else ""),
        "Ctrl-C stops it.",
    )


def _terms(workspace: Workspace, volume_share: Decimal | None) -> Terms:
    config = workspace.config
    costs = config.costs
    if costs.fee_currency not in FEE_CURRENCIES:
        told = f"the practice exchange takes fees in {', '.join(FEE_CURRENCIES)}, not in {costs.fee_currency!r}"
        raise ConfigError(config.complaint(("costs", "fee_currency"), told))
    try:
        return Terms.of(costs, volume_share)
    except ValueError as error:
        raise ConfigError(f"--volume-share: {error}") from error


def _span(markets: Mapping[str, Bars], rehearsal: Rehearsal) -> tuple[int, int]:
    """Where the replay begins and ends: at closes of bars."""
    ends = [int(bars.close_time[-1]) for bars in markets.values()]
    bars = next(iter(markets.values()))
    if rehearsal.bars is not None and not 0 < rehearsal.bars < len(bars):
        raise ConfigError(
            f"--bars {rehearsal.bars}: there are {len(bars):,} bars of {bars.label}, and one at least is history; "
            "replay fewer, or widen data.from and data.to"
        )
    if rehearsal.start_ms is not None:
        start_ms = bars.timeframe.next_close(rehearsal.start_ms - 1)
        first = int(bars.close_time.searchsorted(start_ms, side="right"))
    else:
        count = rehearsal.bars or math.ceil(len(bars) / 2)
        first = len(bars) - count
        start_ms = int(bars.close_time[first - 1])
    last = len(bars) - 1 if rehearsal.bars is None else first + rehearsal.bars - 1
    if not 0 < first < len(bars) or last >= len(bars):
        told = f"from {utc(start_ms)} there are {max(0, len(bars) - first):,} bars of {bars.label} to replay"
        raise ConfigError(f"--start: {told}; begin elsewhere or ask for fewer --bars")
    return start_ms, int(bars.close_time[last]) if rehearsal.bars else max(ends)


def _read(option: str, read: Callable[[str], Value], text: str) -> Value:
    try:
        return read(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
