"""Funding whose rate is not published yet: journaled, booked once with the backtest's numbers, whoever dies when."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.dealer import Dealer
from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.paper import BarPaper
from itb.live.gateways.port import RateOutlook, Settlement
from itb.live.gateways.published import PublishedRates
from itb.live.journal.store import Journal, pass_by
from itb.live.orders.book import Book
from itb.live.orders.events import Funded, Owed
from itb.live.orders.intent import Intent
from itb.live.orders.limits import Limits
from itb.live.orders.machine import Machine
from itb.live.paper import collect, live_bar, resume
from tests.live.conftest import journal_file
from tests.live.gateways.test_ccxt_perpetuals import PERP
from tests.live.gateways.test_perpetual_paper import (
    COSTS,
    HOUR,
    RATES,
    RULES,
    START,
    WISHES,
    bar,
    ledger,
    opens,
)

__all__ = ["journal_file"]
BARS = 33
PUBLISHED = {8: 8, 16: 19, 24: 31}  # by which bar each settlement's rate is known


def known_by(place: int) -> list[Settlement]:
    past = [Settlement(START + hour * HOUR, Decimal(0)) for hour in (-16, -8, 0)]
    return past + [
        Settlement(START + hour * HOUR, Decimal(RATES[hour])) for hour, at in PUBLISHED.items() if at <= place
    ]


def life(file: Path, dies_after: int = 0) -> None:
    """Live from where the journal ends to the last bar, or die at the fail point of that number."""
    count = 0

    def reach(_name: str) -> None:
        nonlocal count
        count += 1
        if count == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    with Journal(file, reach=reach if dies_after else pass_by) as journal:
        asyncio.run(bars_of(journal))


async def bars_of(journal: Journal) -> None:
    venue = BarPerpetuals((RULES,), {"BTC": Decimal(0), "USDT": Decimal(1_000)}, COSTS, bar_ms=HOUR)
    begun = resume(venue, journal)
    if begun is None:
        venue.now, begun = START, START + HOUR
    rates = PublishedRates()
    paper = BarPaper(venue, rates)
    machine = Machine(Limits(allow_short=True), instruments={PERP: RULES})
    dealer = Dealer(paper, journal, owner="test", clock=paper.clock, machine=machine, checkpoint_every=7)
    first = max(1, (begun - START) // HOUR)
    venue.quote(PERP, opens(first - 1))
    for place in range(first, BARS):
        await live_bar(dealer, paper, {PERP: bar(place)})
        rates.learn(PERP, known_by(place), START + (place + 1) * HOUR)
        collect(dealer, paper)
        if place in WISHES:
            side, qty = WISHES[place]
            opened, price = bar(place).open_time, opens(place)
            dealer.ask(Intent("one", PERP, opened, side, "market", Decimal(qty), reference_price=price))
        await dealer.settle()
    assert dict(venue.totals) == dict(dealer.book.balances)


def paid_in(file: Path) -> dict[int, Decimal]:
    with Journal(file) as journal:
        events = list(journal.events())
    book = Book().replay(events)
    assert not book.owed
    assert book.positions["one", PERP] == 0
    booked = [event for event in events if isinstance(event, Funded)]
    assert {event.held for event in booked} <= {(("one", qty),) for qty in map(Decimal, ("3", "-2.5", "-1.5"))}
    paid = {event.payment.time: event.payment.amount for event in booked}
    assert len(paid) == len(booked)
    return paid


def test_what_is_published_late_is_journaled_and_booked_with_the_numbers_of_its_bar(journal_file: Path) -> None:
    life(journal_file)
    assert paid_in(journal_file) == ledger()
    with Journal(journal_file) as journal:
        owed = {event.due.opened: event.due for event in journal.events() if isinstance(event, Owed)}
    late = [START + hour * HOUR for hour, at in PUBLISHED.items() if at > hour]
    assert set(late) <= owed.keys()
    assert [owed[time].price for time in late] == [opens(hour) for hour, at in PUBLISHED.items() if at > hour]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_no_kill_loses_funding_or_books_it_twice(journal_file: Path, seed: int) -> None:
    random, deaths = np.random.default_rng(seed), 0
    while True:
        number = int(random.integers(2, 25)) if deaths < 12 else 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pytest's workers have threads; this child forks none
            child = os.fork()
        if not child:
            try:
                life(journal_file, number)
            except BaseException:  # noqa: BLE001  (what goes wrong is told by the exit code, never to the parent's pytest)
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, -9}
        if not code:
            break
        deaths += 1
    assert deaths > 5
    assert paid_in(journal_file) == ledger()


@given(
    st.lists(st.tuples(st.sampled_from([1, 4, 8]), st.integers(0, 14), st.integers(-9, 9)), min_size=2, max_size=12),
    st.lists(st.tuples(st.integers(0, 100 * 60), st.booleans()), max_size=25),
)
def test_what_is_said_to_be_due_is_never_wrong_and_known_in_the_end(
    schedule: list[tuple[int, int, int]], asked: list[tuple[int, bool]]
) -> None:
    """Settlements at changing distances, each published some minutes late, the exchange asked at any minute."""
    minute, time, all_of, told_at = 60_000, 0, dict[int, Decimal](), dict[int, int]()
    for hours, late, rate in schedule:
        time += hours * HOUR
        all_of[time], told_at[time] = Decimal(rate), time + late * minute
    rates = PublishedRates()
    windows = list(pairwise(range(HOUR - 1, time + HOUR, HOUR // 2)))
    for at, looks_ahead in [*sorted(asked), (time // minute + 1_000, False)]:
        now = at * minute
        ahead = [one for one in all_of if one > now]
        if looks_ahead and ahead:
            rates.announce(PERP, RateOutlook(now, Decimal(1), min(ahead)))
        else:
            rates.learn(PERP, [Settlement(one, rate) for one, rate in all_of.items() if told_at[one] <= now], now)
        for since, until in windows:
            due = rates.due(PERP, since, until) if until <= now else None
            assert due is None or due == sum(rate for one, rate in all_of.items() if since < one <= until)
    first = min(all_of)
    assert all(rates.due(PERP, since, until) is not None for since, until in windows if first <= since)
