"""`itb data download --sources`: what `[[sources]]` name of exchanges, brought into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.settlements import SettlementStore, described, fill_settlements
from itb.runs.sources import series_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from itb.datafeeds.ccxt_history import Connection
    from itb.market.timeframe import Timeframe
    from itb.runs.sources import Series
    from itb.runs.workspace import Workspace


def download_sources(
    workspace: Workspace,
    since_ms: int,
    until_ms: int | None,
    *,
    repair: bool = False,
    connection: Connection | None = None,
) -> Iterator[str]:
    """Fetch each series once, whichever sources name it, and say what is stored of it now."""
    from itb.datafeeds.download import download

    config = workspace.config
    asked = [series_of(config, source, symbol) for source in config.sources for symbol in config.data.symbols]
    for series in dict.fromkeys(one for one in asked if one is not None):
        if series.timeframe is None:
            yield _settlements(workspace, series, since_ms, connection, config.data.timeframe)
            continue
        done = download(
            workspace.store, series.exchange, series.symbol, series.timeframe, since_ms=since_ms, until_ms=until_ms,
            repair=repair, progress=workspace.progress, connection=connection, marks=series.marks,
        )  # fmt: skip
        yield done.summary


def _settlements(
    workspace: Workspace, series: Series, since_ms: int, connection: Connection | None, frame: Timeframe
) -> str:
    from itb.datafeeds.ccxt_history import open_history

    store = SettlementStore(workspace.store)
    source = open_history(series.exchange, series.symbol, frame, retrier=Retrier(), connection=connection)
    fill_settlements(store, series.exchange, series.symbol, source, since_ms)
    return described(store.read(series.exchange, series.symbol))
