"""Plans: several orders with one purpose, each step following from what was witnessed of the ones before.

A plan keeps nothing in memory: its next moves are a pure function of its legs. So a restart goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.moves import Legs, Move, PlanState, leg_of, plan_key
from itb.live.orders.working import WHOLE, Slicing, Work
from itb.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Worked:
    """An order that is worked and protects nothing: it follows new prices, and is cut into parts where it is large.

    Parameters
    ----------
    name
        Names the plan.
    intent
        The whole order.
    slicing
        How it is cut.
    """

    name: str
    intent: Intent
    slicing: Slicing = WHOLE
    kind: Literal["worked"] = "worked"

    def _work(self, state: PlanState, legs: Legs) -> Work:
        is_over = bool(state.exit_reason) or "entry" in state.dropped
        return Work(self.intent, legs.get("part", ()), self.slicing, state.entry_price, is_over)

    def moves(self, state: PlanState, legs: Legs, instrument: Instrument, now: int) -> list[Move]:
        """Cancel at the old price, wait for the witness, send what is left; or send the next part."""
        work = self._work(state, legs)
        ending, following = work.ending(), work.next(instrument)
        if ending is not None:
            return [ending]
        if following is None or not work.is_due(now):
            return []
        return [leg_of(self, "part", replace(following, asked_at=now), len(work.orders) + 1)]

    def owns(self, intent: Intent) -> bool:
        """Whether an order is one of those that it is worked by: all are."""
        return intent.plan == plan_key(self)

    def is_entering(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether another order is to follow, now that the last one is settled."""
        return self._work(state, legs).next(instrument) is not None

    def is_done(self, state: PlanState, legs: Legs, instrument: Instrument) -> bool:
        """Whether everything was bought or sold, or it was ended."""
        work = self._work(state, legs)
        is_begun = bool(work.orders) or work.is_over
        return is_begun and all(one.is_settled for one in work.orders) and not self.is_entering(state, legs, instrument)


Plan: TypeAlias = Bracket | Worked
