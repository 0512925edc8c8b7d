from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.market.bars import Bars
from itb.market.gaps import Gap, GapPolicy, find_gaps, treat

MakeBars = Callable[..., Bars]
present = st.sets(st.integers(0, 40), min_size=1, max_size=30).map(sorted)
HOUR = 3_600_000
START = 1_700_000_000_000 // HOUR * HOUR


def flat_by_hand(bars: Bars) -> list[list[float]]:
    rows: list[list[float]] = []
    held = dict(zip(bars.open_time.tolist(), range(len(bars)), strict=True))
    for time in range(int(bars.open_time[0]), int(bars.open_time[-1]) + 1, HOUR):
        if time in held:
            rows.append([float(values[held[time]]) for values in bars.columns.values()])
        else:
            names = list(bars.columns)
            close, funding = rows[-1][names.index("close")], rows[-1][names.index("funding")]
            rows.append([{"volume": 0.0, "trades": 0.0, "funding": funding}.get(name, close) for name in names])
    return rows


class TestFinding:
    @given(positions=present)
    def test_gaps_are_exactly_the_missing_bars(self, make_bars: MakeBars, positions: list[int]) -> None:
        gaps = find_gaps(make_bars(positions))
        missing = [time for gap in gaps for time in range(gap.start_ms, gap.stop_ms, HOUR)]
        assert missing == [START + at * HOUR for at in range(positions[0], positions[-1]) if at not in positions]
        assert sum(gap.bars for gap in gaps) == len(missing)

    def test_neighbouring_missing_bars_are_one_gap(self, make_bars: MakeBars) -> None:
        assert find_gaps(make_bars([0, 3, 4, 6])) == [
            Gap(START + HOUR, START + 3 * HOUR, 2),
            Gap(START + 5 * HOUR, START + 6 * HOUR, 1),
        ]

    def test_whole_bars_have_no_gaps(self, make_bars: MakeBars) -> None:
        assert find_gaps(make_bars(range(5))) == find_gaps(make_bars([])) == []


class TestTreating:
    @pytest.mark.parametrize("policy", ["refuse", "flat", "drop"])
    @pytest.mark.parametrize("positions", [[], [3], [3, 4, 5]])
    def test_whole_bars_stay_as_they_are(self, make_bars: MakeBars, policy: GapPolicy, positions: list[int]) -> None:
        bars = make_bars(positions)
        assert treat(bars, policy) is bars

    def test_refuse_names_how_many_the_first_and_the_way_out(self, make_bars: MakeBars) -> None:
        message = (
            r"BTC/USDT 1h: 3 bars missing, first 2023-11-14 23:00 UTC\. "
            r'Run `itb data download --repair` or set data\.gaps = "flat" or "drop"\.'
        )
        with pytest.raises(BarsError, match=message):
            treat(make_bars([0, 3, 5]), "refuse")

    def test_drop_makes_the_bars_around_a_gap_neighbours(self, make_bars: MakeBars) -> None:
        bars = make_bars([0, 3, 5])
        assert treat(bars, "drop").equals(bars)

    @given(positions=present)
    def test_flat_repeats_the_last_close_without_volume(self, make_bars: MakeBars, positions: list[int]) -> None:
        bars = make_bars(positions, extras=("trades", "funding"))
        flat = treat(bars, "flat")
        assert flat.missing == 0
        assert [list(row) for row in zip(*flat.columns.values(), strict=True)] == flat_by_hand(bars)

    @given(positions=present, cut=st.integers(1, 30))
    def test_later_bars_change_no_flat_bar(self, make_bars: MakeBars, positions: list[int], cut: int) -> None:
        bars = make_bars(positions, extras=("trades",))
        early, whole = treat(bars.head(cut), "flat"), treat(bars, "flat")
        assert whole.head(len(early)).equals(early)

    def test_an_unknown_extra_stays_unknown(self, make_bars: MakeBars) -> None:
        bars = make_bars([0, 2]).with_columns(funding=np.array([np.nan, 1.0]))
        assert np.isnan(treat(bars, "flat")["funding"][:2]).all()

    def test_an_unknown_policy_is_refused(self, make_bars: MakeBars) -> None:
        with pytest.raises(ValueError, match='must be "refuse", "flat" or "drop", was \'interpolate\''):
            treat(make_bars([0, 2]), "interpolate")  # type: ignore[arg-type]
