"""What holding perpetuals cost: written down as it is booked, and on an account held against what was expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.datafeeds.settlements import settled_at
from itb.live.orders import events as ev
from itb.live.orders.funding import held_at
from itb.live.orders.state import EXACT, total
from itb.live.run.event_log import Kind
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.live.gateways.port import Settlement
    from itb.live.gateways.published import PublishedRates
    from itb.live.run.account import Account
    from itb.live.run.event_log import EventLog
    from itb.live.run.health import HealthBoard

LATE_MS = 10 * 60_000  # a payment that is not in the account's history by then is missing
_SHARE = Decimal("1e-6")
_UNITS = Decimal("2e-8")  # exchanges write 8 decimals


def expected(qty: Decimal, settled: Settlement) -> Decimal:
    """Give what a position brings (below 0: costs) at a settlement, by its rate and mark price.

    >>> from itb.live.gateways.port import Settlement
    >>> expected(Decimal(-2), Settlement(0, Decimal("0.0001"), Decimal(50_000)))
    Decimal('10.0000')
    """
    return -EXACT.multiply(EXACT.multiply(qty, settled.rate), settled.mark)


@dataclass
class FundingWatch:
    """Follows one account's payments. ``clock`` gives UTC milliseconds of the exchange's clock, estimated.

    On an account each settlement since the last payment of earlier lives is looked at once both sides are known: what
    the exchange booked, and what its own rate and mark price make of the position. Where they differ, or a payment is
    missing after ten minutes, it is told, until a settlement agrees.
    """

    account: Account
    published: PublishedRates
    log: EventLog
    board: HealthBoard
    clock: Callable[[], float]
    _booked: dict[tuple[str, int], list[ev.Funded]] = field(default_factory=lambda: defaultdict(list))
    _judged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        book = self.account.dealer.book
        self._since = max((settled_at(paid.time) for paid in book.fundings.values()), default=book.opened_at)
        self.account.dealer.listen(self._hear)

    def _hear(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.Funded):
                paid = event.payment
                if self.account.paper is None:
                    self._booked[paid.symbol, settled_at(paid.time)].append(event)
                self._write(
                    event.time, paid.symbol, "booked", settled=settled_at(paid.time), amount=paid.amount,
                    currency=paid.currency, held=total(qty for _, qty in event.held), price=paid.price or None,
                )  # fmt: skip
            elif isinstance(event, ev.Owed):
                due = event.due
                self._write(event.time, due.symbol, "owed", settled=due.opened, held=due.qty, price=due.price)
            elif isinstance(event, ev.Waived):
                self._write(event.time, event.name.partition("|")[0], "nothing due")

    def _write(self, time: int, symbol: str, what: str, **more: object) -> None:
        self.log.write(Kind.FUNDING, time=time, account=self.account.name, symbol=symbol, what=what, **more)

    def judge(self, symbol: str) -> None:
        """Compare what was settled since the last time; nothing to do on paper, which is reckoned, not told."""
        if self.account.paper is not None:
            return
        now = int(self.clock())
        since = self._judged.get(symbol, self._since) + 1
        for settled in self.published.between(symbol, since, now):
            booked = self._booked.get((symbol, settled.time))
            if booked is None and now - settled.time < LATE_MS:
                return  # the account's history is asked once a minute
            self._judged[symbol] = settled.time
            self._booked.pop((symbol, settled.time), None)
            self._compare(symbol, settled, booked or [])

    def _compare(self, symbol: str, settled: Settlement, booked: Sequence[ev.Funded]) -> None:
        held = booked[0].held if booked else held_at(self.account.dealer.book, symbol, settled.time)
        qty, key = total(size for _, size in held), f"funding of {symbol} differs"
        if not booked and (not qty or not settled.rate):
            return
        paid, when = total(event.payment.amount for event in booked), utc(settled.time)
        if not settled.mark:
            return  # older settlements are told without it
        due = expected(qty, settled)
        if abs(EXACT.subtract(paid, due)) <= _UNITS + abs(due) * _SHARE:
            self.board.well(key)
            return
        told = f"{paid:f}" if booked else "nothing"
        text = (
            f"{symbol}: the settlement of {when} booked {told}; {qty:f} at its rate {settled.rate:f} and mark price "
            f"{settled.mark:f} make {due.normalize():f}: look at the account's history"
        )
        self._write(
            int(self.clock()), symbol, "differs", settled=settled.time, amount=paid, expected=due, held=qty,
            rate=settled.rate, mark=settled.mark,
        )  # fmt: skip
        self.board.trouble(key, text)
