"""The books of an account's lanes, kept by the journal: what each strategy owns on each market."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from itb.live.host.kept_books import KeptBooks
from itb.live.orders import events as ev
from itb.live.orders.funding import share_of

if TYPE_CHECKING:
    from itb.live.orders.book import Book
    from itb.live.run.account import Lane

Told = Callable[["Lane", ev.Traded], None]


@cache
def _adapter() -> TypeAdapter[dict[str, KeptBooks]]:
    return TypeAdapter(dict[str, KeptBooks])


class LaneBooks:
    """A fold over the journal, and a part of its checkpoints.

    ``told`` hears of each execution once :attr:`is_live` is set: not of those of earlier lives.
    """

    name = "lanes"

    def __init__(self, lanes: Sequence[Lane], told: Told) -> None:
        self._lanes, self._told = lanes, told
        self.is_live = False

    def take(self, event: ev.Event, book: Book) -> None:
        """Take in an event that the book has taken in."""
        if isinstance(event, ev.Funded):
            self._fund(event)
        elif isinstance(event, ev.Traded):
            self._book(event, book)

    def _book(self, event: ev.Traded, book: Book) -> None:
        key = book.by_venue.get((event.trade.symbol, event.trade.order_id))
        if key is None:
            return
        intent = book.orders[key].intent
        for lane in self._lanes:
            if lane.name == intent.strategy and intent.symbol in lane.symbols:
                lane.books.book(event.trade, intent.reason, 0)
                if self.is_live:
                    self._told(lane, event)

    def _fund(self, event: ev.Funded) -> None:
        for lane in self._lanes:
            share = share_of(event, lane.name)
            if share and event.payment.symbol in lane.symbols:
                lane.books.book_funding(event.payment, share)

    def text(self) -> str:
        """Write the books down."""
        return _adapter().dump_json({lane.label: KeptBooks.of(lane.books) for lane in self._lanes}).decode()

    def take_up(self, text: str) -> bool:
        """Take the books up from a text; give whether it has those of every lane, by the same terms."""
        try:
            kept = _adapter().validate_json(text)
        except ValidationError:
            return False
        found = [(lane, kept.get(lane.label)) for lane in self._lanes]
        if not all(one is not None and one.fits(lane.books) for lane, one in found):
            return False
        for lane, one in found:
            assert one is not None
            one.write(lane.books)
        return True
