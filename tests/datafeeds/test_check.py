from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.datafeeds.check import CheckLimits, check, check_store, contradictions
from itb.datafeeds.findings import Finding, FindingRow, Findings, Severity, exit_code
from itb.datafeeds.importers import import_file
from itb.datafeeds.store import BarStore
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import BarsError
from itb.market.aggregate import aggregate
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]

HOUR = 3_600_000
START = 1_704_067_200_000


@pytest.fixture(scope="module")
def calm() -> Bars:
    """Hourly bars of the synthetic market, without a flaw."""
    bars = SyntheticMarket(bars=2400, seed=3, timeframe="15m").bars()["BTC/USDT"]
    assert check(bars).findings == ()
    return bars


def changed(bars: Bars, rows: Any, **values: Any) -> Bars:
    columns = {name: column.copy() for name, column in bars.columns.items()}
    for name, value in values.items():
        columns[name][rows] = value
    return Bars(bars.symbol, bars.timeframe, bars.open_time, columns)


def without(bars: Bars, rows: list[int]) -> Bars:
    keep = np.setdiff1d(np.arange(len(bars)), rows)
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.open_time[keep],
        {name: values[keep] for name, values in bars.columns.items()},
    )


def printed(bars: Bars, row: int, factor: float) -> Bars:
    """Bars in which one close, and the open after it, is a bad print."""
    price = bars.close[row] * factor
    bars = changed(bars, row, close=price, high=max(bars.high[row], price), low=min(bars.low[row], price))
    after = row + 1
    return changed(bars, after, open=price, high=max(bars.high[after], price), low=min(bars.low[after], price))


class TestOneSeries:
    def test_gaps_are_warnings(self, calm: Bars) -> None:
        findings = check(without(calm, [10, 11, 12, 40]))
        frame = calm.timeframe.ms
        assert [(one.kind, one.severity, one.bars) for one in findings.findings] == [
            ("gap", "warning", 3),
            ("gap", "warning", 1),
        ]
        assert findings.findings[0].start_ms == calm.open_time[10]
        assert findings.findings[0].stop_ms == calm.open_time[12] + frame

    @pytest.mark.parametrize(("length", "severity"), [(1, "note"), (9, "note"), (10, "warning")])
    def test_silence_is_a_warning_when_it_lasts(self, calm: Bars, length: int, severity: Severity) -> None:
        (found,) = check(changed(calm, slice(100, 100 + length), volume=0.0)).findings
        assert (found.kind, found.severity, found.bars) == ("zero volume", severity, length)
        assert (found.start_ms, found.stop_ms) == (calm.open_time[100], calm.open_time[100 + length])

    def test_trade_at_one_price_for_long_is_frozen(self, calm: Bars) -> None:
        price = float(calm.close[500])
        frozen = changed(calm, slice(501, 515), open=price, high=price, low=price, close=price)
        found = [one for one in check(frozen).findings if one.kind == "frozen"]
        assert [(one.severity, one.bars, one.start_ms) for one in found] == [("warning", 14, calm.open_time[501])]
        assert check(changed(frozen, slice(501, 515), volume=0.0)).of("frozen") == []

    def test_flat_bars_at_changing_prices_are_not_frozen(self, calm: Bars) -> None:
        prices = calm.close[501:515]
        flat = changed(calm, slice(501, 515), open=prices, high=prices, low=prices, close=prices)
        assert check(flat).of("frozen") == []

    @pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 10.0])
    @pytest.mark.parametrize("row", [2, 700, 2390])
    def test_a_bad_print_is_a_warning(self, calm: Bars, factor: float, row: int) -> None:
        spikes = check(printed(calm, row, factor)).of("spike")
        assert {one.start_ms for one in spikes} <= set(calm.open_time[row : row + 2].tolist())
        assert any(one.start_ms == calm.open_time[row] and one.severity == "warning" for one in spikes)
        assert any("taken back by the next bar" in one.detail for one in spikes)

    def test_a_jump_that_stays_is_a_note(self, calm: Bars) -> None:
        columns = {name: values.copy() for name, values in calm.columns.items()}
        for name in ("open", "high", "low", "close"):
            columns[name][1000:] *= 1.4
        (found,) = check(Bars(calm.symbol, calm.timeframe, calm.open_time, columns)).findings
        assert (found.kind, found.severity, found.start_ms) == ("spike", "note", calm.open_time[1000])
        assert "(+39" in found.detail or "(+40" in found.detail or "(+4" in found.detail

    @pytest.mark.parametrize(("name", "factor"), [("high", 2.0), ("low", 0.5)])
    def test_a_wick_far_beyond_the_body_is_a_warning(self, calm: Bars, name: str, factor: float) -> None:
        (found,) = check(changed(calm, 1200, **{name: calm[name][1200] * factor})).findings
        assert (found.kind, found.severity, found.start_ms) == ("spike", "warning", calm.open_time[1200])
        assert "wick far beyond the body" in found.detail

    def test_the_limit_of_spikes_can_be_chosen(self, calm: Bars) -> None:
        spiked = printed(calm, 700, 1.1)
        size = check(spiked).of("spike")[0].size
        assert check(spiked, CheckLimits(spike_mads=size * 1.01)).of("spike") == []
        assert len(check(spiked, CheckLimits(spike_mads=3.0)).of("spike")) > 10

    def test_a_move_across_a_gap_counts_as_the_time_it_took(self, calm: Bars) -> None:
        limits = CheckLimits(spike_mads=check(calm, CheckLimits(spike_mads=1.0)).of("spike")[0].size * 1.01)
        start = int(np.abs(np.log(calm.close[61:] / calm.close[:-61])).argmax())
        holed = without(calm, list(range(start + 1, start + 61)))
        assert np.abs(np.diff(np.log(holed.close))).argmax() == start
        assert check(holed, limits).of("spike") == []

    @pytest.mark.parametrize("n", [0, 1, 2, 3])
    def test_few_bars_are_no_trouble(self, calm: Bars, n: int) -> None:
        assert check(calm.head(n)).findings == ()

    def test_prices_that_never_move_are_frozen_and_nothing_else(self, calm: Bars) -> None:
        dead = changed(calm, slice(None), open=5.0, high=5.0, low=5.0, close=5.0)
        assert [(one.kind, one.bars) for one in check(dead).findings] == [("frozen", len(calm))]

    @pytest.mark.parametrize(
        "wrong", [{"spike_mads": 0.0}, {"spike_window": 5}, {"silent_bars": 0}, {"frozen_bars": 1}]
    )
    def test_limits_that_mean_nothing_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="spike_mads must be above 0"):
            CheckLimits(**wrong)


class TestTwoTimeframes:
    def test_bars_made_of_finer_ones_agree(self, calm: Bars) -> None:
        assert contradictions(calm, aggregate(calm, "4h")) == []
        assert contradictions(without(calm, [5, 17, 18, 19]), aggregate(calm, "1h")) == []
        assert contradictions(calm.slice(100, 700), aggregate(calm, "1h")) == []

    @pytest.mark.parametrize("name", ["open", "close", "volume"])
    def test_a_number_that_differs_is_an_error(self, calm: Bars, name: str) -> None:
        hours = aggregate(calm, "1h")
        spoilt = changed(hours, slice(7, 9), **{name: (hours.low if name != "volume" else hours.volume * 2)[7:9]})
        (found,) = contradictions(calm, spoilt)
        assert (found.kind, found.severity, found.bars, found.start_ms) == (
            "contradiction",
            "error",
            2,
            hours.open_time[7],
        )
        assert found.detail.startswith(f"{name} not as 15m bars have it: {name} ")

    def test_prices_outside_the_coarser_bar_are_an_error_even_beside_a_gap(self, calm: Bars) -> None:
        hours = aggregate(calm, "1h")
        top = int(calm.high[40:44].argmax()) + 40
        lower = changed(hours, 10, high=max(hours.open[10], hours.close[10]))
        other = 40 + (top - 40 + 1) % 4
        assert [one.start_ms for one in contradictions(without(calm, [other]), lower)] == [hours.open_time[10]]

    def test_a_store_is_checked_against_the_next_finer_timeframe(self, tmp_path: Path, calm: Bars) -> None:
        store = BarStore(tmp_path)
        hours = aggregate(calm, "1h")
        store.write("binance", calm)
        store.write("binance", changed(hours, 7, volume=1.0))
        findings = check_store(store, "binance", "BTC/USDT", "1h")
        assert findings.summary == "binance BTC/USDT 1h: 600 bars, 1 contradiction (1 bar)"
        assert check_store(store, "binance", "BTC/USDT", "15m").findings == ()

    def test_a_damaged_file_is_a_finding(self, tmp_path: Path, calm: Bars) -> None:
        store = BarStore(tmp_path)
        store.write("binance", aggregate(calm, "1d"))
        next(tmp_path.rglob("2023.parquet")).write_bytes(b"spoilt")
        findings = check_store(store, "binance", "BTC/USDT", "1d")
        assert (findings.worst, exit_code([findings], "error")) == ("error", 1)
        assert "2023.parquet: damaged" in findings.rows()[0].detail

    def test_a_series_that_is_not_stored_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(BarsError, match="no bars are stored here yet"):
            check_store(BarStore(tmp_path), "binance", "BTC/USDT", "1h")


class TestTelling:
    def findings(self, *severities: Severity) -> Findings:
        ones = [
            Finding("gap", severity, START + at * HOUR, START + (at + 1) * HOUR, 1, f"number {at}", size=at % 3)
            for at, severity in enumerate(severities)
        ]
        return Findings("binance BTC/USDT 1h", 9, tuple(ones))

    @pytest.mark.parametrize(
        ("severities", "fail_on", "code"),
        [
            ((), "note", 0),
            (("note",), "warning", 0),
            (("note",), "note", 1),
            (("note", "warning"), "warning", 1),
            (("warning",), "error", 0),
            (("error", "note"), "error", 1),
        ],
    )
    def test_the_exit_code_follows_the_worst_finding(
        self, severities: tuple[Severity, ...], fail_on: Severity, code: int
    ) -> None:
        assert exit_code([self.findings(), self.findings(*severities)], fail_on) == code

    def test_nothing_checked_is_no_failure(self) -> None:
        assert exit_code([]) == 0

    def test_the_table_shows_the_largest_and_counts_the_rest(self) -> None:
        rows = self.findings("note", "warning", "error", "note", "note").rows(limit=2)
        assert rows == [
            FindingRow("error", "gap", "2024-01-01 02:00 UTC", "1", "number 2"),
            FindingRow("warning", "gap", "2024-01-01 01:00 UTC", "1", "number 1"),
            FindingRow("note", "gap", "", "3", "and 3 more"),
        ]

    def test_the_summary_counts_each_kind(self) -> None:
        assert self.findings("note", "note").summary == "binance BTC/USDT 1h: 9 bars, 2 gaps (2 bars)"
        assert self.findings().summary == "binance BTC/USDT 1h: 9 bars, nothing to report"


@pytest.mark.real
class TestRealBars:
    def test_known_contradictions_between_timeframes_are_found(
        self, tmp_path: Path, real_file: Callable[[str], Path]
    ) -> None:
        store = BarStore(tmp_path)
        for timeframe in ("15m", "1h"):
            import_file(store, "binance-usdm", real_file(f"binance-usdm/BTCUSDT-{timeframe}"))
        found = check_store(store, "binance-usdm", "BTC/USDT", "1h").of("contradiction")
        hours = [f"{np.datetime64(one.start_ms, 'ms')}"[:13] for one in sorted(found, key=lambda one: one.start_ms)]
        assert hours == [
            *("2024-03-27T12", "2024-03-28T10", "2024-10-28T20", "2025-01-14T13", "2025-01-14T15", "2025-01-29T01")
        ]
        assert sum(one.bars for one in found) == 10

    def test_a_known_bad_print_is_found(self, tmp_path: Path, real_file: Callable[[str], Path]) -> None:
        store = BarStore(tmp_path)
        import_file(store, "binance", real_file("binance/LINKUSDT-1d"))
        assert "low 0.0001" in check_store(store, "binance", "LINK/USDT", "1d").of("spike")[0].detail

    def test_gaps_are_those_of_the_files_description(self, real_file: Callable[[str], Path], tmp_path: Path) -> None:
        imported = import_file(BarStore(tmp_path), "bitfinex", real_file("bitfinex/BTCUSD-1m"))
        assert "1,038,283 bars, 9,740 gaps (12,917 bars)" in check(imported.file.bars).summary


def test_timeframes_given_as_values_are_taken(tmp_path: Path, make_bars: MakeBars) -> None:
    store = BarStore(tmp_path)
    store.write("binance", make_bars([0, 1]))
    assert check_store(store, "binance", "BTCUSDT", Timeframe(HOUR)).bars == 2
