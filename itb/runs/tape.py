"""Score columns beside the bars they belong to: from the walk-forward, or from files of the person's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.datafeeds.importers import symbol_of
from itb.datafeeds.tables import read_table
from itb.errors import BarsError
from itb.ledger.register import market_of
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.runs.inputs import file_hash
from itb.runs.market import Market, entered_holdout, fingerprint, load_market
from itb.runs.model import score_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.datafeeds.sources import SourceRows
    from itb.market.bars import FloatArray, IntArray
    from itb.runs.workspace import Workspace

_PRICES = {"open", "high", "low", "close", "volume"}


@dataclass(frozen=True, eq=False)
class Tape:
    """One market's bars and a value of each score column for each bar; ``made_of`` tells what made the scores.

    Without ``has_opens`` the bars are closes alone.
    """

    market: Market
    columns: Mapping[str, FloatArray]
    made_of: str
    has_opens: bool = True


def load_tape(workspace: Workspace, symbol: str, bars: Path | None, scores: Path | None, *, run_id: str) -> Tape:
    """Read bars and scores from files, or take those of the project where a file is not named.

    Columns that the configured signals make are left out: they are made anew. Without ``scores`` the scores are the
    other columns of the file ``bars``, or else what the configured models and the stages before the signals say.
    """
    if bars is not None:
        tape = _from_file(workspace, symbol, bars, run_id)
    else:
        market = load_market(workspace, symbol, run_id=run_id, command="simulate")
        tape = Tape(market, {}, "") if scores is not None else _trained(workspace, market)
    made = parts.signal_set(workspace.config).names
    if scores is None:
        return replace(tape, columns={name: values for name, values in tape.columns.items() if name not in made})
    rows = read_table(scores, str(scores))
    times = tape.market.bars.open_time
    wanted = {name: values for name, values in rows.columns.items() if name not in _PRICES}
    columns = {**tape.columns, **{name: _aligned(rows, values, times) for name, values in wanted.items()}}
    kept = {name: values for name, values in columns.items() if name not in made}
    return Tape(tape.market, kept, file_hash(scores), tape.has_opens)


def _trained(workspace: Workspace, market: Market) -> Tape:
    scored = score_columns(workspace, market)
    columns = {name: source.batch() for name, source in scored.scores.items()}
    return Tape(market, columns, scored.fingerprint)


def _from_file(workspace: Workspace, symbol: str, path: Path, run_id: str) -> Tape:
    """See a table with a close as bars; of its rows those are taken that this run may look at."""
    config = workspace.config
    if ("data", "symbols") not in config.origins:
        symbol = _named(path, symbol)
    rows = read_table(path, str(path))
    if "close" not in rows.columns:
        raise BarsError(f"{path}: no column 'close'; found {', '.join(rows.columns)}")
    frame = _timeframe(rows.times, config.data.timeframe)
    close = rows.columns["close"]
    opens = rows.columns.get("open", close)
    prices = {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}
    others = {name: values for name, values in rows.columns.items() if name not in _PRICES}
    bars = Bars(symbol, frame, rows.times, {**prices, "volume": np.zeros(len(close)), **others})
    name = market_of(symbol)
    holdout = entered_holdout(workspace, name, run_id=run_id, command="simulate")
    seen = holdout.research(bars.between(config.data.start_ms, config.data.stop_ms))
    if not len(seen):
        raise BarsError(
            f"{path}: none of its {len(bars):,} rows may be looked at; see data.from, data.to, holdout_from"
        )
    market = Market(name, seen, is_synthetic=False, fingerprint=fingerprint(seen), missing=0, holdout=holdout)
    return Tape(market, {name: seen[name] for name in others}, "", "open" in rows.columns)


def _named(path: Path, symbol: str) -> str:
    """Give the symbol that a file's name tells, else the one there is."""
    try:
        return symbol_of(path)
    except BarsError:
        return symbol


def _timeframe(times: IntArray, configured: Timeframe) -> Timeframe:
    """Give the shortest step of a file, where that is a timeframe."""
    try:
        return Timeframe(int(np.diff(times).min()))
    except ValueError:
        return configured


def _aligned(rows: SourceRows, values: FloatArray, times: IntArray) -> FloatArray:
    """Give the value of each bar; of rows of one time the last counts, a bar without a row has none."""
    place = np.searchsorted(rows.times, times, side="right") - 1
    found = (place >= 0) & (rows.times[np.maximum(place, 0)] == times)
    return np.where(found, values[place], np.nan)
