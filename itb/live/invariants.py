"""What must be true of orders after any run, as code: the journal's book against the venue's own truth.

Each function gives the violations it finds, in words; an empty list is the promise kept. The numbers I1 … I12 are those
of the documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from itb.live.gateways.port import VenueOrder, VenueTrade
from itb.live.orders.book import Book
from itb.live.orders.events import Event
from itb.live.orders.ids import owner_prefix
from itb.live.orders.rules import Rules
from itb.live.orders.state import EXACT, OrderState, Phase, signed_change, total
from itb.live.reconcile import TINY


@dataclass(frozen=True)
class VenueTruth:
    """What a venue knows, seen from inside: all orders and executions, what the account holds and held at first."""

    orders: Sequence[VenueOrder]
    trades: Sequence[VenueTrade]
    balances: Mapping[str, Decimal]
    opening: Mapping[str, Decimal]

    def ours(self, book: Book) -> list[VenueOrder]:
        """Give the orders that bear the bot's name."""
        return [order for order in self.orders if order.client_id.startswith(owner_prefix(book.owner))]


def executed_once(book: Book, truth: VenueTruth) -> list[str]:
    """I1: at most one order of an intent was ever taken by the venue, over all its attempts."""
    taken = Counter(book.by_client.get(order.client_id, order.client_id) for order in truth.ours(book))
    found = [f"I1 {key}: {count} orders at the venue" for key, count in taken.items() if count > 1]
    return found + [f"I1 {alarm}" for alarm in book.alarms]


def no_stranger(book: Book, truth: VenueTruth) -> list[str]:
    """I2: the venue has no order of ours that the journal does not know."""
    orders = (order for order in truth.ours(book) if order.client_id not in book.by_client)
    return [f"I2 {order.client_id}: at the venue, in no journal" for order in orders]


def no_phantom(book: Book, truth: VenueTruth) -> list[str]:
    """I3: what the journal takes for executed or resting is at the venue, with the same end."""
    real = {order.client_id: order for order in truth.orders}
    found = []
    for key, order in book.orders.items():
        seen = real.get(order.client_id)
        at_venue = order.phase in {Phase.OPEN, Phase.FILLED, Phase.CANCELED, Phase.EXPIRED}
        if at_venue and seen is None:
            found.append(f"I3 {key}: {order.phase} in the journal, unknown to the venue")
        elif seen is not None and order.phase.value != seen.status:
            found.append(f"I3 {key}: {order.phase} in the journal, {seen.status} at the venue")
    return found


def same_executions(book: Book, truth: VenueTruth) -> list[str]:
    """I4: the journal has each execution of our orders once, and no other."""
    booked = Counter((trade.symbol, trade.trade_id) for order in book.orders.values() for trade in order.fills)
    ids = {(order.symbol, order.order_id) for order in truth.ours(book)}
    real = Counter((trade.symbol, trade.trade_id) for trade in truth.trades if (trade.symbol, trade.order_id) in ids)
    return [f"I4 execution {key}: {booked[key]} times in the journal, {real[key]} at the venue"
            for key in booked.keys() | real.keys() if booked[key] != real[key]]  # fmt: skip


def same_balances(book: Book, truth: VenueTruth) -> list[str]:
    """I5: what the journal explains is what the account holds, to 1e-12, fees included."""
    names = truth.balances.keys() | book.balances.keys()
    gaps = {n: EXACT.subtract(book.balances.get(n, Decimal(0)), truth.balances.get(n, Decimal(0))) for n in names}
    return [f"I5 {name}: the journal holds {gap:+f} beyond the venue" for name, gap in gaps.items() if abs(gap) > TINY]


def money_explained(book: Book, truth: VenueTruth) -> list[str]:
    """I6: balance = opening + executions - fees, and positions are the sum of their executions."""
    held = dict(truth.opening)
    for payment in book.fundings.values():
        held[payment.currency] = EXACT.add(held.get(payment.currency, Decimal(0)), payment.amount)
    by_name: dict[tuple[str, str], list[Decimal]] = {}
    for order in book.orders.values():
        for trade in order.fills:
            base, quote = trade.symbol.split(":")[0].split("/")
            sign = 1 if trade.side == "buy" else -1
            moves = (
                (base, sign * trade.qty),
                (quote, -sign * trade.qty * trade.price),
                (trade.fee_currency, -trade.fee),
            )
            for name, amount in moves:
                held[name] = EXACT.add(held.get(name, Decimal(0)), amount)
            by_name.setdefault((order.intent.strategy, trade.symbol), []).append(signed_change(trade, trade.symbol))
    found = []
    for name in sorted(held.keys() | book.balances.keys()):
        explained, said = held.get(name, Decimal(0)), book.balances.get(name, Decimal(0))
        if abs(explained - said) > TINY:
            found.append(f"I6 {name}: executions explain {explained}, the journal says {said}")
    for owner in sorted(by_name.keys() | book.positions.keys()):
        if abs(total(by_name.get(owner, ())) - book.positions.get(owner, Decimal(0))) > TINY:
            found += [f"I6 position {owner} is not the sum of its executions"]
    return found


def never_backwards(events: Iterable[Event], rules: Rules) -> list[str]:
    """I3, over time: what ended stays ended, and executions are never unbooked."""
    book, found = Book(rules), []
    before: dict[str, OrderState] = {}
    for event in events:
        touched = set(book.active)
        book.apply(event)
        for key in touched | book.active.keys():
            new = book.orders[key]
            old = before.get(key, new)
            if old.is_ended and not new.is_ended:
                found.append(f"I3 {key}: {old.phase} became {new.phase}")
            if new.filled < old.filled:
                found.append(f"I3 {key}: {old.filled} executed became {new.filled}")
            before[key] = new
    return found


def bars_seen_once(seen: Sequence[int], final: Iterable[int], gaps: Iterable[int] = ()) -> list[str]:
    """I7: bars reach a strategy in order and once, and each final bar does, or its absence was recorded."""
    found = [f"I7 bar {b} came after bar {a}" for a, b in pairwise(seen) if b <= a]
    missing = sorted(set(final) - set(seen) - set(gaps))
    return (
        found
        + [f"I7 bar {bar} was never seen" for bar in missing]
        + [f"I7 bar {bar} was seen and is not final" for bar in sorted(set(seen) - set(final))]
    )


def silent_when_banned(requests: Iterable[tuple[int, str, bool]]) -> list[str]:
    """I8: nothing is asked between a rate limit and its end; requests are ``(time, what, was banned)``."""
    return [f"I8 {what} at {time}, during a ban" for time, what, was_banned in requests if was_banned]


def no_secret(texts: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """I9: no secret stands in any text (log, database, exception, message), by the text's name."""
    return [f"I9 a secret stands in {name}" for name, text in texts.items() if any(s and s in text for s in secrets)]


def episodes_told_once(book: Book) -> list[str]:
    """I10: alerts and recoveries alternate: one of each per episode."""
    kinds = [bool(reason) for _, reason in book.episodes]
    return [f"I10 episode {i}: two of the same kind in a row" for i, (a, b) in enumerate(pairwise(kinds)) if a == b] + (
        ["I10 a recovery without an alert"] if kinds and not kinds[0] else []
    )


def converged(book: Book, *, healed_at: int, now: int, window_ms: int, poll_ms: int) -> list[str]:
    """I11: with faults over, nothing is in doubt after the window, the margin and three looks."""
    if now < healed_at + window_ms + book.rules.margin_ms + 3 * poll_ms:
        return []
    return [f"I11 {o.intent.key}: still {o.phase}" for o in book.unsettled() if o.is_doubtful or o.is_ended]


def gate_kept(sends: Iterable[int], shut: Iterable[tuple[int, int]]) -> list[str]:
    """I12: no order was sent while the gate was shut (``start <= time < end``)."""
    spans = list(shut)
    return [f"I12 an order was sent at {t}, the gate was shut" for t in sends if any(a <= t < b for a, b in spans)]


def violations(book: Book, truth: VenueTruth) -> list[str]:
    """Give every violation of I1 to I6 and I10."""
    checks = (executed_once, no_stranger, no_phantom, same_executions, same_balances, money_explained)
    return [violation for check in checks for violation in check(book, truth)] + episodes_told_once(book)
