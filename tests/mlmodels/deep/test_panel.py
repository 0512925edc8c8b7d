"""The panel: what each cell holds, which bars are missing, and that windows are views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import ModelError
from itb.laws.causal import poison_after
from itb.mlmodels.deep.lesson import PanelLesson, even_batches
from itb.mlmodels.deep.panel import PRESETS, Panel, Reading, Targets
from itb.mlmodels.labels import FutureReturn


def slow_cell(bars, reading, column, row, times):
    """One cell by hand, from the bars of one coin."""
    place = {int(t): i for i, t in enumerate(bars.open_time)}
    i = place.get(int(times[row]))
    if i is None:
        return np.nan
    value = bars[column][i]
    if reading.values == "levels":
        return value
    if column in ("open", "high", "low", "close"):
        before = place.get(int(times[row]) - bars.timeframe.ms)
        return np.nan if before is None else np.log(value / bars.close[before])
    return np.log1p(value) if column in ("volume", "quote_volume", "trades", "taker_buy_base") else value


@pytest.mark.parametrize("values", ["changes", "levels"])
def test_every_cell_is_what_the_slow_way_gives(gappy, values):
    reading = Reading(values=values)
    panel = Panel.of(gappy, reading)
    names = list(gappy["BTC/USDT"].columns)
    assert panel.channels == tuple(f"{symbol} {name}" for symbol in sorted(gappy) for name in names)
    for row in (0, 1, 199, 200, 201, 299, 300, 301, 302, 303, 450, 451, 699):
        for place, channel in enumerate(panel.channels):
            symbol, column = channel.split()
            expected = np.float32(slow_cell(gappy[symbol], reading, column, row, panel.open_time))
            np.testing.assert_array_equal(panel.cells[place, row], expected, err_msg=f"{channel} {row}")


def test_missing_minutes_and_coins_not_yet_listed_are_marked(gappy):
    panel = Panel.of(gappy, Reading())
    assert panel.symbols == ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert panel.there.sum(axis=0).tolist() == [700, 697, 500]
    assert np.flatnonzero(~panel.there[:, 1]).tolist() == [300, 301, 450]
    assert not panel.there[:200, 2].any()


def test_a_panel_in_a_file_is_the_same_and_is_mapped(gappy, tmp_path):
    loaded, mapped = Panel.of(gappy, Reading(clock=True)), Panel.of(gappy, Reading(clock=True), tmp_path)
    again = Panel.of(gappy, Reading(clock=True), tmp_path)
    assert isinstance(mapped.cells, np.memmap)
    assert loaded.fingerprint == mapped.fingerprint == again.fingerprint
    assert len(list(tmp_path.iterdir())) == 1
    Panel.of(gappy, Reading(values="levels"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_clock_turns_once_a_day_and_once_a_week(coins):
    panel = Panel.of(coins, Reading(clock=True))
    clock = dict(zip(panel.channels[-4:], panel.cells[-4:], strict=True))
    assert list(clock) == ["sin day", "cos day", "sin week", "cos week"]
    np.testing.assert_allclose(clock["sin day"][:24], clock["sin day"][24:48], atol=1e-6)
    np.testing.assert_allclose(clock["cos week"][:168], clock["cos week"][168:336], atol=1e-6)
    assert abs(clock["sin week"][0] - clock["sin week"][24]) > 0.1


@given(first=st.integers(7, 60), step=st.integers(1, 40), count=st.integers(1, 9), steps=st.integers(1, 8))
def test_windows_are_views_that_end_with_their_row(coins, first, step, count, steps):
    panel = Panel.of(coins, Reading())
    rows = range(first, first + step * count, step)
    windows = panel.windows(rows, steps)
    assert np.shares_memory(windows, panel.cells)
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(windows[place], panel.cells[:, row - steps + 1 : row + 1])


def test_a_window_that_would_begin_before_the_panel_is_refused(coins):
    with pytest.raises(ValueError, match="have no 9 steps"):
        Panel.of(coins, Reading()).windows(range(7, 9), steps=9)


@pytest.mark.parametrize("cut", [250, 300, 451])
def test_later_bars_change_no_earlier_cell(gappy, cut):
    panel = Panel.of(gappy, Reading())
    time = int(panel.open_time[cut])
    changed = {}
    for symbol, bars in gappy.items():
        last = int(np.searchsorted(bars.open_time, time, side="right")) - 1
        changed[symbol] = poison_after(bars, last, np.random.default_rng(1)) if last >= 0 else bars
    again = Panel.of(changed, Reading())
    np.testing.assert_array_equal(again.cells[:, : cut + 1], panel.cells[:, : cut + 1])


def test_a_column_that_a_coin_lacks_is_named(coins):
    with pytest.raises(ModelError, match="BTC/USDT: no column 'funding_rate' to learn from"):
        Panel.of(coins, Reading(columns=("close", "funding_rate")))
    extra = {**coins, "ETH/USDT": coins["ETH/USDT"].with_columns(funding_rate=coins["ETH/USDT"].close)}
    assert not any("funding" in channel for channel in Panel.of(extra, Reading()).channels)


def test_prices_of_another_source_are_read_against_its_own_close(coins):
    bars = coins["BTC/USDT"]
    bars = bars.with_columns(perp_high=bars.high * 3, perp_close=bars.close * 3, perp_volume=bars.volume)
    panel = Panel.of({"BTC/USDT": bars}, Reading(columns=("high", "perp_high", "volume", "perp_volume")))
    np.testing.assert_allclose(panel.cells[0], panel.cells[1], atol=1e-6)
    np.testing.assert_array_equal(panel.cells[2], panel.cells[3])


def test_the_published_sizes_are_there():
    assert {(one.coins, one.columns, one.steps) for one in PRESETS.values()} == {(13, 9, 512), (20, 8, 512)}


@given(rows=st.integers(1, 200), batch=st.integers(1, 50), seed=st.integers(0, 9))
def test_batches_hold_no_row_twice_and_leave_out_few(rows, batch, seed):
    parts = [range(rows)[part] for part in even_batches(rows, batch, np.random.default_rng(seed))]
    seen = [row for part in parts for row in part]
    apart = max(1, rows // batch)
    assert len(seen) == len(set(seen)) > rows - apart
    assert all(part.step == apart for part in parts)


def test_what_is_learned_knows_nothing_of_the_rows_held_back(gappy):
    panel = Panel.of(gappy, Reading())
    label = FutureReturn(5)
    targets = panel.targets(gappy, {symbol: label(bars) for symbol, bars in gappy.items()})
    lesson = PanelLesson.of(panel, targets, range(20, 500, 2), 500, 0.25)
    assert lesson.tail[-1] <= 495
    assert len(lesson.tail) == 60  # a quarter of the 238 whose label is known
    learned_at = targets.known_at[lesson.rows.start : lesson.rows.stop : lesson.rows.step]
    known = np.isfinite(lesson.labels)
    assert learned_at[known].max() < lesson.tail[0]
    assert known.sum() == ((learned_at >= 0) & (learned_at < lesson.tail[0])).sum()
    tail_at = targets.known_at[lesson.tail.start : lesson.tail.stop : lesson.tail.step]
    assert tail_at[np.isfinite(lesson.tail_labels)].max() <= 500


def test_scales_are_those_of_the_training_rows(gappy):
    panel = Panel.of(gappy, Reading(values="levels"))
    targets = panel.targets(gappy, {symbol: FutureReturn(5)(one) for symbol, one in gappy.items()})
    lesson = PanelLesson.of(panel, targets, range(20, 190), 400, 0.25)
    centre, scale = lesson.input_scale(8)
    assert lesson.rows[-1] < 160
    close = gappy["BTC/USDT"].close[lesson.rows[0] - 7 : lesson.rows[-1] + 1]
    place = panel.channels.index("BTC/USDT close")
    np.testing.assert_allclose([centre[place], scale[place]], [close.mean(), close.std()], rtol=1e-6)
    unlisted = panel.channels.index("SOL/USDT close")
    assert (centre[unlisted], scale[unlisted]) == (0.0, 1.0)
    unit, level = lesson.label_scale()
    assert np.isnan(unit[2])
    labels = lesson.labels[:, 0][np.isfinite(lesson.labels[:, 0])]
    np.testing.assert_allclose([unit[0], level[0]], [labels.std(), labels.mean()])


def test_targets_tell_only_what_was_known():
    targets = Targets(np.arange(8.0)[:, None], np.arange(8)[:, None] + 3)
    assert np.isfinite(targets.known(2, 6)[:, 0]).tolist() == [True, True, False, False, False]
