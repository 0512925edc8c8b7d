"""Messages as intelligent-trading-bot sends them, byte for byte, and what a template may do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.bands import Band, Ladder, is_due, steps
from itb.live.notify.events import FillSeen, ScoreSaid, SignalSent, StateChanged, TradeClosed
from itb.live.notify.message import Message
from itb.live.notify.notifier import Notifier
from itb.live.notify.people import People, render
from itb.live.notify.score_notifier import ScoreBands, ScoreSteps
from itb.live.notify.trade_notifier import FourWeeks, Signals, SimulatedTrades, Trades
from itb.market.timeframe import DAY_MS, MINUTE_MS

HOUR = 60 * MINUTE_MS
BANDS = ScoreBands(
    positive_bands=(Band(0.05, sign="🟢", text="weak"), Band(0.2, frequency=15, sign="📈", bold=True, text="BUY ZONE")),
    negative_bands=(Band(-0.05, sign="🔴"), Band(-0.2, sign="📉", bold=True, text="SELL ZONE")),
)


def said(score: float, time: int = HOUR, close: float = 24033.4, second: float = math.nan) -> ScoreSaid:
    scores = {"trade_score": score, "other": second}
    return ScoreSaid(time, "BTC/USDT", "1h", close, close, close, close, scores)


def told(notifier: Notifier, *events: object) -> list[Message]:
    reporter = notifier.reporter(People())
    return [message for event in events for message in reporter.tell(event)]  # type: ignore[arg-type]


def test_a_strong_score_is_told_with_a_sign_for_every_step() -> None:
    (message,) = told(ScoreSteps(), said(-0.26, close=24518))
    assert message.plain == "₿ 24.518 📉📉📉 Score: -0.26"


def test_a_signal_is_told_as_it_is_documented() -> None:
    (message,) = told(Signals(), SignalSent(HOUR, "BTC/USDT", "buy", 24033.0, 0.34))
    assert message.plain == "🟢 BUY: ₿ 24,033 Score: +0.34"
    (message,) = told(Signals(), SignalSent(HOUR, "ETH/USDT", "sell", 1633.7, -0.214))
    assert message.plain == "🔴 SELL: Ξ 1,634 Score: -0.21"


def test_a_band_is_told_as_it_is_documented() -> None:
    (message,) = told(BANDS, said(0.08))
    assert message.text == "🟢 ₿ 24,033 Indicator: +0.08 ↑ weak 1h"


def test_a_bold_band_is_bold_and_shows_the_second_score() -> None:
    two = ScoreBands(BANDS.positive_bands, BANDS.negative_bands, columns=("trade_score", "other"))
    (message,) = told(two, said(0.251, second=-0.04))
    assert message.text == "<b>📈 ₿ 24,033 Indicator: +0.25 ↑ -0.04 BUY ZONE 1h</b>"


def test_a_score_outside_all_bands_has_neither_sign_nor_text() -> None:
    down = ScoreBands(BANDS.positive_bands, BANDS.negative_bands, notify_band_dn=True)
    messages = told(down, said(0.3), said(0.01, time=2 * HOUR))
    assert messages[1].text == "₿ 24,033 Indicator: +0.01 ↓ 1h"


def test_a_market_without_a_sign_is_named() -> None:
    (message,) = told(Signals(), SignalSent(0, "SOL/USDT", "buy", 20.0, 0.1))
    assert message.plain == "🟢 BUY: SOL/USDT 20 Score: +0.10"


@pytest.mark.parametrize(("score", "count"), [(0.21, 2), (0.2501, 3), (-0.3, 4), (0.35, 5), (-0.26, 3)])
def test_signs_are_counted_from_the_first_edge(score: float, count: int) -> None:
    assert steps(score, 0.15, 0.05) == count
    (message,) = told(ScoreSteps(), said(score))
    assert message.text.count("📈" if score > 0 else "📉") == count


@pytest.mark.parametrize("score", [0.2, -0.2, 0.0, math.nan])
def test_a_weak_score_is_not_told(score: float) -> None:
    assert told(ScoreSteps(), said(score)) == []


# -- bands against a slow reference, which keeps one market's memory as the original does

EDGES = st.lists(st.integers(1, 9), unique=True, max_size=4)
SCORES = st.lists(st.one_of(st.integers(-10, 10).map(lambda n: n / 10), st.floats(-1, 1)), min_size=1, max_size=30)


def slow_band(score: float, positive: list[float], negative: list[float]) -> int:
    reached = [edge for edge in positive if score >= edge]
    if reached:
        return sum(edge <= max(reached) for edge in positive)
    below = [edge for edge in negative if score < edge]
    return -sum(edge >= min(below) for edge in negative) if below else 0


@given(EDGES, EDGES, SCORES, st.booleans(), st.booleans(), st.sampled_from([0, 5, 30]), st.integers(0, 59))
def test_bands_are_told_when_a_slow_reference_tells_them(
    up: list[int], down: list[int], scores: list[float], tell_up: bool, tell_down: bool, frequency: int, start: int
) -> None:
    positive, negative = [edge / 10 for edge in up], [-edge / 10 for edge in down]
    if not positive and not negative:
        return
    notifier = ScoreBands(
        tuple(Band(edge, frequency) for edge in positive), tuple(Band(edge, frequency) for edge in negative),
        notify_band_up=tell_up, notify_band_dn=tell_down,
    )  # fmt: skip
    reporter = notifier.reporter(People())
    before: int | None = None
    for number, score in enumerate(scores):
        time = (start + 7 * number) * MINUTE_MS
        band = slow_band(score, positive, negative)
        is_up = before is None or abs(band) > abs(before)
        is_down = before is None or abs(band) < abs(before)
        on_time = band != 0 and frequency > 0 and ((start + 7 * number) % 60) % frequency == 0
        wanted = (tell_up and is_up) or (tell_down and is_down) or on_time
        messages = reporter.tell(said(score, time))
        assert len(messages) == wanted
        if wanted:
            assert ("↑" in messages[0].text, "↓" in messages[0].text) == (is_up, is_down and not is_up)
        before = band


def test_an_edge_belongs_to_the_positive_band_and_not_to_the_negative_one() -> None:
    ladder = Ladder((Band(0.1),), (Band(-0.1),))
    assert [ladder.place(score)[0] for score in (0.1, -0.1, math.nextafter(-0.1, -1))] == [1, 0, -1]


def test_a_score_that_is_no_number_keeps_the_band() -> None:
    assert len(told(BANDS, said(0.3), said(math.nan, 2 * HOUR), said(0.3, HOUR + 7 * MINUTE_MS))) == 1


def test_frequency_counts_minutes_of_the_hour() -> None:
    assert [is_due(minute * MINUTE_MS, 25) for minute in (0, 25, 50, 60, 75, 85)] == [
        True,
        True,
        True,
        True,
        False,
        True,
    ]
    assert not is_due(0, 0)


# -- trades


def test_simulated_trades_take_turns_and_count_from_the_other_side() -> None:
    signals = [("buy", 100.0), ("buy", 90.0), ("sell", 110.0), ("buy", 99.0), ("sell", 99.0)]
    events = [SignalSent(i * DAY_MS, "BTC/USDT", side, price, 0.1) for i, (side, price) in enumerate(signals)]  # type: ignore[arg-type]
    first, sold, bought, again = told(SimulatedTrades(), *events)
    assert first.plain == "🟢 BUY: ₿ 100 Score: +0.10"
    assert sold.text.startswith("⚡💰 <b>SOLD: Profit: +10.00% +10.00₮</b>\n")
    assert bought.text.startswith("⚡💰 <b>BOUGHT: Profit: +10.00% +11.00₮</b>\n")  # the short leg: 110 to 99
    assert again.plain.splitlines()[2] == "Long in 4 weeks: 2, sum +10.00%"


def test_four_weeks_end_after_28_days() -> None:
    weeks = FourWeeks()
    weeks.add("long", 0, 5.0)
    assert weeks.add("long", 28 * DAY_MS - 1, 1.0).count == 2
    assert weeks.add("long", 28 * DAY_MS, 2.0).total == 3.0
    assert weeks.add("short", 28 * DAY_MS, -1.0).count == 1


def test_a_closed_trade_is_told_with_what_it_brought_after_costs() -> None:
    trade = TradeClosed(5 * HOUR, "BTC/USDT", "long", HOUR, 0.5, 100.0, 90.0, 0.1, -5.1, -0.102, "stop")
    fill = FillSeen(5 * HOUR, "BTC/USDT", "sell", 0.5, 90.0, 0.05, "stop", "7")
    sold, closed = told(Trades(), fill, trade)
    assert sold.plain == "🔴 Sold 0.5 BTC/USDT at 90 (stop), fee 0.05₮"
    assert closed.plain.splitlines()[:2] == ["🩸 BTC/USDT long closed: -10.20% -5.10₮", "100 → 90 in 4 h (stop)"]
    assert [message.topic for message in told(Trades(fills=False), fill, trade)] == ["trade"]


# -- alerts


def test_a_trouble_that_is_over_says_how_long_it_lasted() -> None:
    over = StateChanged(90 * MINUTE_MS, "recovered", "the exchange answers", "venue", since=30 * MINUTE_MS, count=4)
    (message,) = told(Alerts(), over)
    assert message.plain == "✅ Recovered: the exchange answers (after 1 h, 4 times)"
    assert message.is_quiet


def test_alerts_can_be_chosen() -> None:
    halted, drift = StateChanged(0, "halted", "daily loss"), StateChanged(0, "drift", "psi 0.4")
    (message,) = told(Alerts(states=("halted",)), drift, halted)
    assert message.plain == "🛑 Halted: daily loss"
    assert not message.is_quiet


# -- templates


def test_values_cannot_bring_markup_into_a_message() -> None:
    (message,) = told(Alerts(), StateChanged(0, "degraded", "<b>x</b> <a href='evil'> &amp; {{ 1 }}"))
    assert "&lt;b&gt;x&lt;/b&gt; &lt;a href" in message.text
    assert message.plain.endswith("<b>x</b> <a href='evil'> &amp; {{ 1 }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ symbol.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ scores.clear() }}",
        "{% include 'x' %}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ absent }}",
        "{% for n in range(999999999) %}x{% endfor %}",
        "{{ 'x' * 30000 }}",
        "{{ close / 0 }}",
        "{{ 'x' * 10 ** 15 }}",
        "{% if %}",
    ],
)
def test_a_template_can_do_no_harm_and_is_tried_at_once(template: str) -> None:
    with pytest.raises(ValueError, match=r"^template"):
        ScoreBands(BANDS.positive_bands, template=template)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ScoreBands, "positive_bands must hold a band at least"),
        (lambda: ScoreBands((Band(0.1), Band(0.1))), "positive_bands must have each edge once, 0.1 is there twice"),
        (lambda: ScoreBands((Band(0.1),), columns=("a", "b", "c")), "columns must be one or two, were 3"),
        (lambda: Band(math.nan), "edge must be a finite number"),
        (lambda: Band(0.1, frequency=-1), "frequency must be 0 or more"),
        (lambda: ScoreSteps(step=0), "step must be above 0"),
        (lambda: ScoreSteps(first_edge=-1), "first_edge must be 0 or more"),
        (lambda: Alerts(states=("happy",)), "states must be among started, .* was 'happy'"),
        (lambda: People("Mars/Base"), "zone must be a time zone"),
    ],
)
def test_a_notifier_that_makes_no_sense_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_times_are_told_in_the_zone_of_the_reader() -> None:
    template = People("America/New_York").template("{{ time|clock }} | {{ time|day }} | {{ 12.5|money('USDT') }}")
    assert render(template, {"time": 1_709_251_200_000}) == "2024-02-29 19:00 EST | Thu 29 Feb 2024 | 12.50₮"
