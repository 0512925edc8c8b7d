"""Overlapping tranches: equal parts of an account, each with a position and an exit of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.live.bars.gate import StartGate

if TYPE_CHECKING:
    from itb.live.run.account import Account, Lane

_WAITS = "another tranche is next"


class Turn(StartGate):
    """The gate of one tranche: open while that of the bot is and it is this one's turn.

    >>> bots = StartGate()
    >>> turn = Turn(bots)
    >>> turn.is_open
    True
    >>> bots.hold("reconciliation")
    >>> turn.is_open
    False
    """

    def __init__(self, gate: StartGate) -> None:
        super().__init__()
        self._bots = gate

    @property
    def is_open(self) -> bool:
        """Whether decisions count."""
        return self._bots.is_open and super().is_open


def give_turns(account: Account) -> None:
    """Let every tranche decide that holds or has ordered something, and of the others in a market the first alone.

    So a trigger enters one tranche, the next trigger the next one, and each is left by itself.
    """
    busy = {
        (order.intent.strategy, order.intent.symbol)
        for order in (account.dealer.book.orders[key] for key in account.dealer.book.active)
    }
    is_given: set[str] = set()
    for lane in account.lanes:
        if lane.turn is None:
            continue
        (symbol,) = lane.symbols
        if _is_free(lane, busy) and symbol in is_given:
            lane.turn.hold(_WAITS)
        else:
            lane.turn.clear(_WAITS)
            if _is_free(lane, busy):
                is_given.add(symbol)


def _is_free(lane: Lane, busy: set[tuple[str, str]]) -> bool:
    """Whether it holds less than a step, dust left by fees, and has no order that is unfinished."""
    venues = lane.broker.allotment.venues
    held = any(venues[symbol].quantise(float(lane.books.sizes[symbol])) for symbol in lane.symbols)
    return not held and not any((lane.name, symbol) in busy for symbol in lane.symbols)
