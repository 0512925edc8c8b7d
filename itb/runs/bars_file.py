"""What a file of bars says of itself, where neither config nor command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itb.errors import BarsError

if TYPE_CHECKING:
    from itb.config import Config

EXCHANGE = "file"


def told_by_file(config: Config) -> dict[str, Any]:
    """Give the options that nobody gave and ``data.file`` can tell: symbol, timeframe, and that it is no exchange.

    The symbol is read from the file's name and stays the default where that does not tell it; the timeframe is the
    shortest step in the file. Raises :class:`itb.errors.BarsError` when the file cannot be read.
    """
    from itb.datafeeds.importers import read_file, symbol_of

    data = config.data
    if data.file is None:
        return {}
    path, told = config.locate(data.file), dict[str, Any]()
    symbol = data.symbols[0]
    if ("data", "exchange") not in config.origins:
        told["--exchange"] = EXCHANGE
    if ("data", "symbols") not in config.origins:
        try:
            symbol = symbol_of(path)
            told["--symbol"] = [symbol]
        except BarsError:  # any name will do, as long as it is the same each time
            symbol = data.symbols[0]
    if ("data", "timeframe") not in config.origins:
        told["--timeframe"] = str(read_file(path, symbol).timeframe)
    return told
