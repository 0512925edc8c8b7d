"""The honest notes under a result: what a reader must know before believing it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from itb.charts.wording import number, percent
from itb.config import parts
from itb.market.bars import utc
from itb.runs.funding import read_funding
from itb.runs.looks import look_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from itb.backtest.result import BacktestResult
    from itb.charts.data import Tone
    from itb.config import Config
    from itb.mlmodels.quality import ModelQuality
    from itb.runs.market import Market
    from itb.runs.outcome import Outcome
    from itb.runs.shared import SharedOutcome


_FEW = 30  # closed trades


def notes(config: Config, outcome: Outcome) -> Iterator[tuple[str, Tone]]:
    """Give each note with its tone, the gravest first."""
    yield from data_notes(config, outcome.market)
    yield from _costs(config, outcome)
    yield from _fills(config, outcome)
    yield from _model(outcome)
    yield from _honesty(config, outcome)


def shared_notes(config: Config, outcome: SharedOutcome) -> Iterator[tuple[str, Tone]]:
    """Give the notes under several symbols on one account; what is true of all is said once."""
    parts = outcome.result.parts
    yield from said_once(
        {
            symbol: (*data_notes(config, market), *_market_costs(config, market, parts[symbol]))
            for market in outcome.markets
            for symbol in [market.bars.symbol]
        }
    )
    yield from holdout_notes(outcome.markets)
    yield from _edge(config, outcome)
    yield from _fills(config, outcome)
    skilled = [one for one in outcome.graded if has_skill(one[-1])]
    if outcome.graded:
        several = f"{len(skilled)} of {len(outcome.graded)} score columns were better than guessing beyond chance."
        yield several, "good" if skilled else "warn"
    yield look_note(outcome.looks + 1)
    if outcome.metrics.trades < _FEW:
        yield f"Only {outcome.metrics.trades} closed trades: too few to tell skill from luck.", "warn"


def said_once(by_symbol: Mapping[str, Iterable[tuple[str, Tone]]]) -> Iterator[tuple[str, Tone]]:
    """Give the notes of several symbols, each with those it is true of, unless it is true of all."""
    told: dict[str, tuple[list[str], Tone]] = {}
    for symbol, own in by_symbol.items():
        for text, tone in own:
            told.setdefault(text, ([], tone))[0].append(symbol)
    for text, (symbols, tone) in told.items():
        yield text if len(symbols) == len(by_symbol) else f"{', '.join(symbols)}: {text}", tone


def holdout_notes(markets: Sequence[Market]) -> Iterator[tuple[str, Tone]]:
    """Say what became of the markets' hold-outs, alike ones together."""
    sealed: dict[tuple[str, bool], list[str]] = {}
    for market in markets:
        text = market.holdout.note.replace(market.name, "{}")
        sealed.setdefault((text, market.holdout_seen), []).append(market.name)
    for (text, is_seen), names in sealed.items():
        yield text.replace("{}", ", ".join(names)), "bad" if is_seen else "plain"


def has_skill(quality: ModelQuality) -> bool:
    """Whether a column was better than guessing beyond its margin of chance."""
    margin = getattr(quality.pooled, "margin", math.nan)
    _, value, base = quality.pooled.headline
    return bool(math.isfinite(margin) and value - base > margin)


def data_notes(config: Config, market: Market) -> Iterator[tuple[str, Tone]]:
    """Say where the bars are from and what was done to them."""
    if market.is_synthetic:
        made = parts.synthetic_market(config)
        told = (
            f"Synthetic market (seed {made.seed}): a weak structure was planted, worth an information coefficient of "
            f"{made.information_coefficient:g} a bar ({made.attainable_ic():.3f} as it came out) to whoever knows the "
            "generator. It says nothing about real coins."
        )
        yield told, "warn"
    chosen_ms = config.universe.chosen_ms
    if chosen_ms is not None:
        told = (
            f"Markets were chosen by [universe] as of {utc(chosen_ms)}, among those whose bars are stored: coins that "
            "died and were never stored are missing, so the choice is better than anybody's could have been."
        )
        yield told, "warn"
    if market.missing:
        treated = {"flat": "filled flat with volume 0", "drop": "left out"}.get(config.data.gaps, config.data.gaps)
        filled = 0 if config.data.gaps == "drop" else market.missing  # what was filled is among the bars
        share = market.missing / (len(market.bars) + market.missing - filled)
        was = "bar was" if market.missing == 1 else "bars were"
        yield f"{market.missing:,} {was} missing ({percent(share, 2, signed=False)}): {treated}.", "plain"
    for source in market.sources:
        yield from ((note, "warn") for note in source.notes)


def _costs(config: Config, outcome: Outcome) -> Iterator[tuple[str, Tone]]:
    yield from _edge(config, outcome)
    yield from _market_costs(config, outcome.market, outcome.result)


def _edge(config: Config, outcome: Outcome | SharedOutcome) -> Iterator[tuple[str, Tone]]:
    costs, edge = config.costs, outcome.edge
    if costs.is_free:
        yield "Trading was free in this run: no real venue is.", "bad"
    if edge.break_even_bps is None:
        if outcome.metrics.fills:
            yield "There is no gross edge: these fills lose money even at zero cost.", "bad"
    elif math.isfinite(edge.charged_bps):
        dies, charged = number(edge.break_even_bps, 1), number(edge.charged_bps, 1)
        told = f"The edge dies at {dies} bps one way; {charged} bps were charged."
        yield told, "plain" if edge.break_even_bps > edge.charged_bps else "bad"


def _market_costs(config: Config, market: Market, result: BacktestResult) -> Iterator[tuple[str, Tone]]:
    shorts = any(trade.side == "short" for trade in result.trades)
    if shorts and ":" not in market.bars.symbol:
        yield "Short positions on a spot market: borrowing the coins is not charged.", "warn"
    if ":" in market.bars.symbol and not config.backtest.funding:
        yield "A perpetual without funding rates: funding is not charged; set backtest.funding.", "warn"
    rates = read_funding(config, market)
    if rates is not None:
        window = market.bars.slice(result.start, None)
        yield from ((note, "warn") for note in rates.notes(window))
        yield "Perpetual at 1x: liquidation is not modelled.", "plain"


def _fills(config: Config, outcome: Outcome | SharedOutcome) -> Iterator[tuple[str, Tone]]:
    result, unsettled = outcome.result, outcome.scenarios.unsettled
    if unsettled and outcome.other_metrics is not None:
        told = (
            f"{unsettled} bars touched both stop and target: the order inside them is unknown. Both orders were run to "
            f"the end: {percent(outcome.metrics.total_return)} (headline) and "
            f"{percent(outcome.other_metrics.total_return)}. These are two scenarios, not bounds."
        )
        yield told, "warn"
    settled = len(result.ambiguous) - unsettled
    if settled:
        yield f"{settled} bars touched both stop and target; finer bars settled which came first.", "plain"
    if result.rejected:
        entries = sum(case.reason == "entry" for case in result.rejected)
        yield f"{len(result.rejected)} orders were refused or could not be paid for, {entries} of them entries.", "warn"
    blocked = dict(result.blocked)
    full, poor = blocked.pop("max_open_trades", 0), blocked.pop("cash", 0)
    if full:
        yield f"max_open_trades held an entry back at {full:,} bars.", "plain"
    if poor:
        yield f"No cash was free for an entry at {poor:,} bars.", "plain"
    if blocked:
        told = ", ".join(f"{name} at {count:,}" for name, count in sorted(blocked.items()))
        yield f"Protections held an entry back at {sum(blocked.values()):,} bars: {told}.", "plain"
    elif config.protections:
        yield "The protections held no entry back.", "plain"
    if config.account.tranches:
        yield f"Up to {config.account.tranches} positions overlap, each from an equal part of the cash.", "plain"
    if config.strategy.settings.get("entry") == "limit":
        yield "Entries rest as limits: a bar that touches one was taken to fill all of it.", "warn"
    if config.strategy.settings.get("protection_from") == "next_bar":
        told = (
            "Stops and targets were not tested in the entry bar, and a bar that touched both was taken to touch the "
            "stop first (protection_from = next_bar)."
        )
        yield told, "warn"


def _model(outcome: Outcome) -> Iterator[tuple[str, Tone]]:
    several = len(outcome.walked) > 1
    for walked, quality in zip(outcome.walked, outcome.qualities, strict=True):
        name = f"{walked.column}: " if several else ""
        yield name + quality.pooled.sentence, "good" if has_skill(quality) else "warn"
        for note in walked.notes[:3]:
            yield name + note[0].upper() + note[1:] + ".", "warn"
        if len(walked.notes) > 3:
            yield f"{name}{len(walked.notes) - 3} more refits had something to say: see `itb walkforward`.", "warn"
    for note in () if outcome.scored is None else outcome.scored.notes:
        yield note, "plain"


def _honesty(config: Config, outcome: Outcome) -> Iterator[tuple[str, Tone]]:
    chosen_ms = config.universe.chosen_ms
    if chosen_ms is not None and chosen_ms > int(outcome.result.bars.close_time[outcome.result.start]):
        yield "Markets were chosen after trading began: the choice knew what came next.", "bad"
    yield outcome.market.holdout.note, "bad" if outcome.market.holdout_seen else "plain"
    yield look_note(outcome.looks + 1)
    if outcome.metrics.trades < _FEW:
        yield f"Only {outcome.metrics.trades} closed trades: too few to tell skill from luck.", "warn"
