"""`itb data`: what is imported, asked for, listed and examined, and what comes next."""

from __future__ import annotations

import dataclasses
import json

import pytest

from itb.datafeeds.archive import Archived
from itb.datafeeds.ccxt_history import Connection
from itb.datafeeds.download import Downloaded
from itb.errors import BarsError, ConfigError
from itb.market.bars import utc
from itb.runs.data import check, download, import_files, list_series
from itb.runs.said import Said

DAY = 86_400_000
NOW = 1_767_312_000_000


@pytest.fixture
def file(tmp_path, bars):
    """Write bars to a CSV file."""

    def write(name="BTCUSDT-1h.csv", **more):
        path = tmp_path / name
        bars(**more).to_frame().to_csv(path)
        return path

    return write


def mine(workspace, *settings, **options):
    return workspace(*settings, options={"--exchange": "mine", **options})


# -- import


def test_a_file_goes_to_the_store_and_the_next_step_is_said(workspace, file):
    said = import_files(mine(workspace), [file()], None, None)
    assert said.lines == (
        "mine BTC/USDT 1h: 400 bars added, 400 stored from 2024-01-01 00:00 UTC to 2024-01-17 15:00 UTC, 0 missing",
        "Next: `itb backtest --exchange mine`.",
    )
    (told,) = said.data["imported"]
    assert (told["symbol"], told["timeframe"], told["added"], told["bars"]) == ("BTC/USDT", "1h", 400, 400)
    assert len(mine(workspace).store.read("mine", "BTC/USDT", "1h")) == 400


def test_bars_that_no_config_is_about_lead_to_one(workspace, file):
    said = import_files(mine(workspace), [file("ETHUSDT-1h.csv")], None, None)
    assert (
        said.lines[-1] == "Next: `itb init --exchange mine --symbol ETH/USDT --timeframe 1h` writes a config for them."
    )


def test_missing_bars_are_told_with_what_a_run_will_do(workspace, file):
    said = import_files(mine(workspace), [file(positions=[0, 1, 4])], None, "1h")
    assert said.lines[1].startswith('Bars are missing: runs refuse that until data.gaps is "flat" or "drop"')
    said = import_files(mine(workspace, "data.gaps=flat"), [file()], None, None)
    assert len(said.lines) == 2


@pytest.mark.parametrize("exchange", [None, "synthetic", "Synthetic"])
def test_an_import_without_an_exchange_names_the_fix(workspace, file, exchange):
    with pytest.raises(ConfigError, match="say where the bars are from: --exchange binance"):
        import_files(workspace(options={"--exchange": exchange}), [file()], None, None)


def test_one_symbol_is_that_of_every_file_and_several_are_those_of_each(workspace, file):
    place, files = mine(workspace), [file("a.csv"), file("b.csv", start=1_706_745_600_000)]
    import_files(place, files, ["xrp-usdt"], None)
    assert [(one.symbol, one.bars) for one in place.store.list()] == [("XRP/USDT", 800)]
    import_files(place, files, ["ADA/USDT", "DOGE/USDT"], None)
    assert [one.symbol for one in place.store.list()] == ["ADA/USDT", "DOGE/USDT", "XRP/USDT"]


def test_symbols_that_do_not_match_the_files_are_refused(workspace, file):
    with pytest.raises(ConfigError, match="--symbol: 2 symbols for 1 files; give one for all, or one for each"):
        import_files(mine(workspace), [file()], ["A/B", "C/D"], None)


@pytest.mark.parametrize(("symbol", "timeframe"), [("???", None), (None, "7x")])
def test_a_symbol_or_timeframe_that_cannot_be_is_refused(workspace, file, symbol, timeframe):
    with pytest.raises(
        ConfigError, match=r"--symbol: symbol must look like|--timeframe: timeframe must be a whole number"
    ):
        import_files(mine(workspace), [file()], [symbol] if symbol else None, timeframe)


def test_a_bad_file_says_how_many_were_imported_before_it(workspace, file, tmp_path):
    place = mine(workspace)
    with pytest.raises(BarsError, match=r"gone\.csv: no such file \(1 of 2 files were imported before\)"):
        import_files(place, [file(), tmp_path / "gone.csv"], None, None)
    assert len(place.store.list()) == 1


# -- download


@pytest.fixture
def asked(monkeypatch):
    """Take the place of the exchange and the archive, and remember what was asked of them."""
    seen = []

    def answer(kind, store, exchange, symbol, timeframe, **more):
        seen.append((exchange, symbol, str(timeframe), more))
        return kind(exchange, symbol, timeframe, more["since_ms"], more["until_ms"] or NOW, bars=7)

    monkeypatch.setattr("itb.datafeeds.download.download", lambda *args, **more: answer(Downloaded, *args, **more))
    monkeypatch.setattr("itb.datafeeds.archive.download_archive", lambda *args, **more: answer(Archived, *args, **more))
    return seen


def test_every_configured_symbol_is_asked_for_over_the_configured_time(workspace, asked):
    place = mine(workspace, 'data.symbols=["BTC/USDT", "ETH/USDT"]', "data.from=2024-01-01", "data.to=2024-03-01")
    said = download(place)
    assert [symbol for _, symbol, _, _ in asked] == ["BTC/USDT", "ETH/USDT"]
    assert {(utc(more["since_ms"]), utc(more["until_ms"])) for *_, more in asked} == {
        ("2024-01-01 00:00 UTC", "2024-03-01 00:00 UTC")
    }
    assert [line.split(":")[0] for line in said.lines] == ["mine BTC/USDT 1h", "mine ETH/USDT 1h", "Next"]
    assert [one["bars"] for one in json.loads(said.json)["downloaded"]] == [7, 7]


def test_days_count_back_from_now_or_from_the_end_and_come_before_the_config(workspace, asked):
    download(mine(workspace), days=3)
    assert asked[-1][3]["since_ms"] == NOW - 3 * DAY
    assert asked[-1][3]["until_ms"] is None
    download(mine(workspace), days=3, until="2024-03-01")
    assert utc(asked[-1][3]["since_ms"]) == "2024-02-27 00:00 UTC"


def test_two_beginnings_are_one_too_many(workspace, asked):
    with pytest.raises(ConfigError, match="--days and --set both say where to begin"):
        download(mine(workspace, "data.from=2024-01-01"), days=3)
    with pytest.raises(ConfigError, match="--days and --since both say where to begin"):
        download(mine(workspace), days=3, since="2024-01-01")


def test_what_is_fetched_need_not_be_what_is_used(workspace, asked):
    place = mine(workspace, "data.from=2022-01-01", "data.holdout_from=2023-01-01", "data.to=2023-06-01")
    download(place, since="2024-01-01", until="2024-02-01T12:00")
    (_, _, _, more) = asked[-1]
    assert (utc(more["since_ms"]), utc(more["until_ms"])) == ("2024-01-01 00:00 UTC", "2024-02-01 12:00 UTC")


def test_a_download_of_nothing_is_refused(workspace, asked):
    with pytest.raises(ConfigError, match=r"between 2024-01-01 00:00 UTC, .*2023-06-01 00:00 UTC \(data\.to\)"):
        download(mine(workspace, "data.to=2023-06-01"), since="2024-01-01")
    with pytest.raises(ConfigError, match=r"\(--until\); give a later --until"):
        download(mine(workspace), since="2024-01-01", until="2024-01-01")
    with pytest.raises(ConfigError, match="--since: expected a date such as 2024-03-01"):
        download(mine(workspace), since="soon")


def test_days_below_one_are_refused(workspace, asked):
    with pytest.raises(ConfigError, match="--days: expected at least 1 day, was 0"):
        download(mine(workspace), days=0)


def test_a_series_that_is_stored_goes_on_without_being_told_where_it_begins(workspace, asked, stored):
    stored()
    download(mine(workspace))
    assert utc(asked[-1][3]["since_ms"]) == "2024-01-01 00:00 UTC"


def test_a_series_without_a_beginning_names_the_ways_to_say_it(workspace, asked):
    with pytest.raises(
        ConfigError, match=r"BTC/USDT 1h begins; give --since 2024-01-01 or --days 400, or set data\.from"
    ):
        download(mine(workspace))


def test_finer_bars_that_the_config_wants_come_too(workspace, asked):
    download(mine(workspace, "data.detail_timeframe=1m"), days=3)
    assert [timeframe for _, _, timeframe, _ in asked] == ["1h", "1m"]


def test_archive_and_repair_reach_those_who_do_it(workspace, asked):
    connection = Connection("http://127.0.0.1:1")
    download(mine(workspace), days=3, archive=True, connection=connection)
    assert asked[-1][3]["base_url"] == "http://127.0.0.1:1"
    download(mine(workspace), days=3, repair=True, connection=connection)
    assert (asked[-1][3]["repair"], asked[-1][3]["connection"]) == (True, connection)
    with pytest.raises(ConfigError, match="leave --archive out"):
        download(mine(workspace), days=3, archive=True, repair=True)


def test_the_built_in_market_is_not_downloaded(workspace, asked):
    with pytest.raises(ConfigError, match="the built-in market is not stored"):
        download(workspace(), days=3)


def test_an_exchange_that_does_not_exist_is_refused_with_the_nearest(workspace):
    with pytest.raises(ConfigError, match="'krakn' is not known to ccxt; did you mean kraken"):
        download(workspace(options={"--exchange": "krakn"}), days=3)


# -- list


def test_the_store_is_listed_series_by_series(workspace, stored):
    stored(positions=[0, 1, 3])
    stored("other", "ETH/USDT")
    said = list_series(workspace())
    first = ("mine", "BTC/USDT", "1h", "3", "2024-01-01 00:00 UTC", "2024-01-01 03:00 UTC", "1")
    assert said.table.rows[0] == first
    assert [one["symbol"] for one in said.data["series"]] == ["BTC/USDT", "ETH/USDT"]
    assert not said.found


@pytest.mark.parametrize(
    ("option", "value", "left"),
    [("--exchange", "other", "ETH/USDT"), ("--symbol", ["btcusdt"], "BTC/USDT"), ("--timeframe", "4h", "SOL/USDT")],
)
def test_a_list_is_narrowed_by_options(workspace, stored, option, value, left):
    stored()
    stored("other", "ETH/USDT")
    stored(symbol="SOL/USDT", timeframe="4h")
    assert [row[1] for row in list_series(workspace(options={option: value})).table.rows] == [left]


def test_a_config_does_not_narrow_the_list(workspace, stored):
    stored("other", "ETH/USDT", "4h")
    assert len(list_series(_from_file(workspace("data.exchange=mine"))).table.rows) == 1


def test_an_empty_store_says_how_to_fill_it(workspace):
    said = list_series(workspace())
    assert said.table is None
    assert "see `itb data import` and `itb data download`" in said.lines[0]


def test_a_damaged_series_is_listed_as_damaged(workspace, stored, damage):
    stored()
    path = damage()
    path.write_bytes(path.read_bytes()[:-20])
    said = list_series(workspace())
    assert said.found
    assert said.table.rows[0][3] == "damaged"
    assert str(path) in said.lines[0]


# -- check


def test_everything_that_is_stored_is_checked_where_no_exchange_is_configured(workspace, stored):
    stored()
    stored("other", "ETH/USDT")
    said = check(workspace())
    assert said.lines == (
        "mine BTC/USDT 1h: 400 bars, nothing to report",
        "other ETH/USDT 1h: 400 bars, nothing to report",
    )
    assert said.table is None


def test_the_configured_series_are_checked_and_a_gap_is_no_failure(workspace, stored):
    stored(positions=[*range(50), *range(52, 100)])
    stored("other", "ETH/USDT")
    said = check(_from_file(workspace("data.exchange=mine")))
    assert [one["series"] for one in said.data["checked"]] == ["mine BTC/USDT 1h"]
    assert said.table.rows[0][:3] == ("mine BTC/USDT 1h", "warning", "gap")
    assert not said.found


def test_bars_that_contradict_finer_ones_make_the_exit_code_1(workspace, stored):
    stored()
    stored(timeframe="4h", positions=range(90))
    said = check(workspace(options={"--exchange": "mine"}))
    assert said.found
    assert any(row[1] == "error" for row in said.table.rows)


def test_a_damaged_file_makes_the_exit_code_1(workspace, stored, damage):
    stored()
    path = damage()
    said = check(workspace())
    assert said.found
    assert str(path) in str(said.table.rows)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--exchange", "mien", 'no bars of exchange mien; did you mean "mine"'),
        ("--symbol", ["BTC/USDC"], 'mine has no bars of BTC/USDC; did you mean "BTC/USDT"'),
        ("--timeframe", "4h", "mine BTC/USDT has no bars of 4h"),
    ],
)
def test_what_is_not_stored_is_told_with_what_is(workspace, stored, option, value, told):
    stored()
    with pytest.raises(BarsError, match=told):
        check(workspace(options={"--exchange": "mine", option: value}))


def test_one_of_several_symbols_that_is_not_stored_is_named(workspace, stored):
    stored()
    with pytest.raises(BarsError, match=r"mine has no bars of ETH/USDT"):
        check(workspace('data.symbols=["BTC/USDT", "ETH/USDT"]', "data.exchange=mine"))


def test_an_empty_store_cannot_be_checked(workspace):
    with pytest.raises(BarsError, match="no such bars are stored; import or download some first"):
        check(workspace())


def _from_file(place):
    """Make it look as if every setting came from an itb.toml."""
    config = place.config
    origins = {("data", name): "itb.toml" for name in ("exchange", "symbols", "timeframe")}
    return dataclasses.replace(place, config=config.of(config.source, config.folder, origins))


def test_what_is_said_is_json_whatever_the_numbers():
    assert json.loads(Said({"a": [float("inf"), {"b": float("nan")}], "c": 1.5}).json) == {
        "a": [None, {"b": None}], "c": 1.5
    }  # fmt: skip
