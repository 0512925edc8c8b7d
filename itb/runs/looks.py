"""Enter a look at a performance figure into the register: every command that prints one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config.dump import config_hash
from itb.ledger.register import Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.market.bars import Bars
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace


def enter_look(
    workspace: Workspace,
    market: Market,
    window: Bars,
    *,
    run_id: str,
    command: str,
    metrics: Mapping[str, float | int | None],
) -> None:
    """Record that figures of ``market`` over ``window`` were looked at."""
    workspace.register.add(
        Look(
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
        )
    )
