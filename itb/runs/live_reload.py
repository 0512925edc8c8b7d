"""Whether a running bot may go on by another config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config.told import outputs
from itb.errors import ConfigError
from itb.runs.herald import open_ways
from itb.runs.live_models import refuse_unspoken
from itb.runs.live_parts import usable_cash
from itb.runs.live_training import refuse_unlearned
from itb.runs.strategy import check_settings

if TYPE_CHECKING:
    from itb.config import Config


def check_following(before: Config, after: Config, *, is_real: bool) -> None:
    """Refuse a config that no bot could start with, or that means another account than the one agreed to.

    Raises :class:`itb.errors.ConfigError`; the bot goes on as it was.
    """
    for name, was, now in (
        ("name", before.live.name, after.live.name),
        ("exchange", before.traded_on, after.traded_on),
        ("sandbox", before.live.sandbox, after.live.sandbox),
        ("journal", before.live.journal, after.live.journal),
    ):
        if was != now:
            told = f"was {was!r} when the bot began, is {now!r} now: stop the bot and start it anew to change it"
            raise ConfigError(after.complaint(("live", name), told))
    check_settings(after)
    outputs(after)
    open_ways(after)
    refuse_unspoken(after)
    if after.live.retrain:
        refuse_unlearned(after)
    if is_real:
        usable_cash(after)
