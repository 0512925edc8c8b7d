"""Sources of a running bot fetched by unmodified ccxt: bar by bar what one run joins, and never anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from itb.config import load_config
from itb.datafeeds.ccxt_history import Connection
from itb.errors import GatewayError
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.run.event_log import EventLog
from itb.live.run.health import HealthBoard
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.runs import live_sources
from itb.runs.data import download
from itb.runs.live_sources import FromExchange, LiveSources
from itb.runs.sources import Series, join_sources
from itb.runs.workspace import Workspace
from tests.datafeeds.loopback.futures import HOUR, SETTLED_FAULTS, Futures, settlements
from tests.datafeeds.loopback.server import serving
from tests.datafeeds.loopback.venue import PAGE_FAULTS, START, WIRE_FAULTS, Faults, walk

WARM, STEPS = 60, 30
FRAME = Timeframe.parse("1h")
SOURCES = (
    "sources=[{name='perp', symbol='BTC/USDT:USDT', gaps='empty'}, {name='eth', symbol='ETH/USDT', gaps='empty'}, "
    "{name='mark', kind='mark', gaps='empty'}, {name='funding', kind='funding'}]"
)
COLUMNS = ("perp_close", "eth_close", "mark_open", "mark_close", "funding_rate", "funding_mark_price", "funding_time")


def place(folder: Path) -> Workspace:
    settings = ["data.exchange=binance", "data.timeframe=1h", SOURCES, "live.delay=0s", "live.give_up=0s"]
    return Workspace(load_config(None, [*settings, f"runs.root={folder / 'runs'}"], folder=folder, environ={}))


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Futures:
    monkeypatch.setattr(live_sources, "_ASKED_EVERY_S", 0.0)
    hours = walk(WARM + STEPS + 2, timeframe=FRAME)
    made = Futures(hours, settlements(22, START))
    made.now_ms = START + WARM * HOUR
    return made


@pytest.fixture
def connection(venue: Futures) -> Iterator[Connection]:
    with serving(venue.answer) as url:
        yield Connection(base_url=url, settings={"rateLimit": 1}, timeout_s=60.0)


def truth(folder: Path, venue: Futures, connection: Connection) -> Bars:
    """What one run joins once everything is stored."""
    before, venue.now_ms = venue.now_ms, START + (WARM + STEPS + 1) * HOUR
    workspace = place(folder)
    download(workspace, since="2024-01-01", sources=True, connection=connection)
    venue.now_ms = before
    bars = workspace.store.read("binance", "BTC/USDT", "1h")
    return join_sources(workspace, bars.head(WARM + STEPS))[0]


class Bot:
    """The part of a bot that reads sources, bar by bar."""

    def __init__(self, folder: Path, venue: Futures, connection: Connection) -> None:
        self.venue, self.told = venue, list[str]()
        workspace = place(folder)
        download(workspace, since="2024-01-01", sources=True, connection=connection)
        supply = FromExchange(workspace, connection, sleep=venue.wait, clock=lambda: venue.clock_s)
        self.sources = LiveSources(workspace, supply)
        self.log = EventLog(folder / "events.jsonl", lambda: 0.0)
        board = HealthBoard(lambda: 0, lambda change: self.told.append(change.trouble.text))
        self.bars = venue.truth["api", "BTCUSDT"]
        asyncio.run(self.sources.begin({"BTC/USDT": self.bars.head(WARM)}, board, self.log))

    def step(self, number: int) -> Bars:
        """Let a bar close, and give all bars until then as a decision sees them."""
        row = rows_of(self.bars.slice(number, number + 1))[0]
        self.venue.now_ms, self.venue.clock_s = row.open_time + HOUR + 900, self.venue.clock_s + 3_600
        asyncio.run(self.sources.bring(Step(row.open_time, {"BTC/USDT": row})))
        return self.sources.enrich(self.bars.head(number + 1))


def test_what_is_fetched_bar_by_bar_is_what_one_run_joins(
    tmp_path: Path, venue: Futures, connection: Connection
) -> None:
    whole = truth(tmp_path / "whole", venue, connection)
    bot = Bot(tmp_path / "bot", venue, connection)
    venue.paths.clear()
    for number in range(WARM, WARM + STEPS):
        seen = bot.step(number)
        for name in COLUMNS:
            np.testing.assert_array_equal(seen[name], whole[name][: number + 1], err_msg=name)
    assert "mark_volume" not in seen.columns
    assert np.isfinite(seen["funding_mark_price"][-1])
    assert bot.told == []
    asked = venue.paths.count("/fapi/v1/fundingRate")
    assert asked <= 2 * STEPS + STEPS // 4 + 2  # silence twice an hour, and a page where there is one
    assert set(venue.paths) >= {"/fapi/v1/klines", "/api/v3/klines", "/fapi/v1/markPriceKlines"}


def test_faults_cost_a_value_for_a_while_and_never_give_a_wrong_one(
    tmp_path: Path, venue: Futures, connection: Connection
) -> None:
    whole = truth(tmp_path / "whole", venue, connection)
    bot = Bot(tmp_path / "bot", venue, connection)
    kinds = [kind for kind in dict.fromkeys([*SETTLED_FAULTS, *PAGE_FAULTS, *WIRE_FAULTS]) if kind != "hang"]
    venue.faults = Faults(["too many", "bad gateway", *kinds], rate=0.4, seed=8)
    missing = 0
    for number in range(WARM, WARM + STEPS):
        if number == WARM + STEPS - 3:
            venue.faults.rate = 0.0
        seen = bot.step(number)
        for name in COLUMNS:
            value, before = seen[name][-1], whole[name][: number + 1]
            is_right = np.array_equal(value, before[-1], equal_nan=True)
            missing += not is_right
            is_older = name.startswith("funding") and value in before
            assert is_right or is_older or np.isnan(value), name
    for name in COLUMNS:
        np.testing.assert_array_equal(seen[name], whole[name], err_msg=name)
    assert len(venue.faults.struck) > 15
    assert missing > 5
    assert any("too many requests" in text or "502" in text for text in bot.told)
    assert venue.bans == 0  # after a 429 nothing was sent before its time


def test_a_settlement_that_is_published_late_is_told_and_there_afterwards(
    tmp_path: Path, venue: Futures, connection: Connection
) -> None:
    bot = Bot(tmp_path / "bot", venue, connection)
    venue.late_ms = 90 * 60_000
    seen = [bot.step(number) for number in range(WARM, WARM + 12)]
    bot.log.close()
    told = (tmp_path / "bot" / "events.jsonl").read_text().splitlines()
    rates = {settled // HOUR * HOUR: float(rate) for settled, rate, _ in venue.settled}
    due = [time for time in rates if START + WARM * HOUR <= time < START + (WARM + 11) * HOUR]
    assert len(due) == len(told) == 1
    assert "funding: its row of 2024-01-03 16:00 UTC is not there" in told[0]
    place_of = (due[0] - START) // HOUR - WARM  # the bar at whose close it should be known
    assert seen[place_of]["funding_time"][-1] < due[0]
    assert seen[place_of + 1]["funding_rate"][-2:].tolist() == [rates[due[0]]] * 2


def test_a_pause_that_an_exchange_wants_is_kept_by_all_series(
    tmp_path: Path, venue: Futures, connection: Connection
) -> None:
    supply = FromExchange(place(tmp_path), connection, sleep=venue.wait, clock=lambda: venue.clock_s)
    series = [Series("binance", "BTC/USDT:USDT", None), Series("binance", "BTC/USDT", FRAME)]
    venue.faults = Faults(["too many"], rate=1.0)
    with pytest.raises(GatewayError, match="too many requests"):
        supply.bring(series[0], START)
    asked = len(venue.paths)
    venue.faults = Faults()
    for one in series:
        with pytest.raises(GatewayError, match="binance wants no requests for 7 s more"):
            supply.bring(one, START)
    assert len(venue.paths) == asked
    venue.clock_s += 7.1
    for one in series:
        supply.bring(one, START)
    assert venue.bans == 0
