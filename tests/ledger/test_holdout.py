from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import RunError
from itb.ledger.holdout import Holdout, enter_holdout
from itb.ledger.register import Look, Register
from itb.market.bars import OHLCV, Bars

DAY = 86_400_000
SEALED = 19_800 * DAY  # 2024-03-18


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "register.sqlite")


def enter(
    register: Register, from_ms: int | None, run_id: str = "r1", time: int = 5, *, include: bool = False
) -> Holdout:
    return enter_holdout(register, "BTC", from_ms, include=include, time=time, run_id=run_id, command="backtest")


def look(run_id: str, to_ms: int, time: int = 1) -> Look:
    return Look(time, run_id, "backtest", "BTC", "BTC/USDT", "1h", 0, to_ms, "d", "c")


def bars_around(timeframe: str) -> Bars:
    step = {"1h": DAY // 24, "1w": 7 * DAY}[timeframe]
    monday = 19_794 * DAY // step * step + (0 if timeframe == "1h" else 4 * DAY)
    times = [monday + count * step for count in range(300 if timeframe == "1h" else 3)]
    return Bars.of("BTC/USDT", timeframe, times, **{name: [1.0] * len(times) for name in OHLCV})


def test_without_a_date_nothing_is_sealed_and_all_bars_are_research(register: Register) -> None:
    holdout = enter(register, None)
    bars = bars_around("1h")
    assert holdout.from_ms is None
    assert holdout.research(bars) is bars
    assert not holdout.is_seen_in(10**15)
    assert holdout.note == "No hold-out is fixed for BTC: nothing here was kept for a final test."


def test_research_stops_where_the_hold_out_begins(register: Register) -> None:
    bars = bars_around("1h")
    research = enter(register, SEALED).research(bars)
    assert 0 < len(research) < len(bars)
    assert research.close_time[-1] == SEALED


def test_a_bar_that_reaches_into_the_hold_out_is_sealed() -> None:
    bars = bars_around("1w")
    research = Holdout("BTC", int(bars.close_time[1]) - 1).research(bars)
    assert len(research) == 1


def test_the_same_date_is_taken_again(register: Register) -> None:
    enter(register, SEALED)
    assert enter(register, SEALED, "r2").from_ms == SEALED


@pytest.mark.parametrize("moved", [SEALED + DAY, SEALED - DAY])
def test_another_date_is_refused_with_the_date_to_set(register: Register, moved: int) -> None:
    enter(register, SEALED, "first-run", time=SEALED)
    with pytest.raises(RunError) as refusal:
        enter(register, moved, "r2")
    text = str(refusal.value)
    assert "the hold-out of BTC was fixed at 2024-03-18 00:00 UTC by run first-run" in text
    assert 'Set data.holdout_from = "2024-03-18"' in text
    assert "--include-holdout" in text
    assert register.holdout_openings() == []


def test_a_refusal_names_the_hour_where_the_date_is_not_enough(register: Register) -> None:
    enter(register, SEALED + DAY // 2)
    with pytest.raises(RunError, match=r'Set data.holdout_from = "2024-03-18 12:00"'):
        enter(register, SEALED)


def test_leaving_the_date_out_does_not_open_what_was_sealed(register: Register) -> None:
    enter(register, SEALED)
    assert enter(register, None, "r2").from_ms == SEALED


def test_being_let_in_gives_every_bar_and_is_recorded_for_ever(register: Register) -> None:
    enter(register, SEALED)
    bars = bars_around("1h")
    holdout = enter(register, SEALED, "r2", include=True)
    assert holdout.research(bars) is bars
    assert holdout.is_included
    assert "is seen by this run, the first" in holdout.note
    assert [opening.run_id for opening in register.holdout_openings("BTC")] == ["r2"]
    later = enter(register, SEALED, "r3")
    assert later.seen_by == ("r2",)
    assert not later.is_included
    assert later.note == (
        "The hold-out of BTC from 2024-03-18 00:00 UTC has been seen, by 1 run (first r2): "
        "figures on it are no first look."
    )


def test_looks_from_before_the_seal_that_reached_past_it_count(register: Register) -> None:
    register.add(look("early", SEALED), look("r0", SEALED + 1, time=2), look("r0", SEALED + 1, time=3))
    assert enter(register, SEALED).seen_by == ("r0",)
    both = enter(register, SEALED, "r9", time=9, include=True)
    assert both.seen_by == ("r0", "r9")
    assert "by 2 runs (first r0)" in both.note


def test_an_unseen_hold_out_says_so(register: Register) -> None:
    assert enter(register, SEALED).note == (
        "The hold-out of BTC from 2024-03-18 00:00 UTC is sealed: no run has looked at it."
    )


def test_a_range_is_in_the_hold_out_when_it_ends_after_its_start() -> None:
    holdout = Holdout("BTC", SEALED)
    assert not holdout.is_seen_in(SEALED)
    assert holdout.is_seen_in(SEALED + 1)
