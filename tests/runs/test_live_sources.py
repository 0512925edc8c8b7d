"""Other sources live: joined bar by bar as in one run over all bars, waited for, told of when they are late."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from itb.config import load_config
from itb.datafeeds.store import BarStore
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ConfigError, GatewayError
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.bars.kept import KeptBars
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.run.event_log import EventLog, read_events
from itb.live.run.health import HealthBoard
from itb.live.run.lived import Lived, _events
from itb.live.scores.desk import ScoreDesk
from itb.market.aggregate import aggregate
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import LiveModels, live_models
from itb.runs.live_sources import LiveSources
from itb.runs.live_training import BARS_FILE, train_on
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.sources import Series
from itb.runs.verify_live import verify_live
from itb.runs.workspace import Workspace

HOUR = 3_600_000
BTC, PERP = "BTC/USDT", "BTC/USDT:USDT"
WARM, STEPS, KEPT = 500, 70, 380
MODEL = (
    "walkforward={train=300, refit_every=60, min_train_rows=50, workers=1}",
    "label={horizon=4, threshold=0.0, alias='up'}", "model.algorithm=logistic",
)  # fmt: skip
_SERIES = "family='series', inputs=['log_return']"
READS = (
    f"features=[{{{_SERIES}, lags=[0, 1]}}, {{{_SERIES}, lags=[0, 1], source='perp', prefix='perp'}}, "
    f"{{{_SERIES}, lags=[0], source='long', prefix='long'}}]"
)


def sources(gaps: str) -> str:
    perp = f"{{name='perp', symbol='{PERP}', gaps='{gaps}'}}"
    long = f"{{name='long', timeframe='4h', gaps='{gaps}'}}"
    events = "{name='news', kind='table', file='news.csv', time='event', max_age='9h', columns=['tone']}"
    return f"sources=[{perp}, {long}, {events}]"


class Exchange:
    """A store that holds everything, and one that grows from it: bars are there once they have closed."""

    def __init__(self, project: Path) -> None:
        self.store = BarStore(project / "data")
        frame = Timeframe.parse("1h")
        market = SyntheticMarket(WARM + STEPS, symbols=(BTC, "ETH/USDT"), seed=5).bars()
        self.bars = market[BTC]
        other = market["ETH/USDT"]
        self.all = {
            (BTC, frame): self.bars,
            (PERP, frame): Bars(PERP, frame, other.open_time, other.columns),
            (BTC, Timeframe.parse("4h")): aggregate(self.bars, "4h"),
        }
        self.now = int(self.bars.open_time[WARM])
        self.fails: set[int] = set()
        self.asked = 0
        for key in self.all:
            self._write(*key, since=0)
        self._file = project / "news.csv"
        self._file.write_text("time,tone\n")
        self.tell_news(0)

    def _write(self, symbol: str, frame: Timeframe, since: int) -> None:
        bars = self.all[symbol, frame].between(since, self.now - frame.ms + 1)
        if len(bars):
            self.store.write("mine", bars)

    def tell_news(self, since: int) -> None:
        """An event each 3 hours and 10 minutes, in a file that grows."""
        first, step = int(self.bars.open_time[0]), 11_400_000
        told = range(first, self.now, step)
        with self._file.open("a") as file:
            file.writelines(f"{time},{(time // step) % 7}\n" for time in told if time > since)

    def pass_to(self, now: int) -> None:
        before, self.now = self.now, now
        self.tell_news(before - 1)

    def bring(self, series: Series, since_ms: int) -> None:
        assert series.exchange == "mine"
        assert series.timeframe is not None
        self.asked += 1
        if self.now in self.fails:
            raise GatewayError("down for maintenance")
        self._write(series.symbol, series.timeframe, since_ms)


def workspace(project: Path, *more: str, gaps: str = "refuse") -> Workspace:
    settings = [
        "data.exchange=mine", "data.timeframe=1h", sources(gaps), *MODEL, READS,
        "live.delay=0s", "live.give_up=0s", f"runs.root={project / 'runs'}", *more,
    ]  # fmt: skip
    return Workspace(load_config(None, settings, folder=project, environ={}))


class Bot:
    """The part of a bot that scores, on an exchange of its own."""

    def __init__(self, place: Workspace, exchange: Exchange, folder: Path) -> None:
        self.place, self.exchange = place, exchange
        self.models: LiveModels = live_models(place, BTC, exchange.now, folder / "bot")
        self.told: list[str] = []
        self.file = folder / "events.jsonl"
        self.log = EventLog(self.file, lambda: 0.0)
        self.board = HealthBoard(lambda: 0, lambda change: self.told.append(change.trouble.text))
        self.sources = LiveSources(place, exchange)
        bars = exchange.bars
        history = bars.slice(KEPT, WARM)
        asyncio.run(self.sources.begin({BTC: history}, self.board, self.log))
        self.window = GrowingBars(history)
        self.desk: ScoreDesk = score_desk(
            self.models, self.window, Networks({}), Episodes(lambda one: self.told.append(one.text)),
            before=bars.head(WARM), check=1, enrich=self.sources.enrich,
        )  # fmt: skip
        self.rows = iter(rows_of(bars)[WARM:])

    def step(self, begins: set[int] = frozenset()) -> float:  # type: ignore[assignment]  # nothing is put into it
        row = next(self.rows)
        if row.open_time in begins:
            kept = KeptBars(self.models.home / BARS_FILE, BTC, self.exchange.bars.timeframe, self._columns)
            kept.add(rows_of(self.exchange.bars.between(None, row.open_time)))
            train_on(self.place, {BTC: self.models.home})
        self.exchange.pass_to(row.open_time + HOUR)
        self.window.append(row)
        asyncio.run(self.sources.bring(Step(row.open_time, {BTC: row})))
        return self.desk.at("up_logistic", row.open_time)

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(self.exchange.bars.columns)

    def late(self) -> list[str]:
        self.log.close()
        if not self.file.exists():
            return []
        events = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [one["detail"] for one in events if one.get("what") == "late source"]


def over_all(place: Workspace, exchange: Exchange) -> tuple[np.ndarray, set[int]]:
    """What one run says over all bars, once everything is stored; and from when on each refit speaks."""
    before, exchange.now = exchange.now, int(exchange.bars.close_time[-1])
    news = exchange._file.read_text()
    exchange.tell_news(before - 1)
    for key in exchange.all:
        exchange._write(*key, since=0)
    seen = replace(place, judges_nothing=True)
    scored = score_columns(seen, load_market(seen, BTC, run_id="1", command="walkforward"))
    (walked,) = scored.walked
    exchange._file.write_text(news)
    exchange.now = before
    return scored.scores["up_logistic"].batch(), {entry.speaks_from for entry in walked.timeline.entries}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, set[int]]:
    project = tmp_path_factory.mktemp("whole")
    return over_all(workspace(project), Exchange(project))


def test_what_is_joined_bar_by_bar_is_what_one_run_joins(tmp_path: Path, expected: tuple[np.ndarray, set[int]]) -> None:
    exchange = Exchange(tmp_path)
    bot = Bot(workspace(tmp_path), exchange, tmp_path)
    scores, begins = expected
    said = [bot.step(begins) for _ in range(STEPS)]
    np.testing.assert_array_equal(said, scores[-STEPS:])
    assert np.isfinite(said).all()
    assert (bot.told, bot.late()) == ([], [])
    assert exchange.asked == STEPS + STEPS // 4  # an hourly and a four-hourly source: no question without need


@pytest.mark.parametrize("gaps", ["refuse", "drop"])
def test_a_source_that_is_late_is_told_and_taken_by_its_policy(
    tmp_path: Path, gaps: str, expected: tuple[np.ndarray, set[int]]
) -> None:
    exchange = Exchange(tmp_path)
    bot = Bot(workspace(tmp_path, gaps=gaps), exchange, tmp_path)
    scores, _ = expected
    times = exchange.bars.close_time[WARM : WARM + 20].tolist()
    exchange.fails = set(times[5:8])
    said = np.array([bot.step() for _ in range(20)])
    wanted = scores[WARM : WARM + 20]
    assert np.isnan(said).tolist() == [gaps == "refuse" and 5 <= place < 8 for place in range(20)]
    assert (said[:5] == wanted[:5]).all()
    assert (said[10:] == wanted[10:]).all()  # the bars that were late are there, and the lags see them
    if gaps == "drop":
        assert (said[5:8] != wanted[5:8]).all()  # the last row that was there, not one of later
    late = bot.late()
    assert len([one for one in late if one.startswith("perp: its row of")]) == 3
    assert "source perp of BTC/USDT: down for maintenance" in bot.told
    lived = Lived()
    _events(lived, read_events(bot.file))
    assert list(lived.late_sources[BTC]) == [time - HOUR for time in times[5:8]]
    assert not lived.odd_bars[BTC]


def test_nothing_of_a_source_is_seen_before_it_is_known(tmp_path: Path) -> None:
    """The store is ahead of the bot, as in a rehearsal: another future changes nothing."""
    exchange = Exchange(tmp_path)
    place = workspace(tmp_path)
    sources = LiveSources(place)
    exchange.now = int(exchange.bars.close_time[-1])
    for key in exchange.all:
        exchange._write(*key, since=0)
    sources.open({BTC: exchange.bars.columns})
    window = exchange.bars.slice(WARM - 50, WARM)
    ahead = sources.enrich(window)
    for key, bars in list(exchange.all.items()):
        later = {
            name: np.where(bars.close_time > window.close_time[-1], 2 * values, values)
            for name, values in bars.columns.items()
        }
        exchange.all[key] = Bars(bars.symbol, bars.timeframe, bars.open_time, later)
        exchange._write(*key, since=0)
    other = LiveSources(place)
    other.open({BTC: exchange.bars.columns})
    assert ahead.equals(other.enrich(window))
    assert np.isfinite(ahead["perp_close"]).all()


def test_a_file_that_is_gone_or_broken_is_told_and_its_last_rows_count(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    bot = Bot(workspace(tmp_path), exchange, tmp_path)
    bot.step()
    (tmp_path / "news.csv").write_text("no table")
    assert np.isfinite(bot.step())
    assert any(text.startswith("source news of BTC/USDT: ") for text in bot.told)


def test_verify_joins_bar_by_bar_too(tmp_path: Path) -> None:
    settings = [
        "synthetic.bars=600", *MODEL, "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.45",
        "sources=[{name='eth', symbol='ETH/USDT'}, {name='day', timeframe='1d', columns=['close']}]",
        f"features=[{{{_SERIES}, lags=[0, 1]}}, {{{_SERIES}, lags=[0, 1], source='eth', prefix='eth'}}]",
    ]  # fmt: skip
    place = Workspace(load_config(None, settings, folder=tmp_path, environ={}))
    said = verify_live(place, days=3)
    (told,) = said.data["symbols"].values()
    assert (told["equal"], told["scores"]["apart"], told["scores"]["compared"]) == (True, 0, 72)


def test_networks_beside_sources_are_refused_at_the_start(tmp_path: Path) -> None:
    place = workspace(tmp_path, "model={algorithm='tcn'}")
    with pytest.raises(ConfigError, match="sources: are not read by networks while a bot runs"):
        live_models(place, BTC, None, tmp_path / "bot")
