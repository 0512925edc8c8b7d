"""What strategies own is the same from a checkpoint and from the whole journal, over lives, kills and faults."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from itb.datafeeds.waves import sinus
from itb.engine.venue import Venue
from itb.live.gateways.faults import FaultPlan
from itb.live.gateways.port import Funding
from itb.live.host.broker_account import Allotment, Subaccount
from itb.live.host.growing import GrowingBars
from itb.live.host.kept_books import KeptBooks
from itb.live.journal import checkpoint
from itb.live.orders.book import Book
from itb.live.orders.events import Event, Funded
from itb.live.run.lane_books import LaneBooks
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from tests.live.rehearsal import BTC, ETH, START, Rehearsal


@dataclass
class Lane:
    name: str
    symbol: str
    books: Subaccount

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self.symbol,)

    @property
    def label(self) -> str:
        return f"{self.name} on {self.symbol}"


def lanes(*, keep: int = 8, dust_step: str = "", begins: int = 0) -> list[Any]:
    """Make the lanes of a new life; ``begins`` says by how many bars its history begins later."""
    made = []
    for one in (BTC, ETH):
        instrument = Instrument(one.symbol, one.tick, Decimal(dust_step or one.step), one.min_qty, one.min_notional)
        venue = Venue(Costs(taker_fee_bps=7), instrument=instrument)
        wave = sinus(bars=300)
        opened = wave.open_time - wave.open_time[0] + (START // 60_000 + begins) * 60_000
        bars = Bars(one.symbol, wave.timeframe, opened, dict(wave.columns))
        allotment = Allotment("random", Decimal(1_000_000), {one.symbol: venue}, keep=keep)
        made.append(Lane("random", one.symbol, Subaccount(allotment, {one.symbol: GrowingBars(bars)})))
    return made


class Lived(Rehearsal):
    """A bot whose every life keeps the books of its lanes."""

    def live(self) -> None:
        super().live()
        self.lanes = lanes(begins=len(self.began))
        self.dealer.keep(LaneBooks(self.lanes, lambda _lane, _event: None))


def owned(made: list[Any]) -> list[KeptBooks]:
    return [KeptBooks.of(lane.books) for lane in made]


def replayed(events: list[Event], made: list[Any]) -> list[KeptBooks]:
    """Fold the whole journal, remembering everything."""
    books, book = LaneBooks(made, lambda _lane, _event: None), Book()
    for event in events:
        book.apply(event)
        books.take(event, book)
    return owned(made)


@pytest.mark.parametrize(("seed", "currency"), [(1, "base"), (2, "quote"), (3, "BNB")])
def test_lives_with_checkpoints_own_what_the_whole_journal_says(seed: int, currency: Any, journal_file: Path) -> None:
    costs, faults = Costs(fee_currency=currency), FaultPlan(seed=seed, per_mille=60)
    with Lived(journal_file, faults=faults, costs=costs, seed=seed, keep=30, checkpoint_every=120) as lived:
        for _ in range(6):
            lived.trade(40, kill_share=0.002)
            lived.die()
            lived.live()
        assert len(lived.began) > 6
        assert checkpoint.load(lived.journal, Book(lived.book.rules, 30))[0] > lived.journal.count - 400
        assert lived.book.forgotten > 100
        events = list(lived.journal.events())
        assert owned(lived.lanes) == replayed(events, lanes(begins=len(lived.began)))
        assert sum(lane.books.histories[lane.symbol].ended for lane in lived.lanes) > 8
        for lane in lived.lanes:
            assert lane.books.sizes[lane.symbol] == lived.book.positions["random", lane.symbol]


def test_executions_are_told_from_now_on(journal_file: Path) -> None:
    told: list[str] = []
    with Rehearsal(journal_file) as rehearsal:
        rehearsal.trade(10)
        rehearsal.settle()
        books = LaneBooks(lanes(), lambda _lane, event: told.append(event.trade.symbol + event.trade.trade_id))
        rehearsal.dealer.keep(books)
        assert told == []
        books.is_live = True
        before = len(rehearsal.engine.trades)
        rehearsal.trade(10)
        rehearsal.settle()
        assert sorted(told) == sorted(trade.symbol + trade.trade_id for trade in rehearsal.engine.trades[before:])


def test_books_by_other_terms_or_of_other_lanes_are_not_taken_up() -> None:
    made = lanes()
    text = LaneBooks(made, lambda _lane, _event: None).text()

    def takes(other: list[Any], told: str = text) -> bool:
        return LaneBooks(other, lambda _lane, _event: None).take_up(told)

    assert takes(lanes())
    assert takes(lanes()[:1])
    assert not takes(lanes(dust_step="0.1"))
    assert not takes(lanes(keep=9))
    other = lanes()
    other[0].name = "newcomer"
    assert not takes(other)
    assert not takes(lanes(), "{}")
    assert not takes(lanes(), "[1]")


def test_a_payment_of_funding_is_shared_by_what_each_holds() -> None:
    made = lanes()
    payment = Funding("f1", "BTC/USDT", "USDT", Decimal(-8), START + 60_000)
    event = Funded(START, payment, (("other", Decimal(1)), ("random", Decimal(3))))
    LaneBooks(made, lambda _lane, _event: None).take(event, Book())
    assert [lane.books.exact_cash - 1_000_000 for lane in made] == [Decimal(-6), Decimal(0)]
