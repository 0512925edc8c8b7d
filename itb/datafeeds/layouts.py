"""Which column of a file is what: the many names that open, volume and the others go by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from itb.datafeeds.files import Rows
from itb.errors import BarsError
from itb.market.bars import OHLCV, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = (
    *("open_time", "timestamp", "unix", "unix_timestamp", "unix_time", "datetime", "date_time", "time", "date"),
    *("ts", "start_time", "start", "time_open", "candle_begin_time", "t", "index_level_0"),
)
ALIASES = {
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "v", "vol", "base_volume", "volume_base", "volume_from"),
    "quote_volume": ("quote_volume", "quote_asset_volume", "volume_quote", "volume_to", "volume_currency"),
    "trades": ("trades", "count", "trade_count", "tradecount", "number_of_trades", "num_trades"),
    "taker_buy_base": (
        *("taker_buy_base", "taker_buy_volume", "taker_buy_base_volume", "taker_buy_base_asset_volume"),
        "taker_base_volume",
    ),
}
_DROPPED = re.compile(r"|close_?time|ignored?|index|unnamed.*|time_?close|taker_buy_quote.*|taker_quote_volume|\d+")
_NAMES = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def plain(header: str) -> str:
    """Give a header in lower case with underscores.

    >>> [plain(header) for header in ("Open Time", "openTime", " Volume (BTC)", "__index_level_0__")]
    ['open_time', 'open_time', 'volume_btc', 'index_level_0']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    words: list[str] = re.findall("[0-9a-z]+", spaced.lower())
    return "_".join(words)


def time_column(rows: Rows) -> str:
    """Name the column that holds the open times; raises :class:`BarsError` that lists the columns if none does."""
    headers: dict[str, str] = {plain(header): header for header in reversed(rows.table.column_names)}
    found = next((headers[name] for name in TIMES if name in headers), None)
    if found is None:
        raise BarsError(
            f"{rows.source}: no column of open times; found {_listed(rows)}, expected one named "
            "timestamp, time, date or open_time"
        )
    return found


def numbers_of(rows: Rows, symbol: str) -> dict[str, FloatArray]:
    """Read open, high, low, close and volume, and every other column of numbers as an extra.

    Left out are row numbers, closing times, Binance's quote volume of takers and columns of text. A column such as
    ``Volume BTC`` is the volume if BTC is the symbol's base, and ``quote_volume`` if it is its quote. Raises
    :class:`BarsError` that names file and row where a number is expected and something else is found.
    """
    named: dict[str, str] = {}
    for header in rows.table.column_names:
        name = _name(plain(header), symbol)
        if name in TIMES or _DROPPED.fullmatch(name):
            continue
        if name in named:
            raise BarsError(
                f"{rows.source}: columns {named[name]!r} and {header!r} both look like {name}; "
                "rename or remove one of them"
            )
        named[name] = header
    absent = [name for name in OHLCV if name not in named]
    if absent:
        raise BarsError(f"{rows.source}: no column {absent[0]!r}; found {_listed(rows)}, expected {', '.join(OHLCV)}")
    return {
        name: _numbers(rows, header)
        for name, header in named.items()
        if name in _NAMES or _is_number(rows.table.schema.field(header).type)
    }


def _name(name: str, symbol: str) -> str:
    base, quote = symbol.lower().split(":")[0].split("/")
    if name in (f"volume_{base}", f"{base}_volume"):
        return "volume"
    if name in (f"volume_{quote}", f"{quote}_volume"):
        return "quote_volume"
    return _NAMES.get(name, name)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers(rows: Rows, header: str) -> FloatArray:
    import pyarrow as pa

    column = rows.table[header]
    if _is_number(column.type) or pa.types.is_null(column.type):
        values: FloatArray = column.cast(pa.float64()).to_numpy()
        return values
    out = np.zeros(len(column))
    for row, value in enumerate(column.to_pylist()):
        try:
            out[row] = float("nan" if value is None else value)
        except (TypeError, ValueError):
            shown = value.decode(errors="replace") if isinstance(value, bytes) else value
            raise rows.fault(row, f"{header} is {str(shown)[:40]!r}; expected a number") from None
    return out


def _listed(rows: Rows) -> str:
    return ", ".join(rows.table.column_names[:15]) or "nothing"
