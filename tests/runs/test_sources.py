"""`[[sources]]` from the config to the columns of the bars, and what a run says of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from itb.config import load_config
from itb.config.toml import value
from itb.datafeeds.sources import Join
from itb.errors import BarsError, ConfigError
from itb.indicators.depth import BINS, Depth, book_density
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.laws import check
from itb.runs.market import load_market
from itb.runs.project import check_config

START = 1_704_067_200_000
HOUR = 3_600_000


def market(workspace, symbol="BTC/USDT", **more):
    return load_market(dataclasses.replace(workspace, **more), symbol, run_id="r", command="test")


def source(**keys):
    """One source as `--set` takes it."""
    return value(keys)


def sources(*tables):
    return f"sources=[{', '.join(tables)}]"


@pytest.fixture
def mine(workspace, stored):
    """A project on stored bars, with a finer and a coarser series and another market beside them."""
    stored()
    stored(timeframe="15m", positions=range(1600))
    stored(timeframe="4h", positions=range(100))
    stored("other", "BTC/USDT:USDT", positions=range(50, 390))

    def make(*tables, **more):
        return workspace("data.exchange=mine", sources(*tables), **more)

    return make


def test_stored_bars_join_at_the_close_that_completes_them(mine):
    place = mine(
        source(name="quarter", timeframe="15m"),
        source(name="long", timeframe="4h", columns=["close"]),
        source(name="perp", exchange="other", symbol="BTC/USDT:USDT", columns={"close": "price"}),
    )
    bars = market(place).bars
    store = place.store
    quarter, long = store.read("mine", "BTC/USDT", "15m"), store.read("mine", "BTC/USDT", "4h")
    perp = store.read("other", "BTC/USDT:USDT", "1h")
    assert bars["quarter_close"].tolist() == quarter.close[3::4].tolist()
    assert bars["long_close"][3:].tolist() == np.repeat(long.close, 4)[: len(bars) - 3].tolist()
    assert np.isnan(bars["long_close"][:3]).all()
    assert np.isnan(bars["perp_price"]).sum() == 60
    assert bars["perp_price"][50:390].tolist() == perp.close.tolist()
    assert [name for name in bars.columns if "_" in name][-2:] == ["long_close", "perp_price"]


def test_bars_tell_their_own_time_where_it_is_asked_for(mine):
    bars = market(mine(source(name="long", timeframe="4h", columns=["time"]))).bars
    assert bars["long_time"][3:8].tolist() == [START] * 4 + [START + 4 * HOUR]


def test_a_run_says_what_a_source_does_not_cover(mine):
    (perp,) = market(mine(source(name="perp", exchange="other", symbol="BTC/USDT:USDT"))).sources
    assert perp.notes == [
        "Source perp begins late: 50 bars before 2024-01-03 03:00 UTC have no value.",
        "Source perp ends early: 10 bars after 2024-01-17 06:00 UTC have no value.",
    ]
    assert perp.covered == 340


def test_the_fingerprint_covers_what_is_joined(mine, stored):
    other = source(name="perp", exchange="other", symbol="BTC/USDT:USDT")
    place = mine(other)
    before = market(place).fingerprint
    assert before != market(mine()).fingerprint
    stored("other", "BTC/USDT:USDT", positions=range(390, 395))
    assert market(place).fingerprint != before


def test_a_source_shows_nothing_beyond_the_hold_out(mine, tmp_path):
    events = [f"{START + hour * HOUR},{hour}" for hour in range(0, 400, 3)]
    (tmp_path / "events.csv").write_text("\n".join(["time,value", *events]))
    place = mine(source(name="ev", kind="table", file="events.csv", time="event"))
    sealed = dataclasses.replace(
        place,
        config=load_config(
            overrides=["data.exchange=mine", "data.holdout_from=2024-01-05", *_set(place)],
            folder=tmp_path,
            environ={},
        ),
    )
    seen = market(sealed)
    assert int(seen.bars.close_time[-1]) == START + 96 * HOUR
    assert int(seen.sources[0].rows.times[-1]) <= START + 96 * HOUR
    assert seen.bars["ev_value"][-1] == 93  # the event of that very moment is known a minute later
    whole = market(place)
    assert whole.bars["ev_value"][:96].tolist() == pytest.approx(seen.bars["ev_value"].tolist(), nan_ok=True)


def _set(place):
    return [sources(source(**one)) for one in place.config.plain()["sources"]]


def test_the_built_in_market_gives_other_coins_and_coarser_bars(workspace):
    place = workspace(
        sources(
            source(name="eth", symbol="ETH/USDT", columns=["close", "volume"]),
            source(name="day", timeframe="1d", columns=["close"]),
        )
    )
    bars = market(place).bars
    alone = market(workspace("data.symbols=[ETH/USDT]".replace("ETH/USDT", '"ETH/USDT"')), "ETH/USDT").bars
    assert bars["eth_close"].tolist() == alone.close.tolist()
    assert bars["day_close"][23] == bars.close[23]
    assert bars["day_close"][46] == bars.close[23]


def test_bars_finer_than_the_built_in_ones_are_refused(workspace):
    with pytest.raises(BarsError, match="source fine: the built-in market has no bars of 15m beside those of 1h"):
        market(workspace(sources(source(name="fine", timeframe="15m"))))


def test_bars_of_a_file_need_no_store(workspace, bars, tmp_path):
    bars(positions=range(400)).to_frame().to_csv(tmp_path / "perp.csv")
    place = workspace("synthetic.start_ms=1704067200000", sources(source(name="perp", file="perp.csv")))
    assert market(place).bars["perp_close"][:400].tolist() == bars().close.tolist()


def test_snapshots_of_an_order_book_feed_the_depth_family(workspace, tmp_path):
    """A collector writes a snapshot now and then; stale ones are empty, and the family takes those that are there."""
    rng = np.random.default_rng(3)
    start = 1_672_531_200_000
    lines = []
    for _minute in range(0, 600 * 60, 20):
        best = 100 + rng.normal()
        book = book_density(
            [(best - step, 1 + rng.random()) for step in range(25)],
            [(best + 0.5 + step, 1 + rng.random()) for step in range(25)],
        )
        lines.append(book)
    names = list(lines[0])
    rows = [
        ",".join([str(start + 20 * 60_000 * place), *(repr(book[name]) for name in names)])
        for place, book in enumerate(lines)
        if not 300 <= place < 360
    ]
    (tmp_path / "book.csv").write_text("\n".join([",".join(["snapshot_time", *names]), *rows]))
    table = source(name="book", prefix="", kind="table", file="book.csv", time="event", delay="5s", max_age="1h")
    bars = market(workspace(sources(table))).bars
    assert set(names) == {"gap", *(f"{side}_{k}" for side in ("bids", "asks") for k in BINS)} <= set(bars.columns)
    assert bars["bids_1"][0] == lines[2]["bids_1"]  # 40 minutes past; the one at the close comes five seconds late
    assert (
        np.isnan(bars["gap"]).sum() == 20
    )  # the last one is 20 minutes old at 100:00, the next known five seconds after 120:00
    assert np.isfinite(Depth()(bars)[-100:]).all()


def test_a_column_that_stands_twice_is_refused(mine):
    twice = source(name="a", prefix="x", timeframe="4h"), source(name="b", prefix="x", timeframe="15m")
    with pytest.raises(ConfigError, match=r"sources\[2\]\.prefix: column x_open is there already, from source a"):
        market(mine(*twice))
    with pytest.raises(ConfigError, match=r"sources\[1\]\.prefix: column open is there already, from the bars"):
        market(mine(source(name="a", prefix="")))


def test_a_column_that_is_not_there_is_refused(mine):
    with pytest.raises(ConfigError, match=r"sources\[1\]\.columns: source a .* has no column 'cloze' .* it has open"):
        market(mine(source(name="a", columns=["cloze"])))


def test_a_source_that_is_not_stored_says_what_is(mine):
    with pytest.raises(BarsError, match=r"source a: .*no bars of exchange krakn\. It holds mine, other"):
        market(mine(source(name="a", exchange="krakn")))


def test_every_setting_of_sources_is_checked_without_data(mine):
    assert check_config(mine(source(name="a"))).data["ok"]


def test_a_file_that_is_not_there_is_found_by_the_check_of_the_config(workspace, tmp_path):
    table = source(name="ev", kind="table", file="gone.csv", time="event")
    with pytest.raises(ConfigError, match=r"sources\[1\]\.file: no such file: .*gone\.csv"):
        check_config(workspace(sources(table)))
    (tmp_path / "gone.csv").write_text("time,x\n")
    assert check_config(workspace(sources(table))).data["ok"]


def test_the_built_in_market_does_not_stand_in_for_real_bars(workspace, bars, tmp_path):
    bars().to_frame().to_csv(tmp_path / "spot.csv")
    place = workspace(f"data.file={tmp_path / 'spot.csv'}", sources(source(name="eth", symbol="ETH/USDT")))
    with pytest.raises(BarsError, match="source eth: the built-in market is no source beside real bars"):
        market(place)


# -- funding


@pytest.fixture
def perpetual(workspace, tmp_path):
    """A perpetual on the built-in market with settlements at odd distances over half of it."""
    hours = [380 + hour for hour in (0, 8, 16, 20, 24, 32)] + list(range(420, 601, 8))
    rows = [f"{1_672_531_200_000 + hour * HOUR},0.001" for hour in hours]
    (tmp_path / "funding.csv").write_text("\n".join(["time,funding_rate", *rows]))
    table = source(name="funding", kind="table", file="funding.csv", time="event")
    return workspace('data.symbols=["BTC/USDT:USDT"]', "backtest.funding=funding", sources(table))


def test_funding_of_a_source_is_charged_and_its_gap_told(perpetual):
    (run,) = backtest(perpetual)
    bars = run.outcome.market.bars
    assert "funding_rate" in bars.columns
    assert np.isnan(bars["funding_rate"][:380]).all()
    assert bars["funding_time"][380] == bars.open_time[380]
    assert bars["funding_rate"][380] == 0.001  # settled as the bar opens, known a minute later, so at its close
    told = run.capsule.manifest["notes"]
    assert any(note.startswith("Source funding begins late: 380 bars before") for note in told)
    assert run.outcome.result.start < 360
    assert "Funding begins at 2023-01-16 20:00 UTC: before it none is charged." in told
    assert "funding rates" in run.capsule.manifest["inputs"]
    assert not reproduce(perpetual, run.capsule.run_id).found


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (source(name="funding", symbol="ETH/USDT"), "source funding has bars; expected settlements"),
        (
            source(name="funding", kind="table", file="f.csv", time="event"),
            "source funding has no column 'funding_rate'",
        ),
    ],
)
def test_a_source_without_settlements_is_no_funding(workspace, tmp_path, table, why):
    (tmp_path / "f.csv").write_text("time,rate\n1672531200000,0.1\n")
    with pytest.raises(ConfigError, match=f"backtest.funding: {why}"):
        backtest(workspace('data.symbols=["BTC/USDT:USDT"]', "backtest.funding=funding", sources(table)))


# -- laws


def test_what_sources_joined_is_proved_and_features_of_it_too(workspace):
    said = check(
        workspace(
            "synthetic.bars=330",
            "sources=[{name='eth', symbol='ETH/USDT'}, {name='day', timeframe='1d', columns=['close']}]",
            "features=[{family='series', inputs=['log_return']}, "
            "{family='series', inputs=['log_return'], source='eth'}]",
        )
    )
    assert not said.found
    verdicts = {one["subject"]: one["verdict"] for one in said.data["checks"] if one["law"] == "causal"}
    assert {"source eth": "holds", "source day": "holds"}.items() <= verdicts.items()


def test_a_join_by_open_times_breaks_the_law(workspace, monkeypatch):
    monkeypatch.setattr(Join, "known_at", lambda self, times: times + self.delay_ms)
    said = check(
        workspace("synthetic.bars=330", "sources=[{name='day', timeframe='1d', columns=['close'], gaps='drop'}]")
    )
    assert said.lines[0].startswith("BROKEN on BTC/USDT 1h (synthetic): causal (source day)")
