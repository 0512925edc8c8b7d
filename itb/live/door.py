"""The door: from the thread of a strategy to the dealer's, and the only way there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from itb.live.desk import Desk
    from itb.live.orders.intent import Intent
    from itb.live.orders.plans import Plan


@dataclass(frozen=True, slots=True)
class Ask:
    """Want an order."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a plan."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Close:
    """Close a plan's position, or ``qty`` of it."""

    plan: str
    reason: str
    qty: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Reprice:
    """Give a plan a new price: its stop, or the ``leg`` that is named; an entry at 0 is to take the market's."""

    plan: str
    price: Decimal
    reason: str
    leg: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Let a plan go on without its stop, its target or what is left of its entry."""

    plan: str
    leg: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End an order."""

    key: str
    reason: str = "asked"


Command: TypeAlias = Ask | Begin | Close | Reprice | Drop | Cancel


@dataclass(frozen=True, slots=True)
class Failure:
    """A command that the journal did not take: nothing came of it."""

    command: Command
    why: str


Failed: TypeAlias = Callable[[Failure], None]
Post: TypeAlias = Callable[[Callable[[], None]], object]


def at_once(call: Callable[[], None]) -> None:
    """Call in the same thread, for runs in which strategy and dealer share one."""
    call()


class Door:
    """Carries what strategies decide to the desk, in order; it is written and sent in the desk's next round.

    Parameters
    ----------
    desk
        Where orders are asked for.
    post
        Runs a call in the desk's thread (``loop.call_soon_threadsafe``).
    after
        Called in the desk's thread after each delivery: time for a pulse.
    """

    def __init__(self, desk: Desk, post: Post = at_once, after: Callable[[], None] = lambda: None) -> None:
        self._desk, self._post, self._after = desk, post, after

    def __call__(self, commands: Sequence[Command], failed: Failed) -> None:
        """Deliver commands, from any thread; ``failed`` hears in the desk's thread of each that nothing came of."""
        self._post(partial(self._deliver, tuple(commands), failed))

    def _deliver(self, commands: Sequence[Command], failed: Failed) -> None:
        for command in commands:
            self._desk.want(partial(self._carry_out, command), partial(_fail, failed, command))
        self._after()

    def _carry_out(self, command: Command) -> None:
        desk = self._desk
        if isinstance(command, Ask):
            desk.ask(command.intent)
        elif isinstance(command, Begin):
            desk.plan(command.plan)
        elif isinstance(command, Close):
            desk.close(command.plan, command.reason, command.qty)
        elif isinstance(command, Reprice):
            desk.reprice(command.plan, command.price, command.reason, command.leg)
        elif isinstance(command, Drop):
            desk.drop(command.plan, command.leg)
        else:
            desk.cancel(command.key, command.reason)


def _fail(failed: Failed, command: Command, why: str) -> None:
    failed(Failure(command, why))
