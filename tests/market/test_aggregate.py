from collections.abc import Callable
from decimal import Decimal
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.market.aggregate import aggregate, known_at_close
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]
ReadBars = Callable[[str], Bars]

present = st.sets(st.integers(0, 60), max_size=45).map(sorted)
coarser = st.sampled_from(["15m", "30m", "1h", "2h", "4h"])
EXTRAS = ("quote_volume", "trades", "taker_buy_base", "funding")
COINS = ("ADA", "AVAX", "BNB", "BTC", "DOGE", "DOT", "ETH", "LINK", "SOL", "XRP")


def decimal_sum(values: list[float]) -> float:
    return float(sum(map(Decimal, map(repr, values))))


def by_hand(bars: Bars, timeframe: Timeframe) -> tuple[list[int], dict[str, list[float]]]:
    groups: dict[int, list[int]] = {}
    for row, time in enumerate(bars.open_time.tolist()):
        groups.setdefault(timeframe.floor(time), []).append(row)
    complete = {
        time: rows
        for time, rows in groups.items()
        if rows[-1] < len(bars) - 1 or bars.close_time[rows[-1]] == time + timeframe.ms
    }
    pick: dict[str, Callable[[list[float]], float]] = {
        "open": itemgetter(0),
        "high": max,
        "low": min,
        **dict.fromkeys(("volume", *EXTRAS[:3]), decimal_sum),
    }
    return list(complete), {
        name: [pick.get(name, itemgetter(-1))(column[rows].tolist()) for rows in complete.values()]
        for name, column in bars.columns.items()
    }


class TestCoarserBars:
    @given(positions=present, timeframe=coarser)
    def test_they_are_what_a_slow_loop_over_decimals_gives(
        self, make_bars: MakeBars, positions: list[int], timeframe: str
    ) -> None:
        bars = make_bars(positions, "15m", extras=EXTRAS)
        coarse = aggregate(bars, timeframe)
        times, columns = by_hand(bars, Timeframe.parse(timeframe))
        assert (coarse.open_time.tolist(), str(coarse.timeframe)) == (times, timeframe)
        assert {name: values.tolist() for name, values in coarse.columns.items()} == columns

    @given(positions=present, timeframe=coarser, cut=st.integers(0, 45))
    def test_later_bars_change_no_earlier_one(
        self, make_bars: MakeBars, positions: list[int], timeframe: str, cut: int
    ) -> None:
        bars = make_bars(positions, "15m", extras=EXTRAS)
        early, whole = aggregate(bars.head(cut), timeframe), aggregate(bars, timeframe)
        assert whole.head(len(early)).equals(early)

    @given(positions=present)
    def test_in_two_steps_they_are_the_same_as_in_one(self, make_bars: MakeBars, positions: list[int]) -> None:
        bars = make_bars([*positions, 63], "15m", extras=EXTRAS)
        assert aggregate(aggregate(bars, "1h"), "4h").equals(aggregate(bars, "4h"))

    def test_a_running_bar_is_left_out(self, make_bars: MakeBars) -> None:
        bars = make_bars(range(7), "15m")
        assert aggregate(bars, "1h").close.tolist() == [bars.close[3]]

    def test_a_bar_whose_last_part_is_missing_appears_with_the_next_one(self, make_bars: MakeBars) -> None:
        bars = make_bars([1, 2, 3, 4, 6, 9], "15m")
        assert len(aggregate(bars.head(5), "1h")) == 1
        assert aggregate(bars, "1h").close.tolist() == [bars.close[2], bars.close[4]]

    def test_sums_too_large_for_whole_numbers_are_plain_sums(self, make_bars: MakeBars) -> None:
        bars = make_bars(range(4), "15m")
        volume = np.array([1e301, 0.1 + 2**-50, 3e10, 1e-9])
        assert aggregate(bars.with_columns(volume=volume), "1h").volume.tolist() == [1e301]

    def test_an_unknown_part_makes_the_sum_unknown(self, make_bars: MakeBars) -> None:
        bars = make_bars(range(8), "15m").with_columns(trades=np.array([1, np.nan, 1, 1, 2, 2, 2, 2.0]))
        assert np.array_equal(aggregate(bars, "1h")["trades"], [np.nan, 8.0], equal_nan=True)

    def test_the_same_timeframe_gives_the_same_bars(self, make_bars: MakeBars) -> None:
        bars = make_bars([0, 2])
        assert aggregate(bars, "1h") is bars

    @pytest.mark.parametrize("timeframe", ["15m", "90m"])
    def test_a_timeframe_that_is_no_multiple_is_refused(self, make_bars: MakeBars, timeframe: str) -> None:
        with pytest.raises(ValueError, match=r"BTC/USDT 1h: bars of .* are not made of whole bars of 1h"):
            aggregate(make_bars(range(9)), timeframe)


class TestWhatIsKnown:
    @given(positions=present, timeframe=coarser)
    def test_it_is_the_newest_coarse_bar_closed_by_then(
        self, make_bars: MakeBars, positions: list[int], timeframe: str
    ) -> None:
        fine = make_bars(positions, "15m")
        coarse = aggregate(fine, timeframe)
        closes = coarse.close_time.tolist()
        expected = [sum(close <= now for close in closes) - 1 for now in fine.close_time.tolist()]
        assert known_at_close(fine, coarse).tolist() == expected

    @settings(max_examples=30)
    @given(positions=present, timeframe=coarser)
    def test_a_live_bot_that_aggregates_what_it_has_knows_the_same(
        self, make_bars: MakeBars, positions: list[int], timeframe: str
    ) -> None:
        fine = make_bars(positions, "15m")
        coarse = aggregate(fine, timeframe)
        for row, known in enumerate(known_at_close(fine, coarse)):
            seen = aggregate(fine.head(row + 1), timeframe)
            assert seen.equals(coarse.head(len(seen)))
            assert len(seen) <= known + 1


@pytest.mark.real
class TestRealBars:
    @pytest.mark.parametrize("coin", COINS)
    @pytest.mark.parametrize(("fine", "coarse"), [("15m", "30m"), ("15m", "1h"), ("30m", "1h"), ("4h", "1d")])
    def test_they_are_those_of_the_exchange_to_the_bit(
        self, real_bars: ReadBars, coin: str, fine: str, coarse: str
    ) -> None:
        theirs = real_bars(f"binance/{coin}USDT-{coarse}")
        ours = aggregate(real_bars(f"binance/{coin}USDT-{fine}"), coarse)
        common, mine, other = np.intersect1d(ours.open_time, theirs.open_time, return_indices=True)
        assert len(common) > 1900
        for name in ("open", "high", "low", "close", "volume", "trades", "taker_buy_base"):
            assert np.array_equal(ours[name][mine], theirs[name][other]), name
        units_in_last_place = np.abs(ours["quote_volume"][mine] - theirs["quote_volume"][other])
        assert (units_in_last_place <= 4 * np.spacing(theirs["quote_volume"][other])).all()
