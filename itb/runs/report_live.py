"""`itb report --live`: what a bot did beside the backtest of the same bars, every difference with its cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.backtest.tranches import run_tranches
from itb.charts.data import MetricRow, Note, Table
from itb.charts.live_page import LivePage, live_page
from itb.engine.venue import Venue
from itb.errors import BarsError, JournalError
from itb.indicators.score import ArrayScores
from itb.laws.live_parity import ScoreApart
from itb.laws.lived_days import Day, Lines, Slipped, Verdict, side_by_side, slipped
from itb.laws.lived_funding import Settled, fundings_beside
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.notify.mailroom import Mailroom
from itb.live.run.lived import Lived, read_lived
from itb.market.bars import utc
from itb.mlmodels.files import write_whole
from itb.runs.challenged import Duel, duels
from itb.runs.expected import expectations_of, measure
from itb.runs.funding import charged_at, told_at
from itb.runs.graded import build_grader
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import kept_models, models_home
from itb.runs.live_parts import journal_of, paper_cash, purses, stored_bars, usable_cash
from itb.runs.live_sources import LiveSources
from itb.runs.live_strategies import LiveStrategy, live_strategies
from itb.runs.live_training import bars_so_far
from itb.runs.said import Said
from itb.runs.venue import instrument

if TYPE_CHECKING:
    from pathlib import Path

    from itb.live.scores.desk import ScoreDesk
    from itb.market.bars import Bars, FloatArray
    from itb.market.fills import Fill
    from itb.runs.workspace import Workspace

_KINDS = ("", "-paper", "-practice", "-paper-on-practice")
_FEW = 20
_SHOWN = 30
_HISTORY = 500
_VERDICTS: tuple[Verdict, ...] = ("same", "price", "quantity", "fee", "late", "missed", "extra")


@dataclass(frozen=True, eq=False)
class LivedLane:
    """One strategy on one market: its lines, its prices and how many ticks and scores were compared."""

    day: Day
    lines: tuple[Lines, ...]
    prices: Slipped
    ticks: int
    scores: int
    fundings: tuple[Settled, ...] = ()


def find_bot(workspace: Workspace, bot: str = "") -> Path:
    """Give the folder of a bot: the one that is named, else the newest of the configured name."""
    home, name = workspace.runs / "live", bot or workspace.config.live.name
    names = {name} if bot else {name + kind for kind in _KINDS}
    found = [path.parent for path in home.glob("*/journal.sqlite") if path.parent.name in names]
    if not found:
        there = ", ".join(sorted(path.parent.name for path in home.glob("*/journal.sqlite"))) or "none"
        raise JournalError(f"{home}: no bot {name!r} has run there; there are: {there}. `itb live --paper` starts one")
    return max(found, key=lambda path: (path / "journal.sqlite").stat().st_mtime)


def report_live(workspace: Workspace, bot: str = "") -> Said:
    """Compare a bot's days with the backtest of their bars, and write the page ``report.html`` into its folder."""
    folder = find_bot(workspace, bot)
    journal = journal_of(workspace.config, folder)
    lived = read_lived(folder, journal if isinstance(journal, str) else "", workspace.config.data.timeframe)
    stored = stored_bars(workspace)
    lanes = [lane for purse in purses(workspace.config) for lane in _lanes(workspace, folder, lived, purse, stored)]
    if not lanes:
        raise JournalError(f"{folder}: the event log has no decided bar of {', '.join(workspace.config.data.symbols)}")
    prices = Slipped(np.concatenate([lane.prices.bps for lane in lanes]))
    lines = [(lane, line) for lane in lanes for line in lane.lines]
    differing = [(lane, line) for lane, line in lines if line.verdict != "same"]
    dueled = {symbol for symbol, _, _ in lived.challenged if symbol in stored}
    rivals = duels(workspace.config, lived, {symbol: _bars(workspace, folder, symbol, stored) for symbol in dueled})
    words = (*_words(workspace, lanes, prices, folder), *map(str, rivals), *_board(workspace, folder))
    table = _verdicts(lanes)
    page = LivePage(
        title=f"{folder.name}: lived and backtested",
        summary=words[0],
        period=_period(lanes),
        bot=folder.name,
        tiles=_tiles(lanes, prices),
        notes=tuple(Note(text) for text in words[1:]),
        verdicts=table,
        differences=_differences(differing),
        prices=_prices(prices),
        bps=prices.bps,
        is_synthetic=workspace.config.data.is_synthetic,
    )
    file = folder / "report.html"
    write_whole(file, live_page(page).encode())
    told = [f"{lane.day.name[1]} {utc(line.open_time)}: {line.verdict}: {line.cause}" for lane, line in differing]
    more = (f"... and {len(told) - _SHOWN:,} more, in the page",) if len(told) > _SHOWN else ()
    return Said(
        _plain(lanes, prices, rivals, str(file)), (*words, *told[:_SHOWN], *more, f"The page: {file}"), table,
        found=any(line.cause.startswith("unknown") for _, line in differing),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Past:
    """One market as the bot saw it: its bars with their warm-up, the bar it began at, and its scores."""

    market: TradedMarket
    begins: int
    ticks: int
    apart: list[ScoreApart]


def _lanes(
    workspace: Workspace, folder: Path, lived: Lived, purse: tuple[str, ...], stored: Mapping[str, Bars | None]
) -> list[LivedLane]:
    """Backtest the markets of a purse as each strategy traded them."""
    config = workspace.config
    past = [_past(workspace, folder, lived, symbol, stored) for symbol in purse if lived.ticks.get(symbol)]
    if not past:
        return []
    bars = [one.market.bars for one in past]
    chosen = live_strategies(workspace, *bars)
    begins = min(one.begins for one in past)
    found = []
    for one in chosen:
        cash = _cash(workspace, folder, one)
        test = Backtest(one.strategy, one.settings, cash, Venue(config.costs), stepping=config.backtest.engine)
        fills = _backtested(test, [was.market for was in past], begins, one.tranche, config.account.tranches)
        for was in past:
            symbol = was.market.bars.symbol
            day = Day((one.name, symbol), was.market.bars, lived, was.apart)
            lines = tuple(side_by_side(day, fills[symbol]))
            prices = slipped(was.market.bars, lived.fills.get(day.name, []))
            has_rates = was.market.venue is not None and bool(was.market.venue.funding)
            fundings = tuple(
                fundings_beside(day, fills[symbol], has_rates=has_rates, told=told_at(workspace, was.market.bars))
            )
            found.append(LivedLane(day, lines, prices, was.ticks, was.ticks * len(was.market.scores), fundings))
    return found


def _backtested(
    test: Backtest, markets: list[TradedMarket], begins: int, tranche: int, tranches: int
) -> Mapping[str, tuple[Fill, ...]]:
    """Give the fills of each symbol; of one tranche where the strategy is one of several that take turns."""
    if len(markets) > 1:
        return {symbol: part.fills for symbol, part in test.run_shared(markets, begins).parts.items()}
    (one,) = markets
    assert one.venue is not None
    alone = replace(test, venue=one.venue)
    if not tranche:
        return {one.bars.symbol: alone.run(one.bars, one.scores, begins).fills}
    whole = replace(alone, cash=alone.cash * tranches, tranches=tranches)
    return {one.bars.symbol: run_tranches(whole, one.bars, one.scores, begins).tranches[tranche - 1].fills}


def _past(workspace: Workspace, folder: Path, lived: Lived, symbol: str, stored: Mapping[str, Bars | None]) -> _Past:
    config, ticks = workspace.config, lived.ticks[symbol]
    whole = _bars(workspace, folder, symbol, stored)
    begins = min([*ticks, *(time for (_, name), time in lived.first_order.items() if name == symbol)])
    start, stop = (int(whole.open_time.searchsorted(time)) for time in (begins, max(ticks) + 1))
    if stop - start < 1 or whole.open_time[start] != begins:
        raise BarsError(f"{whole.label}: no bar {utc(begins)}, where the bot began; `itb data download` fetches it")
    models = kept_models(config, symbol, folder / "models")
    first = max(0, start - max(_HISTORY, 0 if models is None else models.reach + 1))
    bars, warm = whole.slice(first, stop), start - first
    scores, apart = dict[str, ArrayScores](), list[ScoreApart]()
    if models is not None:
        windows = {symbol: GrowingBars(bars)}
        for other in {name for files in models.columns for name in files.coins} - {symbol}:
            beside = _bars(workspace, folder, other, stored)
            windows[other] = GrowingBars(beside.between(int(bars.open_time[0]), int(bars.close_time[-1])))
        sources, episodes = LiveSources(workspace), Episodes(lambda _episode: None)
        sources.open({symbol: bars.columns})
        networks = Networks.of(models, windows, episodes)
        desk = score_desk(models, windows[symbol], networks, episodes, before=whole, enrich=sources.enrich)
        scores, apart = _scores(lived, desk, bars, warm)
    rates = charged_at(workspace, bars)
    venue = Venue(costs=config.costs, instrument=instrument(config, whole), funding=rates)
    return _Past(TradedMarket(bars, scores, venue), begins, len(ticks), apart)


def _bars(workspace: Workspace, folder: Path, symbol: str, stored: Mapping[str, Bars | None]) -> Bars:
    return bars_so_far(workspace, models_home(workspace.config, symbol, folder / "models"), stored[symbol])


def _scores(lived: Lived, desk: ScoreDesk, bars: Bars, warm: int) -> tuple[dict[str, ArrayScores], list[ScoreApart]]:
    """Let the bot's own models score the bars at once, and list where it said something else."""
    known = {
        name: ArrayScores(name, bars.open_time, desk.column(name), source.low, source.high)
        for name, source in desk.sources.items()
    }
    times, ticks = bars.open_time[warm:].tolist(), lived.ticks[bars.symbol]
    late = lived.late_sources[bars.symbol]
    apart = [one for name, source in known.items() for one in _apart(name, times, source.batch()[warm:], ticks, late)]
    return known, apart


def _apart(
    name: str, times: list[int], ours: FloatArray, ticks: Mapping[int, Any], late: Mapping[int, str]
) -> list[ScoreApart]:
    found = []
    for time, known in zip(times, ours.tolist(), strict=True):
        if time not in ticks:
            continue
        told = ticks[time].scores.get(name)
        said = float("nan") if told is None else float(told)
        if np.isnan(known) and np.isnan(said):
            continue
        if not np.isclose(known, said, rtol=1e-9, atol=1e-12, equal_nan=True):
            cause = "nothing was said" if np.isnan(said) else "another model or other features spoke (late model)"
            if time in late:
                cause = f"late source: {late[time]}"
            found.append(ScoreApart(name, time, known, said, cause))
    return found


def _cash(workspace: Workspace, folder: Path, one: LiveStrategy) -> float:
    """Give what a lane began with, as the bot splits it."""
    config = workspace.config
    if folder.name.endswith(("-paper", "-paper-on-practice")):
        whole = float(paper_cash(config))
    elif folder.name.endswith("-practice"):
        whole = float(config.backtest.cash)
    else:
        whole = float(usable_cash(config))
    return whole * one.share / len(purses(config))


def _board(workspace: Workspace, folder: Path) -> tuple[str, ...]:
    """Say how what people were told turned out, where they were told anything."""
    if not workspace.config.outputs:
        return ()
    mailroom = Mailroom(journal_of(workspace.config, folder))
    try:
        against = measure(workspace)
        grader = build_grader(workspace, mailroom, () if against is None else expectations_of(workspace, against))
        told = f"What was sent, graded: {grader.text()}".replace("\n", "; ")
        return (told if against is None else f"{told}; expected by run {against.run_id}",)
    finally:
        mailroom.close()


def _period(lanes: list[LivedLane]) -> str:
    times = [time for lane in lanes for time in lane.day.lived.ticks[lane.day.name[1]]]
    return f"{utc(min(times))} to {utc(max(times))}"


def _words(workspace: Workspace, lanes: list[LivedLane], prices: Slipped, folder: Path) -> tuple[str, ...]:
    counts = Counter(line.verdict for lane in lanes for line in lane.lines)
    fills = sum(counts.values())
    apart = sum(len(lane.day.scores) for lane in lanes)
    ticks, scores = sum(lane.ticks for lane in lanes), sum(lane.scores for lane in lanes)
    first = (
        f"{folder.name}, {_period(lanes)}: {ticks:,} bars decided on, {counts['same']:,} of {fills:,} fills as in the "
        f"backtest of the same bars; {apart:,} of {scores:,} scores were not what the bot's models say of these bars"
    )
    return first, _proposal(workspace, prices, folder), *_funded(lanes)


def _funded(lanes: list[LivedLane]) -> Iterator[str]:
    """Say what holding perpetuals cost, and the first cause of each sort of difference."""
    every = [one for lane in lanes for one in lane.fundings]
    if not every:
        return
    paid, tested = sum(one.lived or 0.0 for one in every), sum(one.backtest or 0.0 for one in every)
    same = sum(one.is_same for one in every)
    yield (
        f"Funding: the bot paid {paid:.6g}, the backtest {tested:.6g} (received: below 0); {same:,} of {len(every):,} "
        "settlements alike"
    )
    for cause, count in Counter(one.cause.partition(":")[0] for one in every if not one.is_same).items():
        first = next(one for one in every if one.cause.startswith(cause))
        yield f"Funding: {count:,} by {first.cause}, the first at {utc(first.open_time)}"


def _proposal(workspace: Workspace, prices: Slipped, folder: Path) -> str:
    costs, count = workspace.config.costs, len(prices.bps)
    if not count:
        return "No market order was filled: there is no slippage to learn from"
    told = (
        f"Market orders against the next open, {count:,} of them: median {prices.median:+.2f} bps, p90 "
        f"{prices.p90:+.2f}, worst {prices.worst:+.2f}"
    )
    if folder.name.endswith(("-paper", "-practice")):
        told += "; these are the prices of a model, so they tell what is configured, not what a market does"
    if count < _FEW:
        return f"{told}. Too few to propose a slippage ({_FEW} are needed)"
    proposed = prices.propose(costs.spread_bps)
    return f"{told}. Configured is costs.slippage_bps = {costs.slippage_bps:g}; what was paid is {proposed:g}"


def _verdicts(lanes: list[LivedLane]) -> Table:
    rows = []
    for lane in lanes:
        counts = Counter(line.verdict for line in lane.lines)
        rows.append((" ".join(lane.day.name), *(f"{counts[verdict]:,}" for verdict in _VERDICTS)))
    return Table(("strategy and market", *_VERDICTS), tuple(rows))


def _differences(differing: list[tuple[LivedLane, Lines]]) -> Table:
    rows = tuple(
        (utc(line.open_time), lane.day.name[1], line.verdict, _fill(line.backtest), _fill(line.lived), line.cause)
        for lane, line in differing
    )
    return Table(("bar", "market", "what", "backtest", "bot", "cause"), rows)


def _fill(fill: Any) -> str:
    if fill is None:
        return "nothing"
    return f"{'buy' if fill.qty > 0 else 'sell'} {abs(fill.qty):.10g} at {fill.price:.10g} ({fill.reason})"


def _prices(prices: Slipped) -> Table:
    if not len(prices.bps):
        return Table(("", "bps"), ())
    shown = {"median": prices.median, "p90": prices.p90, "worst": prices.worst, "mean": float(prices.bps.mean())}
    rows = (("orders", f"{len(prices.bps):,}"), *((name, f"{value:+.2f}") for name, value in shown.items()))
    return Table(("", "bps worse than the next open"), rows)


def _tiles(lanes: list[LivedLane], prices: Slipped) -> tuple[MetricRow, ...]:
    lines = [line for lane in lanes for line in lane.lines]
    same = sum(line.verdict == "same" for line in lines)
    tone: Any = "good" if same == len(lines) else "warn"
    shown = [
        MetricRow("Bars decided on", f"{sum(lane.ticks for lane in lanes):,}", is_headline=True),
        MetricRow("Fills as backtested", f"{same:,} of {len(lines):,}", tone=tone, is_headline=True),
        MetricRow("Scores that differ", f"{sum(len(lane.day.scores) for lane in lanes):,}", is_headline=True),
    ]
    if len(prices.bps):
        shown.append(MetricRow("Median price", f"{prices.median:+.2f} bps", is_headline=True))
    return tuple(shown)


def _plain(lanes: list[LivedLane], prices: Slipped, rivals: list[Duel], file: str) -> dict[str, Any]:
    counts = Counter(line.verdict for lane in lanes for line in lane.lines)
    return {
        "fills": {verdict: counts[verdict] for verdict in _VERDICTS},
        "bars": sum(lane.ticks for lane in lanes),
        "scores_apart": sum(len(lane.day.scores) for lane in lanes),
        "prices_bps": None
        if not len(prices.bps)
        else {"count": len(prices.bps), "median": prices.median, "p90": prices.p90, "worst": prices.worst},
        "funding": [
            {
                "symbol": lane.day.name[1],
                "bar": utc(one.open_time),
                "lived": one.lived,
                "backtest": one.backtest,
                "cause": one.cause,
            }
            for lane in lanes
            for one in lane.fundings
        ],
        "differences": [
            {"symbol": lane.day.name[1], "bar": utc(line.open_time), "what": line.verdict, "cause": line.cause}
            for lane in lanes
            for line in lane.lines
            if line.verdict != "same"
        ],
        "challengers": [one.plain() for one in rivals],
        "page": file,
    }
