"""What a bot says when its life is over."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.errors import ModelError
from itb.live.cockpit import to_json
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.live.cockpit import Cockpit
    from itb.runs.live import Launch

_ALL = 1_000_000
_REPLAYED = (
    "the replay is over: two minutes from now the same command begins a new one, with --set live.name=NAME at once"
)


def command(config: Config, *words: str) -> str:
    """Word a command with the config in use, as it can be typed.

    >>> from itb.config import load_config
    >>> command(load_config(environ={}), "live", "--paper")
    'itb live --paper'
    """
    return shlex.join(["itb", *words, *(["-c", str(config.source)] if config.source is not None else [])])


def with_remedy(error: ModelError, config: Config, launch: Launch, folder: Path) -> ModelError:
    """Say with an error about a bot's own models how they are trained anew: `itb walkforward` does not reach them."""
    flags = {"paper": "--paper", "practice": "--practice", "paper on practice": "--paper --practice"}
    again = command(config, "live", *flags.get(launch.mode, "").split())
    models = folder / "models"
    if not any(models.glob("*/columns.json")):
        return error  # none were trained yet
    told = str(error).partition(" Run `itb walkforward`")[0].rstrip(".")
    return ModelError(f"{told}. To train this bot's models anew: rm -r {shlex.quote(str(models))} && {again}")


def last_words(cockpit: Cockpit, folder: Path, *, is_over: bool = False) -> Said:
    """Say how it went, what is held, and where everything is; ``is_over``: a replay has no more bars."""
    status = cockpit.status()
    closed = [trade for trade in cockpit.trades(_ALL) if not trade.is_open]
    profit = sum((trade.profit or Decimal(0) for trade in closed), Decimal(0))
    held = ", ".join(f"{line.qty} {line.symbol}" for line in status.positions) or "nothing"
    trades = "1 trade" if len(closed) == 1 else f"{len(closed):,} trades"
    shadows = [line for line in status.strategies if line.is_shadow]
    lines = (
        f"Stopped after {status.steps:,} bars: {trades} closed, {profit:+.2f} quote; holding {held}",
        *(f"shadow {line.name}: {line.trades:,} trades closed, {line.profit:+.2f} quote" for line in shadows),
        f"Everything is in {folder}; {_REPLAYED if is_over else 'the same command goes on from there'}",
    )
    return Said({"steps": status.steps, "status": to_json(status)}, lines)
