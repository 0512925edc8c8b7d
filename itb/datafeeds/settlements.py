"""Settlements of funding: what holders of perpetuals paid one another, kept in one file for each perpetual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from itb.datafeeds.atomic import locked, make_folder, replace_file, sweep, sync_folder
from itb.datafeeds.sources import SourceRows
from itb.datafeeds.store import BarStore, folder_name
from itb.errors import BarsError
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray

FILE = "funding.parquet"
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000
_AGREE = 2  # silences in a row that end a history


class Rate(NamedTuple):
    """One settlement: its time (UTC milliseconds), what longs pay to shorts, the mark price (NaN if not told)."""

    time: int
    rate: float
    mark: float


class TellsSettlements(Protocol):
    """Where past settlements come from; :class:`itb.datafeeds.ccxt_history.CcxtHistory` is the one for exchanges."""

    def settlements(self, since_ms: int) -> list[Rate]:
        """Give a page of settlements at or after a time, oldest first; raise :class:`itb.errors.GatewayError`."""


def settled_at(time: int) -> int:
    """Give the full hour at which holders paid one another, where a payment was booked within a minute of one.

    >>> settled_at(3_600_000 + 4_321), settled_at(3_600_000 + 60_000)
    (3600000, 3660000)
    """
    late = time % _HOUR_MS
    return time - late if late < _MINUTE_MS else time


@dataclass(frozen=True)
class SettlementStore:
    """Settlements beside the bars of a store: ``<root>/<exchange>/<symbol>/funding.parquet``.

    What is stored of a time stays as it is: whoever reads it later reads what was charged by it. The file is replaced
    in one step, writers wait for each other.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SettlementStore(BarStore(Path(folder)))
    ...     added = store.add("binance", "BTC/USDT:USDT", [Rate(0, 0.1, 9.0), Rate(28_800_000, 0.2, 9.5)])
    ...     again = store.add("binance", "BTC/USDT:USDT", [Rate(0, 0.3, 9.0)])
    ...     added, again, store.read("binance", "BTC/USDT:USDT").columns["funding_rate"].tolist()
    (2, 0, [0.1, 0.2])
    """

    bars: BarStore

    def _file(self, exchange: str, symbol: str) -> Path:
        return self.bars.root / exchange.lower() / folder_name(symbol) / FILE

    def read(self, exchange: str, symbol: str) -> SourceRows:
        """Give the columns ``funding_rate`` and ``mark_price`` of a perpetual; no rows where none are stored.

        Raises :class:`BarsError` that names a file that cannot be read.
        """
        file, label = self._file(exchange, symbol), f"funding of {exchange} {symbol}"
        if not file.is_file():
            empty = np.empty(0)
            return SourceRows(label, np.empty(0, np.int64), {"funding_rate": empty, "mark_price": empty})
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(file)
            times: IntArray = table["time"].to_numpy().astype(np.int64)
            columns: dict[str, FloatArray] = {
                name: table[name].to_numpy().astype(np.float64) for name in ("funding_rate", "mark_price")
            }
        except (OSError, pa.ArrowException, KeyError) as error:
            raise BarsError(
                f"{file}: cannot be read ({error}); delete it and run `itb data download --sources` again"
            ) from None
        return SourceRows(label, times, columns)

    def add(self, exchange: str, symbol: str, rates: Iterable[Rate]) -> int:
        """Keep settlements whose time is not stored yet, and say how many those were.

        Raises :class:`BarsError` where the file cannot be read or written.
        """
        file = self._file(exchange, symbol)
        try:
            make_folder(file.parent)
            with locked(file.parent, timeout_s=self.bars.lock_timeout_s):
                return self._add(file, self.read(exchange, symbol), rates)
        except OSError as error:
            raise BarsError(
                f"{file}: cannot be written ({error.strerror}); make room or allow writing there"
            ) from error

    @staticmethod
    def _add(file: Path, stored: SourceRows, rates: Iterable[Rate]) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        known = set(stored.times.tolist())
        new = {rate.time: rate for rate in rates if rate.time not in known}
        if not new:
            return 0
        times = np.concatenate((stored.times, np.array([one.time for one in new.values()], np.int64)))
        order = np.argsort(times, kind="stable")
        columns = {"time": times[order]}
        for name, own in (("funding_rate", "rate"), ("mark_price", "mark")):
            values = np.array([getattr(one, own) for one in new.values()])
            columns[name] = np.concatenate((stored.columns[name], values))[order]
        sweep(file.parent)
        replace_file(file, lambda out: pq.write_table(pa.table(columns), out))
        sync_folder(file.parent)
        return len(new)


def fill_settlements(
    store: SettlementStore, exchange: str, symbol: str, source: TellsSettlements, since_ms: int
) -> int:
    """Ask for all settlements from a time on, keep them, and say how many are new.

    An answer may break off anywhere, so only silence, twice in a row, is the end.
    """
    at, silent, added = since_ms, 0, 0
    while silent < _AGREE:
        rates = [one for one in source.settlements(at) if one.time >= at]
        if not rates:
            silent += 1
            continue
        silent = 0
        added += store.add(exchange, symbol, rates)
        at = rates[-1].time + 1
    return added


def described(rows: SourceRows) -> str:
    """Say what is stored, in one line."""
    if not len(rows):
        return f"{rows.label}: no settlements"
    return f"{rows.label}: {len(rows):,} settlements from {utc(rows.times[0])} to {utc(rows.times[-1])}"
