import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.store import BarStore, StoredSeries, Written
from itb.errors import BarsError
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

MakeBars = Callable[..., Bars]

DAY = 86_400_000
JANUARY, FEBRUARY, MARCH = 1_704_067_200_000, 1_706_745_600_000, 1_709_251_200_000
positions = st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True).map(sorted)
writes = st.lists(st.tuples(positions, st.integers(0, 3), st.sampled_from([(), ("trades",), ("funding",)])), max_size=5)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars", lock_timeout_s=0.0)


@pytest.fixture
def minutes(make_bars: MakeBars) -> Bars:
    """One bar of each day from January to March 2024, in a series of 1m."""
    return make_bars(np.arange(91) * 1440, "1m", start=JANUARY)


def files(store: BarStore) -> list[str]:
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file())


class TestWritingAndReading:
    def test_what_is_written_is_read_again(self, store: BarStore, make_bars: MakeBars) -> None:
        bars = make_bars(range(0, 30_000, 7), "1h", extras=("quote_volume", "trades", "funding"))
        assert store.write("binance", bars) == Written(len(bars), 0)
        assert store.read("binance", "BTC/USDT", "1h").equals(bars)

    def test_minutes_lie_in_months_and_hours_in_years(
        self, store: BarStore, minutes: Bars, make_bars: MakeBars
    ) -> None:
        store.write("binance", minutes)
        store.write("binance", make_bars(range(9000), "1h", start=JANUARY))
        assert [name for name in files(store) if ".lock" not in name] == [
            "binance/BTC_USDT/1h/2024.parquet",
            "binance/BTC_USDT/1h/2025.parquet",
            "binance/BTC_USDT/1m/2024-01.parquet",
            "binance/BTC_USDT/1m/2024-02.parquet",
            "binance/BTC_USDT/1m/2024-03.parquet",
        ]

    @settings(max_examples=15, deadline=None)
    @given(history=writes)
    def test_the_newest_write_wins_like_in_a_dictionary(self, make_bars: MakeBars, history: list[Any]) -> None:
        held: dict[int, dict[str, float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            store = BarStore(Path(folder))
            for places, seed, extras in history:
                bars = make_bars(np.array(places) * 720, "1m", start=JANUARY, seed=seed, extras=extras)
                before = set(held)
                written = store.write("binance", bars)
                for row, time in enumerate(bars.open_time.tolist()):
                    new = {name: float(values[row]) for name, values in bars.columns.items()}
                    old = held.get(time, {})
                    is_same = all(old.get(name) == new[name] for name in ("open", "high", "low", "close", "volume"))
                    held[time] = (old if is_same else {}) | new
                assert written.added == len(held) - len(before)
            assert not held or by_time(store.read("binance", "BTC/USDT", "1m")) == held

    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            (None, None),
            (FEBRUARY, None),
            (None, FEBRUARY),
            (FEBRUARY, MARCH),
            (FEBRUARY + 1, MARCH - DAY + 1),
            (0, JANUARY),
        ],
    )
    def test_a_range_gives_the_bars_that_open_in_it(
        self, store: BarStore, minutes: Bars, start: int | None, stop: int | None
    ) -> None:
        store.write("binance", minutes)
        assert store.read("binance", "BTC/USDT", "1m", start, stop).equals(minutes.between(start, stop))

    def test_a_range_reads_only_the_files_it_needs(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        (store.root / "binance/BTC_USDT/1m/2024-01.parquet").write_bytes(b"spoilt")
        assert len(store.read("binance", "BTC/USDT", "1m", FEBRUARY)) == 60

    def test_a_column_that_only_some_bars_have_is_nan_for_the_others(
        self, store: BarStore, make_bars: MakeBars
    ) -> None:
        store.write("binance", make_bars(range(3), start=JANUARY, extras=("trades",)))
        store.write("binance", make_bars(range(3, 5), start=JANUARY, extras=("funding",)))
        store.write("binance", make_bars(range(9000, 9002), start=JANUARY))
        bars = store.read("binance", "BTC/USDT", "1h")
        assert np.isnan(bars["trades"]).tolist() == [False] * 3 + [True] * 4
        assert np.isnan(bars["funding"]).tolist() == [True] * 3 + [False] * 2 + [True] * 2

    def test_an_extra_survives_a_write_of_the_same_bars_without_it(self, store: BarStore, make_bars: MakeBars) -> None:
        bars = make_bars(range(4), extras=("trades",))
        plain = Bars(bars.symbol, bars.timeframe, bars.open_time, {name: bars[name] for name in list(bars.columns)[:5]})
        store.write("binance", bars)
        assert store.write("binance", plain) == Written(0, 0)
        revised = plain.with_columns(volume=plain.volume + np.array([0.0, 1.0, 0.0, 0.0]))
        assert store.write("binance", revised) == Written(0, 1)
        stored = store.read("binance", "BTC/USDT", "1h")
        assert np.isnan(stored["trades"]).tolist() == [False, True, False, False]

    def test_files_that_would_not_change_are_not_touched(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        before = {path: path.stat().st_ino for path in store.root.rglob("*.parquet")}
        store.write("binance", minutes.between(FEBRUARY))
        store.write("binance", minutes.tail(1).with_columns(volume=np.array([1.5])))
        changed = [path.stem for path, inode in before.items() if path.stat().st_ino != inode]
        assert changed == ["2024-03"]

    def test_the_same_history_gives_the_same_bytes(self, tmp_path: Path, minutes: Bars) -> None:
        at_once, in_steps = BarStore(tmp_path / "a"), BarStore(tmp_path / "b")
        at_once.write("binance", minutes)
        in_steps.write("binance", minutes.tail(50))
        in_steps.write("binance", minutes.head(60))
        for path in at_once.root.rglob("*.parquet"):
            assert path.read_bytes() == (in_steps.root / path.relative_to(at_once.root)).read_bytes()

    def test_no_bars_write_nothing(self, store: BarStore, minutes: Bars) -> None:
        assert store.write("binance", minutes.head(0)) == Written(0, 0)
        assert not store.root.exists()

    def test_progress_counts_the_files(self, store: BarStore, minutes: Bars) -> None:
        seen: list[tuple[int, int, str]] = []
        store.write("binance", minutes, progress=lambda *step: seen.append(step))
        assert [step[:2] for step in seen] == [(1, 3), (2, 3), (3, 3)]

    def test_any_reader_of_parquet_reads_a_file(self, store: BarStore, make_bars: MakeBars) -> None:
        bars = make_bars(range(5), start=JANUARY, extras=("trades",))
        store.write("binance", bars)
        table = pq.read_table(store.root / "binance/BTC_USDT/1h/2024.parquet")
        assert Bars.from_arrow(table, "BTC/USDT", bars.timeframe).equals(bars)


class TestNames:
    @pytest.mark.parametrize("symbol", ["BTCUSDT", "btc/usdt", "BTC-USDT", "BTC_USDT"])
    def test_every_spelling_of_a_symbol_leads_to_one_series(
        self, store: BarStore, make_bars: MakeBars, symbol: str
    ) -> None:
        store.write("binance", make_bars(range(3)))
        assert store.read("Binance", symbol, "60m").symbol == "BTC/USDT"

    def test_a_perpetual_has_its_own_series(self, store: BarStore, make_bars: MakeBars) -> None:
        spot, perpetual = make_bars(range(3)), make_bars(range(5), symbol="BTC/USDT:USDT")
        store.write("binance", spot)
        store.write("binance", perpetual)
        assert [series.symbol for series in store.list()] == ["BTC/USDT", "BTC/USDT:USDT"]
        assert store.read("binance", "BTC/USDT:USDT", "1h").equals(perpetual)

    @pytest.mark.parametrize("exchange", ["", "../up", "a/b", ".hidden", "a b"])
    def test_an_exchange_that_is_no_folder_name_is_refused(self, store: BarStore, minutes: Bars, exchange: str) -> None:
        with pytest.raises(BarsError, match="exchange must be a name"):
            store.write(exchange, minutes)

    def test_a_symbol_or_timeframe_that_is_none_is_refused(self, store: BarStore) -> None:
        with pytest.raises(BarsError, match="cannot split symbol"):
            store.read("binance", "BITCOIN", "1h")
        with pytest.raises(BarsError, match="timeframe must be"):
            store.read("binance", "BTC/USDT", "1month")


class TestWhatThereIs:
    def test_the_list_gives_extent_and_holes_of_every_series(self, store: BarStore, make_bars: MakeBars) -> None:
        store.write("kraken", make_bars([0, 1, 4], "1d", start=JANUARY))
        store.write("binance", make_bars([0, 9000], "1h", start=JANUARY))
        store.write("binance", make_bars([0, 1, 2], "15m", start=JANUARY))
        hour, day = Timeframe.parse("1h"), Timeframe.parse("1d")
        assert store.list() == [
            StoredSeries("binance", "BTC/USDT", Timeframe.parse("15m"), 3, JANUARY, JANUARY + 1_800_000, 0),
            StoredSeries("binance", "BTC/USDT", hour, 2, JANUARY, JANUARY + 9000 * hour.ms, 8999),
            StoredSeries("kraken", "BTC/USDT", day, 3, JANUARY, JANUARY + 4 * DAY, 2),
        ]

    def test_the_last_bar_is_known_without_reading(self, store: BarStore, minutes: Bars) -> None:
        assert store.last("binance", "BTC/USDT", "1m") is None
        store.write("binance", minutes)
        assert store.last("binance", "BTC/USDT", "1m") == minutes.open_time[-1]

    def test_files_and_folders_of_others_are_not_listed(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        for name in (".asked/binance/x/y.json", "binance/btcusdt/1m/2024-01.parquet", "binance/BTC_USDT/1m/note.txt"):
            (store.root / name).parent.mkdir(parents=True, exist_ok=True)
            (store.root / name).write_text("not ours")
        (store.root / "binance/BTC_USDT/1m/2024-13.parquet").write_text("not ours")
        assert [series.bars for series in store.list()] == [91]

    def test_an_empty_store_says_how_to_fill_it(self, store: BarStore) -> None:
        with pytest.raises(BarsError, match="no bars are stored here yet; bring some in with `itb data import`"):
            store.read("binance", "BTC/USDT", "1h")

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (("binanse", "BTC/USDT", "1m"), 'exchange binanse; did you mean "binance"\\? It holds binance, kraken'),
            (("binance", "BTC/USDC", "1m"), 'binance has no bars of BTC/USDC; did you mean "BTC/USDT"\\? It holds BTC'),
            (("binance", "BTC/USDT", "4h"), r"binance BTC/USDT has no bars of 4h\. It holds 1m, 1h\."),
        ],
    )
    def test_a_series_that_is_not_there_is_answered_with_what_is(
        self, store: BarStore, minutes: Bars, make_bars: MakeBars, key: tuple[str, str, str], message: str
    ) -> None:
        store.write("binance", minutes)
        store.write("binance", make_bars(range(3), "1h"))
        store.write("kraken", make_bars(range(3), symbol="ETH/EUR"))
        for ask in (store.read, store.series):
            with pytest.raises(BarsError, match=message):
                ask(*key)


class TestAccidents:
    @pytest.mark.parametrize(
        "content", [b"", b"PAR1", b"PAR1" + bytes(60) + b"PAR1", b"\xff\xff\xff\x7fPAR1", b"text" * 50]
    )
    def test_a_damaged_file_is_named_with_the_next_step(self, store: BarStore, minutes: Bars, content: bytes) -> None:
        store.write("binance", minutes)
        path = store.root / "binance/BTC_USDT/1m/2024-03.parquet"
        path.write_bytes(content)
        message = r"2024-03\.parquet: damaged \(.*\)\. Move the file away and import or download"
        for use in (
            store.list,
            lambda: store.write("binance", minutes),
            lambda: store.read("binance", "BTC/USDT", "1m"),
        ):
            with pytest.raises(BarsError, match=message):
                use()
        assert path.read_bytes() == content
        assert len(store.read("binance", "BTC/USDT", "1m", stop_ms=MARCH)) == 60

    def test_no_flipped_bit_goes_unnoticed(self, store: BarStore, make_bars: MakeBars) -> None:
        bars = make_bars(range(40), start=JANUARY, extras=("trades",))
        store.write("binance", bars)
        path = store.root / "binance/BTC_USDT/1h/2024.parquet"
        content = path.read_bytes()
        rng = np.random.default_rng(5)
        refused = 0
        for place, bit in zip(rng.integers(0, len(content), 300), rng.integers(0, 8, 300), strict=True):
            spoilt = bytearray(content)
            spoilt[place] ^= 1 << bit
            path.write_bytes(spoilt)
            try:
                assert store.read("binance", "BTC/USDT", "1h").equals(bars)
            except BarsError:
                refused += 1
        assert refused > 250

    def test_a_parquet_file_of_other_origin_is_refused(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        pq.write_table(minutes.tail(5).to_arrow(), store.root / "binance/BTC_USDT/1m/2024-03.parquet")
        with pytest.raises(BarsError, match="bears no seal of itb; files from elsewhere come in by `itb data import`"):
            store.read("binance", "BTC/USDT", "1m")

    def test_a_file_in_the_place_of_another_month_is_refused(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        folder = store.root / "binance/BTC_USDT/1m"
        (folder / "2024-01.parquet").write_bytes((folder / "2024-02.parquet").read_bytes())
        with pytest.raises(BarsError, match=r"2024-01\.parquet: damaged \(it holds bars that are not of 2024-01\)"):
            store.read("binance", "BTC/USDT", "1m")

    def test_leftovers_of_a_killed_writer_are_swept(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        leftover = store.root / "binance/BTC_USDT/1m/.2024-02.parquet.tmp"
        leftover.write_bytes(b"half a file")
        assert store.read("binance", "BTC/USDT", "1m").equals(minutes)
        store.write("binance", minutes.tail(1))
        assert not leftover.exists()

    def test_a_full_disk_leaves_what_was_stored(
        self, store: BarStore, minutes: Bars, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.write("binance", minutes)

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(BarsError, match=r"cannot write \(No space left on device\)\. What was stored before is"):
            store.write("binance", minutes.with_columns(volume=minutes.volume + 1))
        assert store.read("binance", "BTC/USDT", "1m").equals(minutes)
        assert not [name for name in files(store) if name.endswith(".tmp")]

    def test_a_second_writer_is_told_to_wait(self, store: BarStore, minutes: Bars) -> None:
        store.write("binance", minutes)
        with (store.root / "binance/BTC_USDT/1m/.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(BarsError, match="another process has been writing here for 0 s; wait until it is done"):
                store.write("binance", minutes)
            assert store.read("binance", "BTC/USDT", "1m").equals(minutes)

    def test_writers_at_the_same_time_lose_nothing(self, tmp_path: Path, make_bars: MakeBars) -> None:
        bars = make_bars(range(64), start=JANUARY)
        store = BarStore(tmp_path, lock_timeout_s=60)
        writers = [Thread(target=store.write, args=("binance", bars.slice(row, row + 8))) for row in range(0, 64, 8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert store.read("binance", "BTC/USDT", "1h").equals(bars)


def by_time(bars: Bars) -> dict[int, dict[str, float]]:
    rows = zip(*(values.tolist() for values in bars.columns.values()), strict=True)
    return {
        time: {name: value for name, value in zip(bars.columns, row, strict=True) if value == value}
        for time, row in zip(bars.open_time.tolist(), rows, strict=True)
    }
