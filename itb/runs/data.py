"""`itb data`: fill the bar store, list and examine it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.errors import BarsError, ConfigError
from itb.market.bars import utc
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import DAY_MS, Timeframe
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from itb.datafeeds.archive import Archived
    from itb.datafeeds.download import Downloaded
    from itb.runs.workspace import Workspace

_SHOWN = 8  # findings of each kind
_NEXT_HOURS = "itb data check"


def import_files(
    workspace: Workspace, files: Sequence[Path], symbols: Sequence[str] | None, timeframe: str | None
) -> Said:
    """Import files one by one; symbol and timeframe come from each file where the options do not name them."""
    from itb.datafeeds.importers import import_file

    exchange = _exchange(workspace, "import")
    if symbols and len(symbols) > 1:
        raise ConfigError(f"--symbol: a file holds one market, {len(symbols)} were named; import the files one by one")
    symbol = _symbol(symbols[0]) if symbols else None
    frame = _timeframe(timeframe)
    done = [import_file(workspace.store, exchange, file, symbol, frame, progress=workspace.progress) for file in files]
    lines = [imported.summary for imported in done]
    lines.append(f'Next: `{_NEXT_HOURS} --exchange {exchange}`, or set data.exchange = "{exchange}" in itb.toml.')
    told: list[dict[str, Any]] = [
        {
            "file": str(file),
            "symbol": imported.stored.symbol,
            "timeframe": str(imported.stored.timeframe),
            "added": imported.added,
            "replaced": imported.replaced,
            "stored": imported.stored.bars,
            "missing": imported.stored.missing,
            "first": utc(imported.stored.first_ms),
            "last": utc(imported.stored.last_ms),
        }
        for file, imported in zip(files, done, strict=True)
    ]
    return Said({"exchange": exchange, "imported": told}, tuple(lines))


def download(workspace: Workspace, *, days: int | None, archive: bool, repair: bool) -> Said:
    """Download every configured symbol, through the exchange's interface or from its public archive."""
    from itb.datafeeds.archive import download_archive
    from itb.datafeeds.download import download as fetch

    config = workspace.config
    exchange = _exchange(workspace, "download")
    if days is not None and days < 1:
        raise ConfigError(f"--days: expected at least 1 day, was {days}")
    if days is not None and config.data.start_ms is not None:
        raise ConfigError("--days and --since (or data.from) both say where to begin; give one of them")
    since = workspace.clock() - days * DAY_MS if days is not None else config.data.start_ms
    if since is None:
        raise ConfigError("nothing says where to begin; give --since 2024-01-01 or --days 400, or set data.from")
    lines, told = [], []
    for symbol in config.data.symbols:
        found: Archived | Downloaded
        series = (workspace.store, exchange, symbol, config.data.timeframe)
        until, progress = config.data.stop_ms, workspace.progress
        if archive:
            found = download_archive(*series, since_ms=since, until_ms=until, progress=progress)
        else:
            found = fetch(*series, since_ms=since, until_ms=until, repair=repair, progress=progress)
        lines.append(found.summary)
        told.append({"symbol": symbol, "bars": found.bars, "missing": found.missing, "requests": found.requests})
    return Said({"exchange": exchange, "downloaded": told}, tuple(lines))


def list_series(workspace: Workspace) -> Said:
    """List what is stored; a damaged series is told, not fatal."""
    store = workspace.store
    rows, told = [], []
    for key in store.names():
        try:
            one = store.series(*key)
        except BarsError as error:
            rows.append((key.exchange, key.symbol, str(key.timeframe), "damaged", "", "", str(error)))
            continue
        extent = (utc(one.first_ms), utc(one.last_ms))
        rows.append((one.exchange, one.symbol, str(one.timeframe), f"{one.bars:,}", *extent, f"{one.missing:,}"))
        told.append(
            {
                "exchange": one.exchange,
                "symbol": one.symbol,
                "timeframe": str(one.timeframe),
                "bars": one.bars,
                "first": extent[0],
                "last": extent[1],
                "missing": one.missing,
            }
        )
    if not rows:
        return Said({"series": []}, (f"{store.root}: no bars yet; see `itb data import` and `itb data download`.",))
    table = Table(("exchange", "symbol", "timeframe", "bars", "first", "last", "missing"), tuple(rows))
    return Said({"series": told}, (), table)


def check(workspace: Workspace) -> Said:
    """Examine the configured series, or everything stored when no exchange is configured.

    Gaps and jumps that revert are warnings; only errors make the exit code 1.
    """
    from itb.datafeeds.check import check_store
    from itb.datafeeds.findings import exit_code
    from itb.datafeeds.store import SeriesKey

    config, store = workspace.config, workspace.store
    if config.data.is_synthetic:
        keys = list(store.names())
    else:
        keys = [SeriesKey(config.data.exchange, symbol, config.data.timeframe) for symbol in config.data.symbols]
    if not keys:
        raise BarsError(f"{store.root}: no bars to check; import or download some first")
    checked = [check_store(store, key.exchange, key.symbol, key.timeframe) for key in keys]
    rows = [(one.series, *row) for one in checked for row in one.rows(_SHOWN)]
    table = Table(("series", "severity", "what", "from", "bars", "detail"), tuple(rows)) if rows else None
    told = {"checked": [{"series": one.series, "bars": one.bars, "worst": one.worst} for one in checked]}
    is_bad = bool(exit_code(checked, fail_on="error"))
    return Said(told, tuple(one.summary for one in checked), table, found=is_bad)


def _exchange(workspace: Workspace, verb: str) -> str:
    if workspace.config.data.is_synthetic:
        raise ConfigError(
            f"itb data {verb}: the built-in market is not stored; say where the bars are from: --exchange binance, "
            'or data.exchange = "binance" in itb.toml'
        )
    return workspace.config.data.exchange


def _symbol(text: str) -> str:
    try:
        return canonical_symbol(text)
    except ValueError as error:
        raise ConfigError(f"--symbol: {error}") from None


def _timeframe(text: str | None) -> Timeframe | None:
    try:
        return None if text is None else Timeframe.parse(text)
    except ValueError as error:
        raise ConfigError(f"--timeframe: {error}") from None
