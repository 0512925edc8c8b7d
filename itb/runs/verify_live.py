"""`itb verify --live`: a period replayed in a backtest, on paper and on the practice exchange, which must agree."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest
from itb.charts.data import Table
from itb.engine.venue import Venue
from itb.errors import BarsError
from itb.indicators.score import ArrayScores
from itb.laws.live_parity import Compared, ScoreApart, Within, compare, scores_apart
from itb.laws.places import OnPaper, OnPractice
from itb.laws.stepped import Place, SteppedRun
from itb.live.bars.bar import rows_of
from itb.live.episodes import Episode, Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.desk import ScoreDesk, rows_cause
from itb.market.bars import utc
from itb.runs.capsule import new_run_id
from itb.runs.funding import charged_at
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import models_of
from itb.runs.live_sources import LiveSources
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.said import Said
from itb.runs.sources import without_sources
from itb.runs.strategy import choose_strategy
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from itb.backtest.result import BacktestResult
    from itb.live.bars.bar import Bar
    from itb.market.bars import Bars, FloatArray
    from itb.runs.live_models import LiveModels
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

_BARS = 1_000
_HISTORY = 500
_EXPLAINED = 20  # scores that differ whose features are looked at
_DAY_MS = 86_400_000
_MEMORY = "sqlite://"
_PAID_IN = ("quote", "base")


@dataclass(frozen=True, eq=False)
class Replay:
    """What one symbol's replay found: each pair of runs, how many scores were compared, and which of them differ."""

    bars: int
    start_ms: int
    stop_ms: int
    pairs: tuple[Compared, ...]
    scores: int
    apart: tuple[ScoreApart, ...]
    requests: int = 0
    bars_apart: tuple[int, ...] = ()
    trouble: str = ""

    @property
    def found(self) -> bool:
        """Whether anything differs; a score that differs by rounding and led to nothing else is only counted."""
        told = any(one.cause != "feature rounding" for one in self.apart)
        return told or bool(self.bars_apart) or any(not pair.agrees for pair in self.pairs)


def verify_live(workspace: Workspace, days: float = 0.0) -> Said:
    """Replay the last ``days`` (0: the last 1,000 bars) of each symbol; ``found`` when anything differs anywhere.

    The strategy reads, in the backtest, the scores of the walk-forward; on paper and on the practice exchange what the
    score desk of a bot says bar by bar, with the model that spoke at each of them. Nothing that it earns is shown.
    """
    with tempfile.TemporaryDirectory(prefix="itb-verify-") as folder:
        done = {
            symbol: _replayed(workspace, symbol, days, Path(folder) / str(number))
            for number, symbol in enumerate(workspace.config.data.symbols)
        }
    rows = tuple((symbol, *row) for symbol, one in done.items() for row in _rows(one))
    lines = [line for symbol, one in done.items() for line in _lines(symbol, one)]
    left_out = not_compared(workspace)
    data = {symbol: _plain(one) for symbol, one in done.items()}
    heads = ("symbol", "runs", "result", "decisions", "orders", "fills", "evidence")
    return Said(
        {"symbols": data, "not_compared": list(left_out)},
        (*lines, *(f"Not compared: {one}" for one in left_out)),
        Table(heads, rows),
        any(one.found for one in done.values()),
    )


def not_compared(workspace: Workspace) -> tuple[str, ...]:
    """Name what the config asks for and the replay leaves out."""
    config = workspace.config
    backtest, costs, live = config.backtest, config.costs, config.live
    has_delay = backtest.fill_price != "open" or backtest.fill_delay_s
    is_perpetual = any(":" in symbol for symbol in config.data.symbols)
    asked = (
        (costs.impact_bps, "costs.impact_bps: an exchange's own prices move, the practice exchange's do not"),
        (has_delay, "backtest.fill_price and fill_delay_s: all three fill at the next open"),
        (backtest.intrabar != "stop_first", "backtest.intrabar: all three meet a stop before a target"),
        (is_perpetual, "the practice exchange: spot alone; nor that targets of perpetuals are watched, not rested"),
        (config.account.tranches, "account.tranches: one position at a time is replayed"),
        (config.account.shared, "account.shared: each symbol is replayed with cash of its own"),
        (live.strategies or live.shadows, "live.strategies and live.shadows: [strategy] alone is replayed"),
        (costs.fee_currency not in _PAID_IN, f"the practice exchange: fees in {costs.fee_currency} need its market"),
    )
    told = tuple(text for is_asked, text in asked if is_asked)
    return (*told, "what no replay has: latency, the depth of the book, outages, an exchange's own mistakes")


def _replayed(workspace: Workspace, symbol: str, days: float, folder: Path) -> Replay:
    config = workspace.config
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    market = load_market(workspace, symbol, run_id=run_id, command="verify")
    chosen = choose_strategy(workspace, market.bars)
    scored = score_columns(workspace, market) if chosen.reads_scores else None
    models = None if scored is None else models_of(scored, config, folder)
    start = _start(market.bars, days, 0 if scored is None else scored.first_score(chosen.columns))
    needed = 0 if models is None else models.reach + 1 + config.live.self_check
    first = max(0, start - max(_HISTORY, needed))
    whole = without_sources(market.bars, market.sources)
    sources = LiveSources(workspace)
    sources.open({symbol: whole.columns})
    bars, warm = whole.slice(first, None), start - first
    if warm < max(1, needed):
        raise BarsError(f"{bars.label}: {warm} bars before the period, {max(1, needed)} are needed; replay fewer days")
    costs = dataclasses.replace(config.costs, impact_bps=0.0)
    venue = Venue(costs=costs, instrument=instrument(config, market.bars), funding=charged_at(workspace, bars))
    test = Backtest(chosen.strategy, chosen.parameters, config.backtest.cash, venue, stepping=config.backtest.engine)
    known = {} if scored is None else _known(scored, bars, first)
    others = () if scored is None else tuple(Beside(one.bars, int(bars.open_time[0])) for one in scored.others)
    return _Replayer(workspace, test, whole.head(first), bars, warm, known, sources.enrich, others).replay(models)


def _start(bars: Bars, days: float, first_score: int) -> int:
    last = int(bars.close_time[-1])
    asked = len(bars) - _BARS if not days else int(bars.open_time.searchsorted(last - round(days * _DAY_MS)))
    return max(0, asked, int(bars.open_time.searchsorted(first_score)))


def _known(scored: ScoredMarket, bars: Bars, first: int) -> dict[str, ArrayScores]:
    return {
        name: ArrayScores(name, bars.open_time, source.batch()[first:], source.low, source.high)
        for name, source in scored.scores.items()
    }


class Beside:
    """Another symbol's bars, which a network reads as well: they grow with those that are replayed."""

    def __init__(self, bars: Bars, start_ms: int) -> None:
        self._bars, self._start = bars, start_ms
        self.begin(start_ms)

    def begin(self, until_ms: int) -> None:
        """Begin a replay: bars before a time are history."""
        self.window = GrowingBars(self._bars.between(self._start, until_ms))
        self._waiting = deque(rows_of(self._bars.between(until_ms, None)))

    def grow(self, open_time: int) -> None:
        """Let in all bars up to a time."""
        while self._waiting and self._waiting[0].open_time <= open_time:
            self.window.append(self._waiting.popleft())


@dataclass(frozen=True, eq=False)
class _Replayer:
    """Runs one symbol's bars three times and compares; ``before`` are the bars before them."""

    workspace: Workspace
    test: Backtest
    before: Bars
    bars: Bars
    warm: int
    known: Mapping[str, ArrayScores]
    enrich: Callable[[Bars], Bars]
    others: tuple[Beside, ...] = ()

    def replay(self, models: LiveModels | None) -> Replay:
        bars, warm = self.bars, self.warm
        told: list[str] = []
        window = GrowingBars(bars.head(warm))
        for one in self.others:
            one.begin(int(bars.open_time[warm]))
        desk = None if models is None else self._desk(models, window, lambda episode: told.append(episode.text))
        self.workspace.report(0, 3, f"{bars.symbol}: backtest")
        backtest = self.test.run(bars, self.known, int(bars.open_time[warm]))
        sources: Mapping[str, Any] = {} if desk is None else desk.sources
        paper = self._lived("paper", OnPaper(self.test, bars, warm), sources, window)
        if desk is not None:
            sources = {
                name: ArrayScores(name, bars.open_time, desk.column(name), source.low, source.high)
                for name, source in desk.sources.items()
            }
        said = {name: desk.column(name) for name in desk.said} if desk is not None else {}
        apart = [] if models is None else self._scores_apart(models, said)
        pairs = [compare(backtest, paper, ("backtest", "paper"), scores=apart)]
        requests, bars_apart = 0, tuple[int, ...]()
        if self.test.venue.costs.fee_currency in _PAID_IN and ":" not in bars.symbol:
            exchange = OnPractice(self.test, bars, warm)
            practice = self._lived("practice", exchange, sources, None)
            assert self.test.venue.instrument is not None  # a stepped run asks for one
            within = Within.decimals(8, float(self.test.venue.instrument.step))
            pairs.append(compare(backtest, practice, ("backtest", "practice"), within, apart))
            pairs.append(compare(paper, practice, ("paper", "practice"), within))
            requests, bars_apart = exchange.requests, exchange.bars_apart
        return Replay(
            len(bars) - warm, int(bars.open_time[warm]), int(bars.close_time[-1]), tuple(pairs),
            len(said) * (len(bars) - warm), tuple(apart), requests, bars_apart, told[0] if told else "",
        )  # fmt: skip

    def _lived(self, name: str, place: Place, scores: Mapping[str, Any], window: GrowingBars | None) -> BacktestResult:
        count, total = 0, len(self.bars) - self.warm

        def passed(bar: Bar) -> None:
            nonlocal count
            if window is not None:
                for one in self.others:
                    one.grow(bar.open_time)
                window.append(bar)
            count += 1
            if not count % 100:
                self.workspace.report(count, total, f"{self.bars.symbol}: {name}")

        return SteppedRun(_MEMORY, self.test, self.bars, scores, place, warm=self.warm, passed=passed).run()

    def _desk(self, models: LiveModels, window: GrowingBars, tell: Callable[[Episode], None]) -> ScoreDesk:
        windows = {one.window.symbol: one.window for one in self.others} | {window.symbol: window}
        episodes = Episodes(tell)
        networks = Networks.of(models, windows, episodes)
        desk = score_desk(models, window, networks, episodes, before=self.before, enrich=self.enrich)
        for column in desk.columns:
            column.check()
        return desk

    def _scores_apart(self, models: LiveModels, said: Mapping[str, FloatArray]) -> list[ScoreApart]:
        """List the scores that differ from the walk-forward's, with what differs in their features."""
        times = self.bars.open_time[self.warm :]
        found: list[ScoreApart] = []
        for name, live in said.items():
            ours, theirs = self.known[name].batch()[self.warm :], live[self.warm :]
            rows = np.flatnonzero(~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))
            by_rows = not any(files.coins and files.models.name == name for files in models.columns)
            causes = {
                int(times[row]): self._cause(models, int(row) + self.warm, by_rows=by_rows) for row in rows[:_EXPLAINED]
            }
            rest = dict.fromkeys((int(times[row]) for row in rows[_EXPLAINED:]), _worst(causes.values()))
            found += scores_apart(name, times, ours, theirs, {**causes, **rest})
        return found

    def _cause(self, models: LiveModels, row: int, *, by_rows: bool) -> str:
        if not by_rows:
            return "model"
        whole = models.features.compute(self.enrich(self.bars.head(row + 1)))[-1:]
        part = self.bars.slice(row - models.features.warmup, row + 1)
        window = models.features.compute(self.enrich(part))[-1:]
        cause = rows_cause(window, whole)
        return "features need more bars than their warm-up" if cause == "features" else cause


def _worst(causes: Any) -> str:
    """Of many differences only the first are looked at: the rest counts as the worst of them."""
    told = list(causes)
    return next((cause for cause in told if cause != "feature rounding"), told[0] if told else "unknown")


def _rows(one: Replay) -> list[tuple[str, ...]]:
    return [
        (
            " = ".join(pair.names) if pair.agrees else " | ".join(pair.names), "equal" if pair.agrees else "different",
            f"{pair.decisions:,}", f"{pair.orders:,}", f"{pair.fills:,}",
            "on every bar" if pair.apart is None else str(pair.apart),
        )
        for pair in one.pairs
    ]  # fmt: skip


def _lines(symbol: str, one: Replay) -> list[str]:
    lines = [f"{symbol}: {one.bars:,} bars from {utc(one.start_ms)} to {utc(one.stop_ms)}"]
    if one.scores:
        lines[0] += f"; {one.scores:,} scores said live, bar by bar, {_scores_told(one.apart)}"
    if one.requests:
        lines[0] += f"; {one.requests:,} requests by ccxt"
    if one.bars_apart:
        first = utc(one.bars_apart[0])
        lines.append(f"{symbol}: {len(one.bars_apart):,} bars came back changed from the exchange, the first {first}")
    if one.trouble:
        lines.append(f"{symbol}: trouble with a score: {one.trouble}")
    return lines


def _scores_told(apart: Sequence[ScoreApart]) -> str:
    if not apart:
        return "each as the walk-forward said it"
    causes: dict[str, int] = {}
    for score in apart:
        causes[score.cause] = causes.get(score.cause, 0) + 1
    largest = max((abs(score.ours - score.theirs) for score in apart if score.ours == score.ours), default=0.0)
    told = ", ".join(f"{count:,} by {cause}" for cause, count in causes.items())
    return f"{len(apart):,} not as the walk-forward said them ({told}; by {largest:.2g} at most)"


def _plain(one: Replay) -> dict[str, Any]:
    causes = sorted({score.cause for score in one.apart})
    return {
        "equal": not one.found,
        "bars": one.bars,
        "from": utc(one.start_ms),
        "to": utc(one.stop_ms),
        "requests": one.requests,
        "bars_apart": len(one.bars_apart),
        "scores": {"compared": one.scores, "apart": len(one.apart), "causes": causes},
        "pairs": {
            f"{pair.names[0]}-{pair.names[1]}": {
                "equal": pair.agrees, "decisions": pair.decisions, "orders": pair.orders, "fills": pair.fills,
                "apart": None if pair.apart is None else dataclasses.asdict(pair.apart),
            }
            for pair in one.pairs
        },
    }  # fmt: skip
