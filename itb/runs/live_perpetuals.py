"""What a bot may do on its markets: no shorts on spot, and on perpetuals only what is safe there."""

from __future__ import annotations

import functools
import logging
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from itb.config import parts
from itb.config.plugins import load_plugins
from itb.errors import ConfigError, GatewayError
from itb.live.asking import ask, doubling
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.port import NoAnswerError
from itb.live.journal.store import Journal
from itb.runs.live_parts import journal_of
from itb.runs.live_strategies import variant
from itb.runs.practice import refuse_perpetuals
from itb.strategies.loading import load_strategy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from itb.config import Config
    from itb.config.live import LiveStrategyPart, ShadowPart
    from itb.live.gateways.ccxt_gateway import CcxtGateway
    from itb.market.instrument import Instrument
    from itb.runs.live import Launch
    from itb.runs.workspace import Workspace

_PAUSES_S = tuple(islice(doubling(0.5, 16.0), 6))  # half a minute
_log = logging.getLogger(__name__)
T = TypeVar("T")


def check_markets(workspace: Workspace, launch: Launch) -> None:
    """Refuse what a bot's markets do not allow, before anything is learned or asked.

    Raises :class:`itb.errors.ConfigError`: for shorts on spot, spot beside perpetuals, two perpetuals of one coin (the
    account tells them apart by coin), and perpetuals on the practice exchange, which is spot.
    """
    config = workspace.config
    symbols = config.data.symbols
    perpetuals = [symbol for symbol in symbols if ":" in symbol]
    if not perpetuals:
        _refuse_shorts(workspace)
        return
    key = ("data", "symbols")
    if len(perpetuals) < len(symbols):
        told = "spot and perpetuals are two accounts; run one bot for each of them"
        raise ConfigError(config.complaint(key, told))
    if len({symbol.partition("/")[0] for symbol in symbols}) < len(symbols):
        told = f"two perpetuals of one coin cannot be told apart on an account ({', '.join(symbols)}); run a bot each"
        raise ConfigError(config.complaint(key, told))
    if launch.rehearsal is not None:
        refuse_perpetuals(config)


def _refuse_shorts(workspace: Workspace) -> None:
    config = workspace.config
    spot = config.data.symbols[0]
    for where, place in _variants(workspace):
        strategy = load_strategy(place.config.strategy.name, config.folder, load_plugins(config))
        settings = parts.strategy_settings(place.config, strategy)
        declared = getattr(strategy, "Settings", None)
        known = settings if declared is None else vars(declared(**settings))
        if known.get("allow_short"):
            told = (
                f"true, but {spot} is spot, where only what is held can be sold; leave it out, or trade a perpetual "
                f"such as {spot}:{spot.partition('/')[2]}"
            )
            raise ConfigError(config.complaint((*where, "allow_short"), told))


def _variants(workspace: Workspace) -> Iterator[tuple[tuple[str | int, ...], Workspace]]:
    """Give each strategy's place in the config, and the workspace that it is chosen by."""
    live = workspace.config.live
    if not live.strategies:
        yield ("strategy",), workspace
    tables: dict[str, tuple[LiveStrategyPart | ShadowPart, ...]] = {
        "strategies": live.strategies,
        "shadows": live.shadows,
    }
    for table, found in tables.items():
        for number, part in enumerate(found):
            has_own = "allow_short" in part.settings
            yield ("live", table, number) if has_own else ("strategy",), variant(workspace, part)


async def terms_of(remote: CcxtGateway, config: Config, launch: Launch, folder: Path) -> dict[str, Instrument]:
    """Ask for the filters of every market, once an account of perpetuals is seen to be as it must be.

    Raises :class:`itb.errors.GatewayError` where it is not.
    """
    if isinstance(remote, CcxtPerpetuals) and not launch.is_paper:
        with Journal(journal_of(config, folder)) as journal:
            is_new = next(iter(journal.events()), None) is None
        try:
            await _answer(lambda: remote.prepare(config.data.symbols, sets=config.live.set_margin, is_new=is_new))
        except NoAnswerError as error:
            raise GatewayError(f"the account's margin cannot be looked at: {error}; start again") from None
    symbols = config.data.symbols
    return {symbol: await _answer(functools.partial(remote.instrument, symbol)) for symbol in symbols}


async def _answer(question: Callable[[], Awaitable[T]]) -> T:
    def told(error: Exception, pause: float) -> None:
        _log.warning("%s; asking again in %g s", error, pause)

    return await ask(question, _PAUSES_S, told, failures=(NoAnswerError,))
