"""What holding a perpetual cost a bot, beside the backtest of its bars: every difference has its cause."""

from __future__ import annotations

from itb.datafeeds.waves import sinus
from itb.laws.lived_days import Day, side_by_side
from itb.laws.lived_funding import Settled, Told, fundings_beside
from itb.live.run.lived import Lived, LivedFill
from itb.market.fills import Fill

BARS = sinus(bars=10)
TIMES = [int(time) for time in BARS.open_time]
NAME = ("main", BARS.symbol)
ENTRY = Fill(1, TIMES[1], 1, BARS.symbol, 2.0, 100.0, 0.1, 0.1, reason="entry")


def paid(bar: int, amount: float) -> Fill:
    return Fill(bar, TIMES[bar], 0, BARS.symbol, 0.0, 100.0, amount, amount, reason="funding")


def beside(
    lived: list[tuple[int, float]], *tested: Fill, qty: float = 2.0, has_rates: bool = True, told: Told | None = None
) -> list[Settled]:
    bot = Lived()
    bot.fills[NAME] = [LivedFill(TIMES[1], qty, 100.0, 0.1, "entry", "market", TIMES[1])]
    bot.fundings[NAME] = [(TIMES[bar], amount) for bar, amount in lived]
    return fundings_beside(
        Day(NAME, BARS, bot), [ENTRY, *tested], has_rates=has_rates, told={TIMES[3]: told} if told else None
    )


def test_the_same_payment_is_the_same() -> None:
    assert beside([(3, 0.2)], paid(3, 0.2)) == [Settled(TIMES[3], 0.2, 0.2)]
    assert beside([(3, 0.1), (3, 0.1)], paid(3, 0.2))[0].is_same


def test_each_difference_has_its_cause() -> None:
    assert beside([(3, 0.21)], paid(3, 0.2))[0].cause.startswith("the exchange's own rate and mark price")
    assert beside([(3, 0.1)], paid(3, 0.2), qty=1.0)[0].cause == "another position: the bot held 1, the backtest 2"
    assert beside([], paid(3, 0.2))[0].cause.startswith("it is in no journal")
    assert beside([(3, -0.1)])[0].cause == "backtest.funding has no rate at 2023-01-01 00:03 UTC"
    assert beside([(3, -0.1)], has_rates=False)[0].cause == "backtest.funding is not set"


def test_what_the_exchange_told_says_whether_rate_price_or_its_books_differ() -> None:
    price = float(BARS.open[3])
    tested = paid(3, 2.0 * 0.001 * price)
    by_mark = beside([(3, 2.0 * 0.001 * 101.5)], tested, told=Told(0.001, 101.5))[0].cause
    assert by_mark == f"the exchange's mark price: 101.5 instead of {price:.10g}, the bar's open"
    by_rate = beside([(3, 2.0 * 0.002 * 101.5)], tested, told=Told(0.002, 101.5))[0].cause
    assert by_rate == "another rate: 0.002 by the exchange instead of 0.001"
    odd = beside([(3, 0.5)], tested, told=Told(0.001, 101.5))[0].cause
    assert odd == "the exchange's own books: its rate 0.001 and mark price 101.5 make 0.203, it booked 0.5"
    silent = beside([(3, 0.5)], tested, told=Told(0.001, float("nan")))[0].cause
    assert silent.startswith("the exchange's own rate and mark price")


def test_payments_are_no_fills() -> None:
    bot = Lived()
    bot.fills[NAME] = [LivedFill(TIMES[1], 2.0, 100.0, 0.1, "entry", "market", TIMES[1])]
    lines = side_by_side(Day(NAME, BARS, bot), [ENTRY, paid(3, 0.2)])
    assert [line.verdict for line in lines] == ["same"]
