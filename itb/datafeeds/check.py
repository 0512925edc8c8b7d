"""Look bars over for what would mislead a backtest: holes, silence, bad prints, contradicting timeframes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from itb.datafeeds.findings import Finding, Findings, Kind, Severity
from itb.datafeeds.sealed import DamagedFileError
from itb.datafeeds.store import BarStore
from itb.market.aggregate import aggregate
from itb.market.bars import Bars, BoolArray, FloatArray, IntArray, utc
from itb.market.gaps import count_of, find_gaps
from itb.market.timeframe import Timeframe

_ROUNDS = 8  # the rolling spread is taken anew this many times per window
_PRICES = ("open", "high", "low", "close")
_SAME_PRICE, _SAME_VOLUME = 1e-9, 1e-6


@dataclass(frozen=True)
class CheckLimits:
    """From where on something is worth a word.

    A move (close to close over the root of the bars in between, or a wick beyond the body) is a spike above
    ``spike_mads`` times the median absolute deviation of log returns in the ``spike_window`` bars around it; the calm
    half of the whole series is the least that counts as usual. Real moves of one bar reach about 50, bad prints are
    usually in the hundreds. Bars without any volume are noted, and a warning from ``silent_bars`` in a row; bars that
    trade at one and the same price are a warning from ``frozen_bars`` in a row.
    """

    spike_mads: float = 50.0
    spike_window: int = 500
    silent_bars: int = 10
    frozen_bars: int = 10

    def __post_init__(self) -> None:
        if not self.spike_mads > 0 or self.spike_window < 10 or self.silent_bars < 1 or self.frozen_bars < 2:
            raise ValueError(
                "spike_mads must be above 0, spike_window at least 10, silent_bars at least 1 and frozen_bars at "
                f"least 2, were {self.spike_mads}, {self.spike_window}, {self.silent_bars} and {self.frozen_bars}"
            )


def check(bars: Bars, limits: CheckLimits | None = None, *, series: str | None = None) -> Findings:
    """Look over the bars of one series.

    Gaps are warnings, because a run refuses them unless told otherwise. A spike that is taken back at once is a
    warning (a bad print, it would trigger stops), one that stays is a note (news).

    >>> hour = 3_600_000
    >>> columns = {"open": [1] * 3, "high": [1] * 3, "low": [1] * 3, "close": [1] * 3, "volume": [5, 0, 5]}
    >>> findings = check(Bars.of("BTC/USDT", "1h", [0, hour, 3 * hour], **columns))
    >>> [(one.kind, one.severity, one.bars) for one in findings.findings]
    [('gap', 'warning', 1), ('zero volume', 'note', 1)]
    """
    limits = limits or CheckLimits()
    found = [*_gaps(bars), *_spikes(bars, limits), *_frozen(bars, limits), *_silence(bars, limits)]
    return Findings(series or bars.label, len(bars), tuple(found))


def check_store(
    store: BarStore, exchange: str, symbol: str, timeframe: Timeframe | str, limits: CheckLimits | None = None
) -> Findings:
    """Look over a stored series, and compare it with the next finer timeframe of the same symbol, if there is one.

    A damaged file is a finding, not an error. Raises :class:`BarsError` if the series is not stored.
    """
    frame = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    name = f"{exchange} {symbol} {frame}"
    try:
        bars = store.read(exchange, symbol, frame)
    except DamagedFileError as error:
        return Findings(name, 0, (Finding("damaged", "error", 0, 0, 0, str(error)),))
    checked = check(bars, limits, series=name)
    finer = _finer(store, bars, exchange)
    return Findings(name, len(bars), (*(contradictions(finer, bars) if finer else ()), *checked.findings))


def contradictions(finer: Bars, coarser: Bars) -> list[Finding]:
    """List the bars that are not what the bars of a finer timeframe make of them, neighbours as one finding.

    Where all finer bars are there, prices must agree to 1e-9 and volume to 1e-6 of its value. Where some are missing,
    the coarser bar must hold the prices of those that are there.
    """
    made = aggregate(finer, coarser.timeframe)
    _, ours, theirs = np.intersect1d(made.open_time, coarser.open_time, assume_unique=True, return_indices=True)
    members = np.diff(np.searchsorted(finer.open_time, [made.open_time, made.close_time]), axis=0)[0][ours]
    is_whole = members * finer.timeframe.ms == coarser.timeframe.ms
    differs = {
        name: ~np.isclose(made[name][ours], coarser[name][theirs], rtol=_SAME_PRICE, atol=0) & is_whole
        for name in _PRICES
    }
    differs["volume"] = ~np.isclose(made.volume[ours], coarser.volume[theirs], rtol=_SAME_VOLUME, atol=1e-12) & is_whole
    differs["high"] |= made.high[ours] > coarser.high[theirs] * (1 + _SAME_PRICE)
    differs["low"] |= made.low[ours] < coarser.low[theirs] * (1 - _SAME_PRICE)
    found = []
    for start, stop in _runs(np.logical_or.reduce(list(differs.values()))):
        names = [name for name, flags in differs.items() if flags[start:stop].any()]
        row = start + int(differs[names[0]][start:stop].argmax())
        detail = (
            f"{', '.join(names)} not as {finer.timeframe} bars have it: {names[0]} "
            f"{coarser[names[0]][theirs[row]]:.10g} instead of {made[names[0]][ours[row]]:.10g}"
        )
        found.append(_finding("contradiction", "error", coarser, theirs[start], theirs[stop - 1] + 1, detail))
    return found


def _finer(store: BarStore, bars: Bars, exchange: str) -> Bars | None:
    frames = [
        key.timeframe
        for key in store.names()
        if key[:2] == (exchange.lower(), bars.symbol)
        and key.timeframe < bars.timeframe
        and bars.timeframe.is_multiple_of(key.timeframe)
    ]
    if not frames:
        return None
    return store.read(exchange, bars.symbol, max(frames), int(bars.open_time[0]), int(bars.close_time[-1]))


def _gaps(bars: Bars) -> list[Finding]:
    return [
        Finding("gap", "warning", gap.start_ms, gap.stop_ms, gap.bars, f"until {utc(gap.stop_ms)}", size=gap.bars)
        for gap in find_gaps(bars)
    ]


def _silence(bars: Bars, limits: CheckLimits) -> list[Finding]:
    found = []
    for start, stop in _runs(bars.volume == 0):
        severity: Severity = "warning" if stop - start >= limits.silent_bars else "note"
        found.append(_finding("zero volume", severity, bars, start, stop, f"{count_of(stop - start)} without volume"))
    return found


def _frozen(bars: Bars, limits: CheckLimits) -> list[Finding]:
    if len(bars) < limits.frozen_bars:
        return []
    stands = (bars.high == bars.low) & (bars.volume > 0)
    moves = np.append(True, bars.close[1:] != bars.close[:-1])
    found = []
    for start, stop in _runs(stands):
        cuts = [start, *(start + 1 + np.flatnonzero(moves[start + 1 : stop])).tolist(), stop]
        for first, last in pairwise(cuts):
            if last - first >= limits.frozen_bars:
                detail = f"every trade at {bars.close[first]:.10g}"
                found.append(_finding("frozen", "warning", bars, first, last, detail))
    return found


def _spikes(bars: Bars, limits: CheckLimits) -> list[Finding]:
    if len(bars) < 3:
        return []
    steps = np.diff(bars.open_time) // bars.timeframe.ms
    returns = np.diff(np.log(bars.close)) / np.sqrt(steps)
    moved = np.abs(returns[returns != 0])
    if len(moved) == 0:
        return []
    usual = np.maximum(_rolling_mad(returns, limits.spike_window), np.median(moved) / 2)
    moves = np.append(0.0, returns / usual)
    usual = np.append(usual[0], usual)
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    wicks = np.maximum(np.log(bars.high / top), np.log(bottom / bars.low)) / usual
    return [
        *(_spike(bars, int(row), moves, limits) for row in np.flatnonzero(np.abs(moves) > limits.spike_mads)),
        *(_wick(bars, int(row), wicks) for row in np.flatnonzero(wicks > limits.spike_mads)),
    ]


def _spike(bars: Bars, row: int, moves: FloatArray, limits: CheckLimits) -> Finding:
    change = bars.close[row] / bars.close[row - 1] - 1
    back = row + 1 < len(bars) and moves[row] * moves[row + 1] < 0 and abs(moves[row + 1]) > limits.spike_mads / 2
    was_back = row > 1 and moves[row] * moves[row - 1] < 0 and abs(moves[row - 1]) > limits.spike_mads / 2
    detail = (
        f"close {bars.close[row - 1]:.10g} to {bars.close[row]:.10g} ({change:+.1%}), {abs(moves[row]):.0f} x usual"
    )
    detail += ", taken back by the next bar" if back else ", takes back the bar before" if was_back else ""
    severity: Severity = "warning" if back or was_back else "note"
    return _finding("spike", severity, bars, row, row + 1, detail, size=abs(float(moves[row])))


def _wick(bars: Bars, row: int, wicks: FloatArray) -> Finding:
    prices = ", ".join(f"{name} {bars[name][row]:.10g}" for name in _PRICES)
    detail = f"wick far beyond the body ({prices}), {wicks[row]:.0f} x usual"
    return _finding("spike", "warning", bars, row, row + 1, detail, size=float(wicks[row]))


def _rolling_mad(values: FloatArray, window: int) -> FloatArray:
    """Median absolute deviation in the window around each value, taken anew every eighth of a window."""
    if len(values) <= window:
        return np.full(len(values), np.median(np.abs(values - np.median(values))))
    step = max(1, window // _ROUNDS)
    windows = np.lib.stride_tricks.sliding_window_view(values, window)[::step]
    deviations = np.median(np.abs(windows - np.median(windows, axis=1)[:, None]), axis=1)
    nearest = np.rint((np.arange(len(values)) - window / 2) / step).astype(np.int64).clip(0, len(deviations) - 1)
    return np.asarray(deviations[nearest], dtype=np.float64)


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    edges: IntArray = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _finding(
    kind: Kind, severity: Severity, bars: Bars, start: int, stop: int, detail: str, size: float | None = None
) -> Finding:
    first, last = int(bars.open_time[start]), int(bars.close_time[stop - 1])
    return Finding(
        kind, severity, first, last, stop - start, detail, size=float(stop - start) if size is None else size
    )
