"""What was sent is graded when its label matures, by figures that other ways confirm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from itb.live.notify.clerk import Clerk, Output
from itb.live.notify.events import ScoreSaid, SignalSent
from itb.live.notify.grader import Grader, Judgement, sent_of
from itb.live.notify.grades import (
    ALPHA,
    Expectation,
    Graded,
    Sent,
    apart,
    board_text,
    expectations,
    grade,
    scoreboard,
)
from itb.live.notify.mailroom import Mailroom
from itb.live.notify.people import People
from itb.live.notify.score_notifier import ScoreSteps
from itb.live.notify.sequential import evidence_against, wilson
from itb.live.notify.trade_notifier import Signals
from itb.market.bars import Bars
from itb.mlmodels.labels import FutureReturn
from tests.live.notify.ways import Receiver

HOUR = 3_600_000
UP = FutureReturn(horizon=3, threshold=0.0, alias="up")


def bars(closes: Sequence[float]) -> Bars:
    close = np.array(closes, dtype=np.float64)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return Bars.of("BTC/USDT", "1h", np.arange(len(close)) * HOUR, **prices, volume=np.ones(len(close)))


def sent(hour: int, direction: int = 1, score: float = 0.6, price: float = 100.0, kind: str = "signal") -> Sent:
    return Sent(f"{kind}/{hour}", kind, hour * HOUR, "BTC/USDT", "up_lightgbm", score, direction, price)  # type: ignore[arg-type]


# -- the sequential test


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.7])
def test_the_expected_evidence_is_one_where_the_rate_is_true_and_less_where_it_is_higher(rate: float) -> None:
    for truth in (rate, min(0.95, rate + 0.1)):
        mean = 0.0
        for hits in product([True, False], repeat=9):
            chance = math.prod(truth if hit else 1 - truth for hit in hits)
            mean += chance * evidence_against(hits, rate)[-1]
        assert mean == pytest.approx(1.0, abs=1e-12) if truth == rate else mean < 1


def test_looking_after_every_grade_rarely_accuses_a_run_that_is_as_good_as_expected() -> None:
    rng = np.random.default_rng(1)
    accused = sum(max(evidence_against((rng.random(300) < 0.55).tolist(), 0.55)) >= 1 / ALPHA for _ in range(300))
    assert accused / 300 <= ALPHA


def test_a_run_that_became_worse_is_found() -> None:
    rng = np.random.default_rng(2)
    found = [max(evidence_against((rng.random(300) < 0.42).tolist(), 0.55)) >= 1 / ALPHA for _ in range(100)]
    assert sum(found) >= 90


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_of_a_rate_is_scipys(hits: int, misses: int) -> None:
    count = hits + misses
    if not count:
        assert wilson(0, 0) == (0.0, 1.0)
        return
    expected = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 1.0, math.nan])
def test_a_rate_that_leaves_nothing_to_bet_on_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be above 0 and below 1"):
        evidence_against([True], rate)


# -- grading


def test_a_grade_comes_when_its_label_is_known_and_not_before() -> None:
    closes = [100, 101, 102, 99, 98, 104, 97.0]
    waiting = [sent(hour, price=closes[hour - 1]) for hour in range(1, 8)]
    for known in range(1, 8):
        seen = bars(closes[:known])
        graded = grade(waiting, seen, UP(seen), is_binary=True)
        assert [g.sent.time // HOUR for g in graded] == list(range(1, max(1, known - 2)))
    assert [(g.outcome, g.is_hit, round(g.gain, 4), g.known_at // HOUR) for g in graded] == [
        (0.0, False, -0.01, 4),
        (0.0, False, -0.0297, 5),
        (1.0, True, 0.0196, 6),
        (0.0, False, -0.0202, 7),
    ]


def test_a_sale_is_right_when_the_label_did_not_come_true() -> None:
    seen = bars([100, 101, 102, 99, 98])
    up, down = grade([sent(1), sent(1, direction=-1, score=0.2)], seen, UP(seen), is_binary=True)
    assert (up.is_hit, down.is_hit) == (False, True)
    assert down.gain == pytest.approx(0.01)
    assert down.squared_error == pytest.approx(0.04)


def test_a_number_is_right_when_its_sign_is() -> None:
    label = FutureReturn(horizon=1)
    seen = bars([100, 101, 100])
    first, second = grade([sent(1, score=0.3), sent(2, -1, -0.3, 101.0)], seen, label(seen), is_binary=False)
    assert first.is_hit
    assert second.is_hit
    assert math.isnan(first.squared_error)


def graded(hits: Sequence[bool], every: int = 3, kind: str = "signal", score: float = 0.6) -> list[Graded]:
    return [
        Graded(
            sent(every * n + 1, score=score, kind=kind),
            (every * n + 4) * HOUR,
            float(hit),
            0.01 if hit else -0.01,
            True,
        )
        for n, hit in enumerate(hits)
    ]


def test_grades_apart_share_no_bar() -> None:
    chosen = apart(graded([True] * 20, every=1))
    assert [g.sent.time // HOUR for g in chosen] == [1, 4, 7, 10, 13, 16, 19]


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_board_is_what_a_slow_count_says(hits: list[bool]) -> None:
    (line,) = scoreboard(graded(hits), [sent(999)])
    assert (line.count, line.hits, line.pending, line.apart) == (len(hits), sum(hits), 1, len(hits))
    assert line.brier == pytest.approx(statistics.fmean([0.16 if hit else 0.36 for hit in hits]))
    gains = [0.01 if hit else -0.01 for hit in hits]
    assert line.gain == pytest.approx(statistics.fmean(gains))
    if len(hits) >= 10 and len(set(hits)) > 1:
        low, high = stats.t.interval(0.95, len(hits) - 1, statistics.fmean(gains), stats.sem(gains))
        assert (line.low, line.high) == pytest.approx((low, high))
    elif len(hits) < 10:
        assert math.isnan(line.low)


def test_results_within_the_band_stay_within_it_and_bad_ones_leave_it() -> None:
    expected = expectations(graded(([True] * 6 + [False] * 4) * 30))
    assert expected == [Expectation("signal", "up_lightgbm", 300, 180, pytest.approx(0.24), pytest.approx(0.002))]  # type: ignore[arg-type]
    (good,) = scoreboard(graded([True, False, True] * 30), [], expected)
    (bad,) = scoreboard(graded([False, False, True] * 30), [], expected)
    assert not good.has_left
    assert bad.has_left
    assert board_text([bad]).splitlines() == [
        "signals of up_lightgbm: 90 graded, 0 waiting",
        "right 33 % (24 % to 44 % of 90 apart), expected 60 %",
        "gain each −0.33 % (−0.53 % to −0.13 %), expected +0.20 %",
        "Brier score 0.293, expected 0.240",
        "LEFT the band of the backtest",
    ]
    assert board_text([good]).endswith("within the band of the backtest")
    assert board_text(scoreboard([], [sent(1)])) == "signals of up_lightgbm: 0 graded, 1 waiting"


def test_what_is_sent_is_what_is_graded() -> None:
    said = ScoreSaid(HOUR, "BTC/USDT", "1h", 1, 1, 1, 2.0, {"p": 0.4, "r": 0.1, "other": 1.0, "none": math.nan})
    binary = {"p": True, "r": False, "none": True}
    assert [(s.column, s.direction) for s in sent_of(said, {"score"}, binary)] == [("p", -1), ("r", 1)]
    assert sent_of(said, {"diagram"}, binary) == []
    wish = SignalSent(HOUR, "BTC/USDT", "sell", 2.0, 0.4, "p")
    assert [(s.kind, s.direction) for s in sent_of(wish, {"trade"}, binary)] == [("signal", -1)]
    assert sent_of(wish, {"trade"}, {}) == []


# -- kept across lives


def test_what_went_out_is_graded_in_a_later_life_and_the_band_is_told_once(mailroom: Mailroom) -> None:
    labels, expected = {"up": UP}, (Expectation("signal", "up", 300, 200, 0.2, 0.002),)
    outputs = [Output("signals", Signals(), ("phone",)), Output("steps", ScoreSteps(quiet_below=0.9), ("phone",))]
    clerk = Clerk(mailroom, outputs, {"phone": Receiver()}, People(), binary={"up": True})
    closes = [1000.0 - n for n in range(140)]  # it only falls, and every purchase is wrong
    for hour in range(1, 100, 4):
        mailroom.note([SignalSent(hour * HOUR, "BTC/USDT", "buy", closes[hour - 1], 0.7, "up")])
        mailroom.note([ScoreSaid(hour * HOUR, "BTC/USDT", "1h", 1, 1, 1, 1, {"up": 0.7})])  # not sent: too weak
    clerk.write()
    first = Grader(mailroom, labels, expected)
    assert first.text() == "signals of up: 0 graded, 25 waiting"
    assert first.grade({"BTC/USDT": bars(closes[:10])}, now=10 * HOUR).count == 2
    assert first.grade({"BTC/USDT": bars(closes[:10])}, now=10 * HOUR).count == 0
    second = Grader(mailroom, labels, expected, may_step_down=True)
    judged = second.grade({"BTC/USDT": bars(closes)}, now=140 * HOUR)
    assert judged.count == 23
    assert judged.step_down.startswith("signals of up are right 0% of 25 times")
    (event,) = judged.events
    assert event.state == "left_band"
    assert event.text.startswith(
        "signals of up are right 0% of 25 times, in the backtest 67%; that has a chance below 1 in"
    )
    assert second.graded()[0].sent.price == 1000.0
    third = Grader(mailroom, labels, expected, may_step_down=True)
    assert third.board()[0].has_left
    mailroom.note([*judged.events, SignalSent(120 * HOUR, "BTC/USDT", "buy", 880.0, 0.7, "up")])
    clerk.write()
    again = third.grade({"BTC/USDT": bars(closes)}, now=141 * HOUR)
    assert (again.count, again.events) == (1, ())  # told once, in whatever life
    assert again.step_down  # a life that began on the account anew does not go on there
    fourth = Grader(mailroom, labels)
    assert fourth.grade({"BTC/USDT": bars(closes)}, now=142 * HOUR) == Judgement(0)
    assert fourth.expect(expected, now=142 * HOUR) == Judgement(0)
    better = (Expectation("signal", "up", 300, 0, 0.9, -0.002),)
    assert Grader(mailroom, labels, may_step_down=True).expect(better, now=143 * HOUR) == Judgement(0)
