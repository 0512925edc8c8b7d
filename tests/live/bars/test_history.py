from __future__ import annotations

import asyncio

import numpy as np
import pytest

from itb.errors import BarsError
from itb.live.bars.bar import Bar, rows_of
from itb.live.bars.gate import StartGate
from itb.live.bars.history import join_history, load_history
from itb.live.bars.replay import BarFaults, ReplaySource
from itb.market.bars import OHLCV, Bars


def named(bars: Bars) -> tuple[str, object]:
    return bars.symbol, bars.timeframe


def load(bars: Bars, stored: Bars | None, wanted: int, faults: BarFaults | None = None, **more: object) -> object:
    now = float(bars.close_time[-2]) + 1_500
    source = ReplaySource({bars.symbol: bars}, lambda: now, faults or BarFaults())
    return asyncio.run(load_history(source, stored, (bars.symbol, bars.timeframe), bars=wanted, now=now, **more))  # type: ignore[arg-type]  # settings by name


@pytest.mark.parametrize("kept", [0, 1, 5, 20, 39])
@pytest.mark.parametrize("page", [4, 500])
def test_store_and_exchange_are_joined_without_gap_or_overlap(bars: Bars, kept: int, page: int) -> None:
    joined = load(bars, bars.head(kept), 30, page=page)
    assert joined.bars.equals(bars.slice(9, 39))  # type: ignore[attr-defined]  # the running one is not among them
    assert joined.revised == ()  # type: ignore[attr-defined]


def test_a_store_with_a_hole_is_filled_from_the_exchange(bars: Bars) -> None:
    there = np.ones(len(bars), dtype=bool)
    there[15:18] = False
    holed = Bars(bars.symbol, bars.timeframe, bars.open_time[there], {k: v[there] for k, v in bars.columns.items()})
    assert load(bars, holed, 30).bars.equals(bars.slice(9, 39))  # type: ignore[attr-defined]


def test_where_both_have_a_bar_the_exchange_counts_and_it_is_told(bars: Bars) -> None:
    wrong = {name: np.array(values) for name, values in bars.columns.items()}
    wrong["volume"][29] += 1
    stored = Bars(bars.symbol, bars.timeframe, bars.open_time, wrong).head(30)
    joined = load(bars, stored, 30)
    assert joined.bars.equals(bars.slice(9, 39))  # type: ignore[attr-defined]
    assert joined.revised == (int(bars.open_time[29]),)  # type: ignore[attr-defined]


def test_a_bar_that_neither_has_is_refused_or_treated(bars: Bars) -> None:
    faults = BarFaults(missing=0.1, seed=2)
    with pytest.raises(BarsError, match="missing"):
        load(bars, None, 30, faults, gaps="refuse")
    assert load(bars, None, 30, faults, gaps="flat").bars.missing == 0  # type: ignore[attr-defined]


def test_too_short_a_history_is_refused_with_the_next_step(bars: Bars) -> None:
    with pytest.raises(BarsError, match="itb data download"):
        load(bars, None, 60)


def test_nothing_to_warm_up_with_and_other_columns_are_refused(bars: Bars) -> None:
    with pytest.raises(BarsError, match="neither"):
        join_history(None, [], OHLCV, (bars.symbol, bars.timeframe), "flat")
    with pytest.raises(BarsError, match="expected the same"):
        join_history(bars, [], (*OHLCV, "trades"), (bars.symbol, bars.timeframe), "flat")


def test_bars_survive_the_way_to_rows_and_back(bars: Bars) -> None:
    joined = join_history(None, rows_of(bars), tuple(bars.columns), (bars.symbol, bars.timeframe), "refuse")
    assert joined.bars.equals(bars)
    assert Bar(0, (1.0, 1.0, 1.0, 1.0, float("nan"))).equals(Bar(0, (1.0, 1.0, 1.0, 1.0, float("nan"))))


def test_the_gate_tells_each_opening_and_closing_once() -> None:
    told: list[tuple[bool, tuple[str, ...]]] = []
    gate = StartGate(("a", "b"), lambda is_open, why: told.append((is_open, why)))
    for change in (gate.clear, gate.clear):
        change("a")
    gate.clear("b")
    gate.hold("c")
    gate.hold("d")
    gate.clear("d")
    gate.clear("c")
    assert told == [(True, ()), (False, ("c",)), (True, ())]
