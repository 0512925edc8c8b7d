"""Funding rates that a backtest charges: from a file, or from one of the config's sources."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.prices import funding_by_bar
from itb.config.model import OWN_FILE
from itb.datafeeds.settlements import SettlementStore
from itb.errors import ConfigError
from itb.laws.lived_funding import Told
from itb.ledger.holdout import Holdout
from itb.market.bars import utc
from itb.runs.market import Market, market_name
from itb.runs.sources import join_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from itb.config import Config
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.runs.workspace import Workspace

_KEY = ("backtest", "funding")
_COLUMN = "funding_rate"
_HOLE = 2.5  # times the usual distance between two settlements


@dataclass(frozen=True, eq=False)
class FundingRates:
    """Settlement times (UTC milliseconds, in order) and the fractions that longs pay to shorts."""

    times: IntArray
    rates: FloatArray

    @property
    def fingerprint(self) -> str:
        """Sha256 of times and rates."""
        return hashlib.sha256(self.times.tobytes() + self.rates.tobytes()).hexdigest()

    def notes(self, bars: Bars) -> Iterator[str]:
        """Say which part of the bars has no settlement: before the first, after the last, in a hole between.

        Nothing is assumed of the distance between settlements but that it is about alike: a stretch of more than 2.5
        times the median distance inside the bars is told; where there is one settlement only, of 2.5 days.
        """
        start, stop = int(bars.open_time[0]), int(bars.close_time[-1])
        inside = self.times[(self.times >= start) & (self.times < stop)]
        if not len(inside):
            return
        steps = np.diff(inside)
        usual = int(np.median(steps)) if len(steps) else 86_400_000
        if inside[0] - start > _HOLE * usual:
            yield f"Funding begins at {utc(inside[0])}: before it none is charged."
        if stop - inside[-1] > _HOLE * usual:
            yield f"Funding ends at {utc(inside[-1])}: after it none is charged."
        holes = np.flatnonzero(steps > _HOLE * usual)
        if len(holes):
            worst = int(holes[np.argmax(steps[holes])])
            which = "1 stretch" if len(holes) == 1 else f"{len(holes)} stretches"
            yield (
                f"Funding has {which} without a settlement, the longest from {utc(inside[worst])} to "
                f"{utc(inside[worst + 1])}: none is charged there."
            )


def read_funding(config: Config, market: Market) -> FundingRates | None:
    """Read what ``backtest.funding`` names, ``None`` where it names nothing.

    The name of a source is that source, else it is a file; with several symbols each has its own.
    Raises :class:`itb.errors.ConfigError`.
    """
    named, symbols = config.backtest.funding, config.data.symbols
    if named is None:
        return None
    source = next((one for one in market.sources if one.name == named), None)
    section = config.source_named(named)
    file = named if source is None or section is None else str(section.file)
    has_own = OWN_FILE in file if section is None or section.kind != "funding" else section.symbol is None
    if len(symbols) > 1 and not has_own:
        told = (
            f"{named} holds the rates of one perpetual, but data.symbols names {len(symbols)}; give each its own file "
            f"by {OWN_FILE} in its name, such as {OWN_FILE}-funding.parquet, or run one symbol at a time"
        )
        raise ConfigError(config.complaint(_KEY, told))
    if source is None:
        return _of_file(config, config.locate_for(market.bars.symbol, named))
    rows = source.rows
    if source.join.timeframe is not None:
        raise ConfigError(config.complaint(_KEY, f'source {named} has bars; expected settlements with time = "event"'))
    if _COLUMN not in rows.columns:
        found = ", ".join(rows.columns)
        raise ConfigError(config.complaint(_KEY, f"source {named} has no column {_COLUMN!r}; it has {found}"))
    rates = rows.columns[_COLUMN]
    if not np.isfinite(rates).all():
        raise ConfigError(config.complaint(_KEY, f"source {named} has a row without a finite {_COLUMN}"))
    return FundingRates(rows.times, rates)


def charged_at(workspace: Workspace, bars: Bars) -> dict[int, float]:
    """Give what ``backtest.funding`` charges at these bars, by bar; nothing where it knows nothing of them.

    Where it is not set, perpetuals are charged what a bot of this project has heard from its exchange.
    """
    if workspace.config.backtest.funding is None:
        return _told_by_exchange(workspace, bars)
    sources = join_sources(workspace, bars)[1] if workspace.config.sources else ()
    name = market_name(workspace.config, bars.symbol)
    market = Market(name, bars, is_synthetic=False, fingerprint="", missing=0, holdout=Holdout(name), sources=sources)
    rates = read_funding(workspace.config, market)
    if rates is None or not ((rates.times >= bars.open_time[0]) & (rates.times < bars.open_time[-1])).any():
        return {}
    return funding_by_bar(bars, rates.times, rates.rates)


def _told_by_exchange(workspace: Workspace, bars: Bars) -> dict[int, float]:
    if ":" not in bars.symbol:
        return {}
    told = SettlementStore(workspace.store).read(workspace.config.traded_on, bars.symbol)
    inside = (told.times >= bars.open_time[0]) & (told.times < bars.open_time[-1])
    return funding_by_bar(bars, told.times, told.columns[_COLUMN]) if inside.any() else {}


def told_at(workspace: Workspace, bars: Bars) -> dict[int, Told]:
    """Give what the exchange told a bot of this project of settlements, by the open of the bar that is charged."""
    if ":" not in bars.symbol:
        return {}
    told = SettlementStore(workspace.store).read(workspace.config.traded_on, bars.symbol)
    frame = bars.timeframe
    return {
        frame.floor(time + frame.ms - 1): Told(rate, mark)
        for time, rate, mark in zip(
            told.times.tolist(), told.columns[_COLUMN].tolist(), told.columns["mark_price"].tolist(), strict=True
        )
    }


def _of_file(config: Config, path: Path) -> FundingRates:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(config.complaint(_KEY, f"{path} cannot be read: {error}")) from None
    absent = [name for name in ("timestamp", _COLUMN) if name not in table.column_names]
    if absent:
        found = ", ".join(table.column_names)
        raise ConfigError(config.complaint(_KEY, f"{path} has no column {absent[0]!r}; it has {found}"))
    try:
        stamps = pc.cast(table["timestamp"], pa.timestamp("ms", "UTC"))
        times = pc.cast(stamps, pa.int64()).to_numpy()
        rates = pc.cast(table[_COLUMN], pa.float64()).to_numpy()
    except pa.ArrowException as error:
        expected = "expected times (ISO, or milliseconds UTC) and rates as fractions"
        raise ConfigError(config.complaint(_KEY, f"{path} cannot be understood: {error}; {expected}")) from None
    if stamps.null_count or not np.isfinite(rates).all():
        raise ConfigError(config.complaint(_KEY, f"{path} has a row without a time or without a finite rate"))
    order = np.argsort(times, kind="stable")
    return FundingRates(times[order], rates[order])
