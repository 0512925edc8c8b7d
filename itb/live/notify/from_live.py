"""A live run's own values as events: its troubles, executions and trades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.live.notify.events import FillSeen, StateChanged, TradeClosed

if TYPE_CHECKING:
    from itb.ledger.trades import Trade
    from itb.live.gateways.port import VenueTrade
    from itb.live.notify.events import State
    from itb.live.run.health import Change


def of_change(change: Change) -> StateChanged:
    """Tell a trouble that began or is over; one that halts trading as a halt.

    >>> from itb.live.run.health import Change, Trouble
    >>> told = of_change(Change(Trouble("venue", "maintenance", since=5, count=3), True, 9, "NORMAL"))
    >>> told.state, told.text, told.topic, told.since, told.count
    ('recovered', 'maintenance', 'venue', 5, 3)
    """
    trouble = change.trouble
    states: tuple[State, State] = ("halted", "resumed") if trouble.halts else ("degraded", "recovered")
    since = trouble.since if change.is_over else 0
    return StateChanged(change.time, states[change.is_over], trouble.text, trouble.key, since, trouble.count)


def of_execution(trade: VenueTrade, reason: str, fee_quote: float) -> FillSeen:
    """Tell an execution; ``reason`` is that of its order, ``fee_quote`` its fee's worth in quote."""
    return FillSeen(
        trade.time, trade.symbol, trade.side, float(trade.qty), float(trade.price), fee_quote, reason, trade.trade_id
    )


def of_trade(trade: Trade, time: int) -> TradeClosed:
    """Tell a closed trade that ended at a ``time``."""
    return TradeClosed(
        time, trade.symbol, trade.side, trade.entry_time, trade.qty, trade.entry_price, trade.exit_price,
        trade.fees_quote, trade.pnl, trade.return_, trade.exit_reason,
    )  # fmt: skip
