"""Law 4 on days that were really lived: every difference between a bot and the backtest of its bars has a cause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from itb.market.bars import utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.laws.live_parity import ScoreApart
    from itb.live.run.lived import Lived, LivedFill
    from itb.market.bars import Bars, FloatArray
    from itb.market.fills import Fill

Verdict: TypeAlias = Literal["same", "price", "quantity", "fee", "late", "missed", "extra"]
_RESTING = {"stop", "target", "trailing"}
_LATE_BARS = 3
_NEAR = 1e-9
_PRICE_BPS = 0.01


@dataclass(frozen=True)
class Lines:
    """One fill of the backtest and the bot's, one of which may be lacking; ``bps`` is how much worse the bot's is."""

    open_time: int
    backtest: Fill | None
    lived: LivedFill | None
    verdict: Verdict
    cause: str
    bps: float = np.nan


@dataclass(frozen=True)
class Day:
    """Everything that is needed to explain a difference."""

    name: tuple[str, str]
    bars: Bars
    lived: Lived
    scores: Sequence[ScoreApart] = ()

    def decision(self, fill: Fill | LivedFill) -> int:
        """Give the open time of the bar that a fill was decided on; a resting order works in its own bar."""
        return fill.open_time if fill.reason in _RESTING else fill.open_time - self.bars.timeframe.ms


def side_by_side(day: Day, backtest: Sequence[Fill]) -> list[Lines]:
    """Put the backtest's fills and the bot's beside each other, oldest first, and say why they differ.

    What holders of perpetuals pay one another is no fill: see :mod:`itb.laws.lived_funding`.
    """
    frame = day.bars.timeframe.ms
    backtest = [fill for fill in backtest if fill.reason != "funding"]
    left = list(day.lived.fills.get(day.name, ()))
    pairs: list[tuple[Fill | None, LivedFill | None]] = []
    for within in (0, _LATE_BARS * frame):  # those of the same bar first
        waiting = list(backtest) if not within else [fill for fill, twin in pairs if fill is not None and twin is None]
        pairs = [pair for pair in pairs if pair[1] is not None]
        for fill in waiting:
            twin = next(
                (one for one in left if 0 <= one.open_time - fill.open_time <= within and one.qty * fill.qty > 0), None
            )
            if twin is not None:
                left.remove(twin)
            pairs.append((fill, twin))
    pairs += [(None, one) for one in left]
    pairs.sort(key=lambda pair: (pair[0] or pair[1]).open_time)  # type: ignore[union-attr]  # one of them is there
    return _explained(day, pairs)


def _explained(day: Day, pairs: Sequence[tuple[Fill | None, LivedFill | None]]) -> list[Lines]:
    ours = theirs = 0.0
    parted = 0
    found = []
    for fill, twin in pairs:
        line = _line(day, fill, twin, parted)
        found.append(line)
        ours += fill.qty if fill is not None else 0.0
        theirs += twin.qty if twin is not None else 0.0
        is_same = np.sign(round(ours, 9)) == np.sign(round(theirs, 9))
        parted = 0 if is_same else parted or line.open_time
    return found


def _line(day: Day, fill: Fill | None, twin: LivedFill | None, parted: int) -> Lines:
    if fill is None:
        assert twin is not None  # one of them is there
        return Lines(twin.open_time, None, twin, "extra", _why_extra(day, twin, parted))
    if twin is None:
        return Lines(fill.open_time, fill, None, "missed", _why_missed(day, fill, parted))
    return _beside(day, fill, twin, parted)


def _beside(day: Day, fill: Fill, twin: LivedFill, parted: int) -> Lines:
    bps = float(np.sign(fill.qty) * (twin.price / fill.price - 1) * 1e4)
    line = Lines(fill.open_time, fill, twin, "same", "", bps)
    if twin.open_time != fill.open_time:
        late = (twin.open_time - fill.open_time) // day.bars.timeframe.ms
        return replace(line, verdict="late", cause=f"late signal: {late} bars; {_why_missed(day, fill, parted)}")
    if abs(twin.qty / fill.qty - 1) > _NEAR:
        part = "a part was filled, or " if abs(twin.qty) < abs(fill.qty) else ""
        told = f"quantity: {abs(twin.qty):.10g} instead of {abs(fill.qty):.10g}"
        return replace(line, verdict="quantity", cause=f"{told}; {part}the account was worth another sum")
    if abs(bps) > _PRICE_BPS:
        return replace(line, verdict="price", cause="price")
    if np.isfinite(twin.fee_quote) and abs(twin.fee_quote - fill.fee_quote) > 1e-4 * abs(fill.fee_quote) + 1e-6:
        return replace(line, verdict="fee", cause=f"fee: {twin.fee_quote:.6g} instead of {fill.fee_quote:.6g} in quote")
    return line


def _why_missed(day: Day, fill: Fill, parted: int) -> str:
    lived, symbol, frame = day.lived, day.name[1], day.bars.timeframe.ms
    at = day.decision(fill)
    if parted:
        return f"follows from the difference at {utc(parted)}"
    ticks = lived.ticks.get(symbol, {})
    if at not in ticks:
        return _why_silent(lived, symbol, at, frame)
    if ticks[at].is_late:
        return "late bar: its decision did not count"
    if (*day.name, at) in lived.refused:
        return f"filter or limit: {lived.refused[*day.name, at]}"
    shut = lived.shut_at(at + frame)
    if shut:
        return f"pause or halt: {shut}"
    return _score(day, at) or (_PRICE if fill.reason in _RESTING else _UNKNOWN)


_PRICE = "price: the bars touch a level that the market of the fills did not, or the other way round"
_UNKNOWN = "unknown: none of those that are looked for; see the event log at that time"


def _why_extra(day: Day, twin: LivedFill, parted: int) -> str:
    if parted:
        return f"follows from the difference at {utc(parted)}"
    at, frame = day.decision(twin), day.bars.timeframe.ms
    if any(at <= time < at + 3 * frame for time in day.lived.closed_by_hand):
        return "a person closed it"
    return _score(day, at) or (_PRICE if twin.reason in _RESTING else _UNKNOWN)


def _why_silent(lived: Lived, symbol: str, at: int, frame: int) -> str:
    what = lived.odd_bars.get(symbol, {}).get(at)
    if what is not None:
        return f"missing bar: {what}"
    later = [time for time in lived.ticks.get(symbol, {}) if time > at]
    if any(at < start <= min(later, default=at) + frame for start in lived.starts):
        return "restart: the bot did not run"
    return "missing bar: nothing was decided on it"


def _score(day: Day, at: int) -> str:
    told = next((one for one in day.scores if one.open_time == at), None)
    return "" if told is None else f"score: {told.cause}, {told.theirs!r} instead of {told.ours!r} ({told.column})"


@dataclass(frozen=True)
class Slipped:
    """How much worse than the next open market orders were filled, in basis points; negative is better."""

    bps: FloatArray

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.bps))

    @property
    def p90(self) -> float:
        """Nine of ten are better."""
        return float(np.quantile(self.bps, 0.9))

    @property
    def worst(self) -> float:
        """The worst one."""
        return float(self.bps.max())

    def propose(self, spread_bps: float) -> float:
        """Give the ``slippage_bps`` that charge a backtest what was paid: the mean, less half the configured spread.

        >>> Slipped(np.array([1.0, 2.0, 6.0])).propose(spread_bps=1.0)
        2.5
        """
        return max(0.0, float(np.ceil(10 * (self.bps.mean() - spread_bps / 2) - 1e-6) / 10))


def slipped(bars: Bars, fills: Sequence[LivedFill]) -> Slipped:
    """Compare market orders with the open of the bar that followed their decision."""
    found = []
    for fill in fills:
        row = int(bars.open_time.searchsorted(bars.timeframe.floor(fill.asked_at)))
        if fill.kind == "market" and row < len(bars) and bars.open_time[row] == bars.timeframe.floor(fill.asked_at):
            found.append(float(np.sign(fill.qty) * (fill.price / bars.open[row] - 1) * 1e4))
    return Slipped(np.array(found, dtype=np.float64))
