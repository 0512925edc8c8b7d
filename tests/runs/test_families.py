"""Every feature family as a stranger reaches it: a small CSV, an itb.toml, `itb data import`, `itb features`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from itb.cli import main
from itb.indicators.depth import BINS, Depth
from itb.indicators.feature_set import FEATURES
from itb.market.timeframe import MINUTE_MS

Run = Callable[[str], str]
START = 1_704_067_200_000
C_CLOSE = [2.9, 3.1, 3.6, 3.8, 4.0, 4.1, 5.0]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a line of the shell in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def line(text: str) -> str:
        monkeypatch.setattr(sys, "argv", shlex.split(text))
        with pytest.raises(SystemExit) as left:
            main()
        said = "".join(capsys.readouterr())
        assert not left.value.code, said
        return said

    return line


def write_bars(name: str, close, minutes: int = 1, **columns) -> pd.DataFrame:
    """Write a CSV of bars whose prices are all the close, unless said otherwise."""
    close = np.asarray(close, dtype=float)
    times = pd.to_datetime(START + np.arange(len(close)) * minutes * MINUTE_MS, unit="ms", utc=True)
    prices = dict.fromkeys(("open", "high", "low"), close)
    frame = pd.DataFrame({"timestamp": times, **prices, "close": close, "volume": np.ones(len(close)), **columns})
    frame.to_csv(name, index=False)
    return frame


def random_bars(name: str, count: int, seed: int = 1, minutes: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opened = np.append(close[0], close[:-1])
    return write_bars(
        name,
        close,
        minutes,
        open=opened,
        high=np.maximum(opened, close) * 1.002,
        low=np.minimum(opened, close) * 0.998,
        volume=rng.lognormal(size=count),
        trades=rng.integers(1, 99, count),
        taker_buy_base=rng.random(count) / 9,
        **{column: rng.lognormal(size=count) for column in Depth().inputs},
    )


def features_of(run: Run, name: str, *tables: str) -> pd.DataFrame:
    """Compute features of a CSV file of bars with a config that holds these tables, and read them back."""
    Path("itb.toml").write_text("\n".join(f"[[features]]\n{table}" for table in tables))
    run(f"itb features --bars {name} --out out.csv")
    return pd.read_csv("out.csv")


def test_imported_bars_become_features_in_a_csv_file(run: Run) -> None:
    frame = random_bars("btc.csv", 90)
    Path("itb.toml").write_text(
        '[data]\nexchange = "mine"\ntimeframe = "1m"\n'
        '[[features]]\nfamily = "talib"\nfunctions = ["SMA"]\nwindows = [5, 10]\n'
        'rel_base = "next"\nrel_func = "rel_diff"\npercentage = true\n'
    )
    run("itb data import btc.csv --exchange mine --symbol BTCUSDT --timeframe 1m")
    said = run("itb features --out out.csv")
    assert "2 features of 90 bars" in said
    found = pd.read_csv("out.csv")
    assert list(found.columns) == ["timestamp", "close_SMA_5", "close_SMA_10"]
    short, long = frame.close.rolling(5).mean(), frame.close.rolling(10).mean()
    np.testing.assert_allclose(found.close_SMA_5[9:], 100 * (short / long - 1)[9:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.close_SMA_10[9:], 100 * long[9:], rtol=1e-6)
    assert found.close_SMA_10[:9].isna().all()


def test_bars_can_come_straight_from_a_file_whose_name_and_steps_tell_what_they_are(run: Run) -> None:
    random_bars("ETHUSDT.csv", 60, minutes=15)
    said = run("itb features --bars ETHUSDT.csv --set 'features=[{family=\"time\"}]'")
    assert "ETH/USDT 15m: 4 features of 60 bars" in said
    assert "ETH/USDT 15m" in run("itb labels --bars ETHUSDT.csv --set label.horizon=3")
    assert len(pd.read_parquet("runs/features/ETH_USDT-15m.parquet")) == 60


def test_a_file_of_bars_may_stand_in_the_config_of_another_folder(run: Run) -> None:
    Path("deep").mkdir()
    random_bars("deep/x.csv", 60)
    Path("deep/itb.toml").write_text('[data]\nfile = "x.csv"\n[[features]]\nfamily = "time"\n')
    assert "BTC/USDT 1m: 4 features of 60 bars" in run("itb features -c deep/itb.toml")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_features_that_are_written_in_chunks_are_those_of_the_whole(run: Run, suffix: str) -> None:
    random_bars("a.csv", 400)
    Path("itb.toml").write_text(
        '[[features]]\nfamily = "talib"\nfunctions = ["SMA", "EMA"]\nwindows = [3, 9]\n'
        '[[features]]\nfamily = "itbstats"\nfunctions = ["area", "lsbm"]\nwindows = [20]\ntimeframes = ["5m"]\n'
    )
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    run(f"itb features --bars a.csv --out whole.{suffix}")
    said = run(f"itb features --bars a.csv --out parts.{suffix} --chunk 37")
    assert "8 features of 400 bars" in said
    whole, parts = read(f"whole.{suffix}"), read(f"parts.{suffix}")
    assert whole.timestamp.equals(parts.timestamp)
    np.testing.assert_allclose(parts.iloc[:, 1:], whole.iloc[:, 1:], rtol=3e-7, atol=1e-9)
    if suffix == "parquet":
        assert "already in" in run("itb features --bars a.csv --out parts.parquet")


def test_itbstats_gives_the_area_and_trend_of_the_reference(run: Run) -> None:
    write_bars("a.csv", [10, 20, 30, 20, 10, 20, 30])
    area = features_of(run, "a.csv", 'family = "itbstats"\nfunctions = ["area", "mean"]\nwindows = [4]')
    assert area.close_area_4[3:].tolist() == [0, 1, 0, -1]
    write_bars("b.csv", [10, 20, 40, 40, 30, 10])
    slope = features_of(run, "b.csv", 'family = "itbstats"\nfunctions = ["slope"]\nwindows = [2, 6]')
    assert slope.close_slope_2[1:].tolist() == [10, 20, 0, -10, -20]
    assert slope.close_slope_6.iloc[-1] == pytest.approx(0.857143, abs=1e-6)


def test_itbstats_agrees_with_scipy_and_pandas(run: Run) -> None:
    from scipy import stats

    frame = random_bars("a.csv", 60)
    functions = ["scipy_skew", "scipy_kurtosis", "pandas_skew", "pandas_kurtosis", "lsbm", "fmax", "mean", "std"]
    found = features_of(run, "a.csv", f'family = "itbstats"\nfunctions = {functions}\nwindows = [12]\nbias = true')
    window = frame.close.to_numpy()[-12:]
    below, longest, running = window < window.mean(), 0, 0
    for is_below in below:
        running = running + 1 if is_below else 0
        longest = max(longest, running)
    expected = [
        stats.skew(window),
        stats.kurtosis(window),
        pd.Series(window).skew(),
        pd.Series(window).kurt(),
        longest,
        window.argmax() / 12,
        window.mean(),
        window.std(),
    ]
    np.testing.assert_allclose(found.iloc[-1, 1:].to_numpy(float), expected, rtol=1e-5)


def test_klines_are_percent_over_the_base_window(run: Run) -> None:
    frame = random_bars("a.csv", 100)
    found = features_of(run, "a.csv", 'family = "klines"\nwindows = [5, 10]\nbase_window = 40')
    assert len(found.columns) == 1 + 9 * 2

    def weighted(window: int) -> float:
        end = frame.tail(window)
        return float((end.close * end.volume).sum() / end.volume.sum())

    def mean(values: pd.Series, window: int) -> float:
        return float(values.tail(window).mean())

    last = found.iloc[-1]
    assert last.close_5 == pytest.approx(100 * (weighted(5) / weighted(40) - 1), rel=1e-4)
    for name, values in (
        ("volume", frame.volume),
        ("span", frame.high - frame.low),
        ("trades", frame.trades),
        ("tb_base", frame.taker_buy_base / frame.volume),
    ):
        assert last[f"{name}_10"] == pytest.approx(100 * (mean(values, 10) / mean(values, 40) - 1), rel=1e-4)


def test_depth_relates_its_windows_to_the_longest(run: Run) -> None:
    frame = random_bars("a.csv", 60)
    found = features_of(run, "a.csv", 'family = "depth"')
    assert len(found.columns) == 1 + 33
    assert {f"bids_{k}" for k in BINS} <= set(frame.columns)
    base = frame.bids_1.tail(30).mean()
    column = next(name for name in found.columns if name.startswith("bids_1_") and name.endswith("2"))
    assert found[column].iloc[-1] == pytest.approx(100 * (frame.bids_1.tail(2).mean() / base - 1), rel=1e-4)


def test_regression_condensed_gives_the_slopes_of_the_reference(run: Run) -> None:
    write_bars("a.csv", C_CLOSE)
    found = features_of(run, "a.csv", 'family = "regression_condensed"')
    assert (found["gain5m_0"][4:] / 60).round(6).tolist() == [0.29, 0.24, 0.31]
    assert found["price5m_0"][4:].round(6).tolist() == [4.06, 4.20, 4.72]
    assert len(found.columns) == 1 + 20
    shorter = features_of(run, "a.csv", 'family = "regression_condensed"\nnormalised = true')
    assert len(shorter.columns) == 1 + 14


def test_condensed_aggregates_offer_both_averages_of_the_volume(run: Run) -> None:
    frame = random_bars("a.csv", 90)
    for average in ("mean", "median"):
        table = f'family = "condensed_aggregates"\nvolume_average = "{average}"'
        found = features_of(run, "a.csv", table)
        short, long = (getattr(frame.volume.rolling(window), average)() for window in (5, 60))
        np.testing.assert_allclose(found.vol5m1h[59:], (short / long)[59:], rtol=1e-5)
        pivot = (frame.open + frame.high + frame.low + frame.close) / 4
        mean = pivot.rolling(5).mean()
        np.testing.assert_allclose(found.dpiv5m2[60:], ((mean.shift(10) - mean.shift(15)) / pivot)[60:], atol=1e-7)
        assert len(found.columns) == 1 + 23


def test_aggregates_are_those_of_one_minute_bars(run: Run) -> None:
    frame = random_bars("a.csv", 1500)
    found = features_of(run, "a.csv", 'family = "aggregates"')
    assert len(found.columns) == 1 + 110
    close = frame.close
    np.testing.assert_allclose(found["5T_2_D"][20:], (close.shift(10) / close.shift(15) - 1)[20:], atol=1e-7)
    wick = 1000 * (frame.high - np.maximum(frame.open, close)) / close
    np.testing.assert_allclose(found["1T_3_T"][10:], wick.shift(3)[10:], rtol=1e-5)
    usual = frame.volume.rolling(1440).mean()
    np.testing.assert_allclose(found["1T_0_V"][1440:], (frame.volume / usual - 1)[1440:], rtol=1e-4, atol=1e-6)


def test_fractional_differences_have_the_weights_of_the_book(run: Run) -> None:
    write_bars("a.csv", [1e-9] * 9 + [1 + 1e-9] + [1e-9] * 5)
    found = features_of(run, "a.csv", 'family = "fracdiff"\norders = [0.4]\nwindow = 6\nlog = false')
    np.testing.assert_allclose(found.iloc[9:15, 1], [1, -0.4, -0.12, -0.064, -0.0416, -0.029952], rtol=1e-5)


def test_the_expansion_names_its_columns_and_knows_long_bars_at_their_close(run: Run) -> None:
    frame = random_bars("a.csv", 400)
    keys = 'family = "series"\ninputs = ["close"]\nprefix = "p"\ntimeframes = ["15m"]\nshifts = [1]'
    found = features_of(run, "a.csv", keys)
    assert list(found.columns[1:]) == ["p_close", "p_close_shift_1", "p_15m_close", "p_15m_close_shift_1"]
    for row in (13, 14, 15, 28, 29, 30, 399):
        closed = (row + 1) // 15 * 15 - 1
        expected = frame.close[closed] if closed > 0 else np.nan
        np.testing.assert_allclose(found.p_15m_close[row], expected, rtol=1e-6)


def test_other_coins_and_funding_come_from_sources(run: Run) -> None:
    frame, eth = random_bars("BTCUSDT-1h.csv", 200, minutes=60), random_bars("ETHUSDT-1h.csv", 200, 2, minutes=60)
    times = pd.to_datetime(START + np.arange(0, 200, 8) * 60 * MINUTE_MS, unit="ms", utc=True)
    rates = np.round(np.random.default_rng(0).normal(1e-4, 1e-4, len(times)), 6)
    pd.DataFrame({"timestamp": times, "funding_rate": rates}).to_csv("f.csv", index=False)
    Path("itb.toml").write_text("""
[[sources]]
name = "eth"
symbol = "ETH/USDT"
file = "ETHUSDT-1h.csv"

[[sources]]
name = "funding"
kind = "table"
file = "f.csv"
time = "event"
columns = ["funding_rate", "time"]

[[features]]
family = "cross"
coins = ["eth"]
windows = [24]

[[features]]
family = "derivatives"
functions = ["funding", "funding_sum", "funding_annual", "funding_age", "basis"]
windows = [24]
zscores = [48]
perp = "eth_close"

[[features]]
family = "stats"
functions = ["zscore"]
windows = [12]
inputs = ["close"]
source = "eth"
""")
    run("itb features --bars BTCUSDT-1h.csv --out out.csv")
    last = pd.read_csv("out.csv").iloc[-1]
    ours, theirs = np.log(frame.close).diff().tail(24), np.log(eth.close).diff().tail(24)
    assert last.eth_correlation_24 == pytest.approx(np.corrcoef(ours, theirs)[0, 1], rel=1e-4)
    assert last.eth_beta_24 == pytest.approx(np.cov(ours, theirs)[0, 1] / theirs.var(), rel=1e-4)
    assert last.funding == pytest.approx(rates[-1])
    assert last.funding_sum_24 == pytest.approx(rates[-3:].sum(), rel=1e-5)
    assert last.funding_annual_24 == pytest.approx(rates[-3:].sum() * 365, rel=1e-5)
    assert last.funding_age == 8
    assert last.basis == pytest.approx(eth.close.iloc[-1] / frame.close.iloc[-1] - 1, rel=1e-4)
    window = eth.close.tail(12)
    assert last.eth_close_zscore_12 == pytest.approx((window.iloc[-1] - window.mean()) / window.std(), rel=1e-4)


@pytest.mark.parametrize("family", sorted(FEATURES))
def test_every_family_says_on_the_page_of_features_how_it_is_reached(family: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "features.md").read_text()
    assert f'family = "{family}"' in page
