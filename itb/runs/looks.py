"""Looks at performance figures: counted before they are shown, kept for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config.dump import config_hash
from itb.ledger.register import Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.charts.data import Tone
    from itb.market.bars import Bars
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace


def earlier_looks(workspace: Workspace, market: Market, window: Bars) -> int:
    """Count the settings whose figures were looked at on this market over a time that overlaps the bars of a window."""
    past = workspace.register.looks(market.name, int(window.open_time[0]), int(window.close_time[-1]))
    return sum(look.trials for look in past)


def enter_look(
    workspace: Workspace,
    market: Market,
    window: Bars,
    *,
    run_id: str,
    command: str,
    metrics: Mapping[str, float | int | None],
    trials: int = 1,
    is_counted_up: bool = False,
) -> None:
    """Enter figures on the bars of a window into the register; call it before they are shown.

    ``trials`` counts the settings whose figures are shown side by side; with ``is_counted_up`` it counts all that the
    run has by now, and those that were entered before are not entered again.
    """
    look = Look(
        time=workspace.clock(),
        run_id=run_id,
        command=command,
        market=market.name,
        symbol=market.bars.symbol,
        timeframe=str(market.bars.timeframe),
        from_ms=int(window.open_time[0]),
        to_ms=int(window.close_time[-1]),
        fingerprint=market.fingerprint,
        config_hash=config_hash(workspace.config),
        metrics=metrics,
        holdout_seen=market.holdout_seen,
        trials=trials,
    )
    if is_counted_up:
        workspace.register.count_up(look)
    else:
        workspace.register.add(look)


def look_note(number: int) -> tuple[str, Tone]:
    """Say the how-manieth look this is, and in which tone.

    >>> look_note(2)[0]
    'Look number 2 at this market over this stretch of time: the more looks, the luckier the best one.'
    """
    if number == 1:
        return "This is the first look at this market over this stretch of time.", "plain"
    told = f"Look number {number} at this market over this stretch of time: the more looks, the luckier the best one."
    return told, "warn"
