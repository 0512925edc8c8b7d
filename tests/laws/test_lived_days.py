"""Every difference between lived days and the backtest of their bars has its cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from itb.laws.live_parity import ScoreApart
from itb.laws.lived_days import Day, Lines, Slipped, side_by_side, slipped
from itb.live.run.lived import Lived, LivedFill, Tick
from itb.market.bars import Bars
from itb.market.fills import Fill

MINUTE, NAME = 60_000, ("main", "A/B")
BARS = Bars.of(
    "A/B", "1m", [MINUTE * row for row in range(60)], open=[100.0] * 60, high=[101.0] * 60, low=[99.0] * 60,
    close=[100.0] * 60, volume=[1.0] * 60,
)  # fmt: skip


def told(bar: int, qty: float, reason: str = "entry", price: float = 100.0) -> Fill:
    """A fill of the backtest."""
    return Fill(bar, bar * MINUTE, 1, "A/B", qty, price, 0.1, 0.1, reason=reason)


def got(bar: int, qty: float, reason: str = "entry", price: float = 100.0, **more: Any) -> LivedFill:
    """The bot's."""
    kind = "market" if reason in {"entry", "signal", "time"} else "stop"
    values = {"fee_quote": 0.1, "kind": kind, "asked_at": bar * MINUTE, **more}
    return LivedFill(bar * MINUTE, qty, price, values["fee_quote"], reason, values["kind"], values["asked_at"])


def past(*fills: LivedFill) -> Lived:
    """A bot that decided on every bar."""
    lived = Lived()
    lived.fills[NAME] = list(fills)
    lived.ticks["A/B"] = {row * MINUTE: Tick({}, is_late=False) for row in range(60)}
    return lived


def lines_of(lived: Lived, *fills: Fill, scores: tuple[ScoreApart, ...] = ()) -> list[Lines]:
    return side_by_side(Day(NAME, BARS, lived, scores), fills)


TRIP = (told(10, 1.0), told(20, -1.0, "signal"))


def test_what_is_the_same_is_said_to_be() -> None:
    found = lines_of(past(got(10, 1.0), got(20, -1.0, "signal")), *TRIP)
    assert [(line.verdict, line.cause) for line in found] == [("same", ""), ("same", "")]


@pytest.mark.parametrize(
    ("twin", "verdict", "cause"),
    [
        (got(10, 1.0, price=100.2), "price", "price"),
        (got(10, 1.0, fee_quote=0.2), "fee", "fee: 0.2 instead of 0.1 in quote"),
        (got(10, 0.4), "quantity", "quantity: 0.4 instead of 1; a part was filled, or the account was worth another"),
        (got(11, 1.0), "late", "late signal: 1 bars"),
    ],
)
def test_what_was_done_otherwise_is_named(twin: LivedFill, verdict: str, cause: str) -> None:
    (line,) = lines_of(past(twin), told(10, 1.0))
    assert line.verdict == verdict
    assert line.cause.startswith(cause)


def test_a_price_is_worse_where_a_buy_is_dearer_or_a_sell_cheaper() -> None:
    buy, sell = lines_of(past(got(10, 1.0, price=100.1), got(20, -1.0, "signal", price=99.9)), *TRIP)
    assert (round(buy.bps, 6), round(sell.bps, 6)) == (10.0, 10.0)


def without_tick(lived: Lived) -> None:
    del lived.ticks["A/B"][9 * MINUTE]


def odd_bar(lived: Lived) -> None:
    without_tick(lived)
    lived.odd_bars["A/B"][9 * MINUTE] = "missing"


def restart(lived: Lived) -> None:
    without_tick(lived)
    lived.starts = [0, 10 * MINUTE + 5_000]


def late(lived: Lived) -> None:
    lived.ticks["A/B"][9 * MINUTE] = Tick({}, is_late=True)


def refused(lived: Lived) -> None:
    lived.refused[(*NAME, 9 * MINUTE)] = "below the minimum of 5"


def halted(lived: Lived) -> None:
    lived.shut = [(8 * MINUTE, 11 * MINUTE, "daily loss")]


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        (without_tick, "missing bar: nothing was decided on it"),
        (odd_bar, "missing bar: missing"),
        (restart, "restart: the bot did not run"),
        (late, "late bar: its decision did not count"),
        (refused, "filter or limit: below the minimum of 5"),
        (halted, "pause or halt: daily loss"),
        (lambda _lived: None, "unknown: none of those that are looked for; see the event log at that time"),
    ],
)
def test_what_was_missed_is_explained(what: Any, cause: str) -> None:
    lived = past()
    what(lived)
    first, second = lines_of(lived, *TRIP)
    assert (first.verdict, first.cause) == ("missed", cause)
    assert second.cause == "follows from the difference at 1970-01-01 00:10 UTC"


def test_a_score_that_was_said_otherwise_explains_both_sides() -> None:
    apart = ScoreApart("up", 9 * MINUTE, 0.9, 0.1, "late model")
    (missed,) = lines_of(past(), told(10, 1.0), scores=(apart,))
    (extra,) = lines_of(past(got(10, 1.0)), scores=(apart,))
    assert missed.cause == extra.cause == "score: late model, 0.1 instead of 0.9 (up)"
    assert (missed.verdict, extra.verdict) == ("missed", "extra")


def test_positions_that_are_the_same_again_end_what_follows() -> None:
    fills = (*TRIP, told(30, 1.0), told(40, -1.0, "stop"))
    lived = past(got(30, 1.0), got(40, -1.0, "stop", price=99.0))
    assert [line.verdict for line in lines_of(lived, *fills)] == ["missed", "missed", "same", "price"]


def test_a_person_who_closed_is_named_and_a_touched_level_is_price() -> None:
    lived = past(got(10, 1.0), got(15, -1.0, "asked"))
    lived.closed_by_hand = [14 * MINUTE + 30_000]
    assert lines_of(lived, told(10, 1.0))[1].cause == "a person closed it"
    assert lines_of(past(got(10, 1.0), got(15, -1.0, "stop")), told(10, 1.0))[1].cause.startswith("price: ")


def test_prices_beside_the_next_open_are_those_of_market_orders() -> None:
    fills = [got(10, 1.0, price=100.1), got(20, -1.0, "signal", price=99.95), got(30, -1.0, "stop", price=90.0)]
    found = slipped(BARS, fills)
    np.testing.assert_allclose(found.bps, [10.0, 5.0])
    np.testing.assert_allclose([found.median, found.worst], [7.5, 10.0])
    assert found.propose(0.0) == 7.5
    assert Slipped(np.array([-3.0])).propose(0.0) == 0.0
