import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.errors import BarsError
from itb.indicators.depth import Depth, book_bins, book_density
from itb.laws.causal import check_causal
from itb.laws.warmup import check_warmup
from itb.market.bars import Bars

INPUTS = Depth().inputs
FIRST = [(1, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]
SECOND = [(1, 1), (3, 1), (4, 20), (6, 1), (7, 1)]
THIRD = [(1, 1), (3, 1), (4, 1), (5, 2)]

Levels = list[tuple[float, float]]


@pytest.fixture(scope="module")
def with_book(hourly: Bars) -> Bars:
    rng = np.random.default_rng(2)
    bars = hourly.head(600)
    snapshots = rng.lognormal(size=(len(INPUTS), len(bars)))
    snapshots[:, rng.random(len(bars)) < 0.2] = np.nan
    snapshots[:, 300:340] = np.nan
    return bars.with_columns(**dict(zip(INPUTS, snapshots, strict=True)))


class TestBins:
    @pytest.mark.parametrize(
        ("levels", "width", "start", "expected"),
        [(FIRST, 4.0, None, [1, 1]), (SECOND, 4.0, None, [5.75, 5.75]), (THIRD, 2.0, 0.0, [0.5, 1.0, 1.5])],
    )
    def test_known_books(self, levels: Levels, width: float, start: float | None, expected: list[float]) -> None:
        assert book_bins(levels, width, start=start).tolist() == expected
        bids = [(-price, volume) for price, volume in levels]
        assert book_bins(bids, width, start=start).tolist() == expected

    @pytest.mark.parametrize("levels", [[], [(1, 1), (1, 2)], [(1, 1), (3, 1), (2, 1)]])
    def test_a_side_that_is_empty_or_out_of_order_is_refused(self, levels: Levels) -> None:
        with pytest.raises(ValueError, match="level"):
            book_bins(levels, 1.0)

    def test_a_snapshot_becomes_the_columns_that_the_family_reads(self) -> None:
        density = book_density([(10, 2), (9, 4)], [(10.5, 1), (12, 3)])
        assert set(density) == set(INPUTS)
        assert density["gap"] == 0.5
        assert density["bids_1"] == 2
        assert density["bids_20"] == 3
        assert density["asks_2"] == (1 + (0.5 * 1 + 0.5 * 3)) / 2


def test_columns_are_those_of_pandas(with_book: Bars) -> None:
    family = Depth()
    values = family(with_book)
    frame = with_book.to_frame()
    for column, name in enumerate(family.names):
        source, window = name.rsplit("_", 1)
        mean, base = (frame[source].rolling(w, min_periods=max(1, w // 2)).mean() for w in (int(window), 30))
        expected = (100 * (mean - base) / base).to_numpy()
        np.testing.assert_allclose(values[29:, column], expected[29:], rtol=1e-9, atol=1e-9, err_msg=name)
    assert np.isnan(values[:29]).all()


def test_the_33_columns_have_the_names_of_intelligent_trading_bot() -> None:
    names = Depth().names
    assert len(names) == 33
    assert names[3:9] == ("bids_1_2", "bids_1_5", "bids_1_10", "asks_1_2", "asks_1_5", "asks_1_10")
    assert names[-1] == "asks_20_10"


@settings(max_examples=25, deadline=None)
@given(
    windows=st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True),
    base=st.integers(1, 90),
    bins=st.lists(st.sampled_from([1, 2, 5, 10, 20]), min_size=1, max_size=3, unique=True),
)
def test_any_depth_obeys_the_laws(windows: list[int], base: int, bins: list[int], with_book: Bars) -> None:
    family = Depth(tuple(windows), base, tuple(bins))
    assert check_causal(family, with_book, cuts=2)
    result = check_warmup(family, with_book, points=6)
    assert result, str(result)


def test_bars_without_a_book_are_refused(hourly: Bars) -> None:
    with pytest.raises(BarsError, match="no column 'gap'"):
        Depth()(hourly)


def test_windows_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="windows must be at least 1 bar, was 0"):
        Depth(windows=(0,))
    with pytest.raises(ValueError, match="base_window must be at least 1 bar, was 0"):
        Depth(base_window=0)
