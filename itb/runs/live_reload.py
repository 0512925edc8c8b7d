"""Whether a running bot may go on by another config."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from itb.config.told import outputs
from itb.errors import ConfigError
from itb.runs.herald import open_ways
from itb.runs.live_models import refuse_unspoken
from itb.runs.live_parts import usable_cash
from itb.runs.live_strategies import strategy_names
from itb.runs.live_training import refuse_unlearned
from itb.runs.strategy import check_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from itb.config import Config

Lanes = tuple[str, str]
"""A strategy's name and a symbol."""


def left_behind(held: Mapping[Lanes, Decimal], traded: Iterable[Lanes]) -> str:
    """Name what is held of markets, or for strategies, that are traded no more; nothing where there is none.

    >>> from decimal import Decimal
    >>> left_behind({("main", "ETH/USDT"): Decimal("0.5")}, [("main", "BTC/USDT")])
    '0.5 ETH/USDT of main'
    """
    gone = held.keys() - set(traded)
    return ", ".join(f"{held[lane]:f} {lane[1]} of {lane[0]}" for lane in sorted(gone) if held[lane])


def check_following(before: Config, after: Config, held: Mapping[Lanes, Decimal], *, is_real: bool) -> None:
    """Refuse a config that no bot could start with, that means another account, or that leaves a position to nobody.

    Raises :class:`itb.errors.ConfigError`; the bot goes on as it was.
    """
    for key, was, now in (
        (("live", "name"), before.live.name, after.live.name),
        (("live", "exchange"), before.traded_on, after.traded_on),
        (("live", "sandbox"), before.live.sandbox, after.live.sandbox),
        (("live", "journal"), before.live.journal, after.live.journal),
        (("account", "shared"), before.account.shared, after.account.shared),
        (("account", "tranches"), before.account.tranches, after.account.tranches),
    ):
        if was != now:
            told = f"was {was!r} when the bot began, is {now!r} now: stop the bot and start it anew to change it"
            raise ConfigError(after.complaint(key, told))
    if gone := left_behind(held, product(strategy_names(after), after.data.symbols)):
        told = f"{gone} would be left to nobody: close it first (`itb live close`), or keep both in the config"
        raise ConfigError(told)
    check_settings(after)
    outputs(after)
    open_ways(after)
    refuse_unspoken(after)
    if after.live.retrain:
        refuse_unlearned(after)
    if is_real:
        usable_cash(after)
