"""`itb data`: fill the bar store, list and examine it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.config.values import to_moment, to_ms
from itb.errors import BarsError, ConfigError
from itb.market.bars import utc
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import DAY_MS, Timeframe
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from itb.datafeeds.archive import Archived
    from itb.datafeeds.ccxt_history import Connection
    from itb.datafeeds.download import Downloaded
    from itb.datafeeds.store import SeriesKey, StoredSeries
    from itb.runs.workspace import Workspace

_SHOWN = 8  # findings of each kind
_HEAD = ("exchange", "symbol", "timeframe", "bars", "first", "last", "missing")


def import_files(
    workspace: Workspace, files: Sequence[Path], symbols: Sequence[str] | None, timeframe: str | None
) -> Said:
    """Import files one by one; symbol and timeframe come from each file where the options do not name them.

    One symbol is that of every file; else there must be one for each, in the same order.
    """
    from itb.datafeeds.importers import import_file

    exchange = _exchange(workspace, "import")
    names = [_symbol(text) for text in symbols or ()]
    if len(names) not in {0, 1, len(files)}:
        raise ConfigError(f"--symbol: {len(names)} symbols for {len(files)} files; give one for all, or one for each")
    frame = _timeframe(timeframe)
    told: list[dict[str, Any]] = []
    lines: list[str] = []
    for place, file in enumerate(files):
        symbol = names[place % len(names)] if names else None
        try:
            done = import_file(workspace.store, exchange, file, symbol, frame, progress=workspace.progress)
        except BarsError as error:
            before = f" ({place} of {len(files)} files were imported before)" if place else ""
            raise BarsError(f"{error}{before}") from None
        lines.append(done.summary)
        changed = {"added": done.added, "replaced": done.replaced}
        repeats = {"rows": done.file.rows, "repeated": done.file.repeated, "contradicted": done.file.contradicted}
        told.append({"file": str(file), **_described(done.stored), **changed, **repeats})
    lines += _next(workspace, exchange, told)
    return Said({"exchange": exchange, "imported": told}, tuple(lines))


def _next(workspace: Workspace, exchange: str, told: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say what to do with bars that came."""
    data = workspace.config.data
    if any(one["missing"] for one in told) and data.gaps == "refuse":
        yield 'Bars are missing: runs refuse that until data.gaps is "flat" or "drop"; `itb data check` shows where.'
    last = told[-1]
    if data.exchange == exchange and {last["symbol"], last["timeframe"]} <= {*data.symbols, str(data.timeframe)}:
        named = f" --exchange {exchange}" if workspace.config.origins.get(("data", "exchange")) == "--exchange" else ""
        yield f"Next: `itb backtest{named}`."
    elif workspace.config.source is None:
        asked = f"--exchange {exchange} --symbol {last['symbol']} --timeframe {last['timeframe']}"
        yield f"Next: `itb init {asked}` writes a config for them."
    else:
        yield f"Next: set data.exchange, data.symbols and data.timeframe in {workspace.config.source} to use them."


def download(
    workspace: Workspace,
    *,
    days: int | None = None,
    since: str | None = None,
    until: str | None = None,
    archive: bool = False,
    repair: bool = False,
    sources: bool = False,
    connection: Connection | None = None,
) -> Said:
    """Download every configured symbol, through the exchange's interface or from its public archive.

    With ``data.detail_timeframe`` the finer bars come too, with ``sources`` what ``[[sources]]`` name of exchanges.
    What is stored already is not asked for again: without a beginning, a series that is stored is continued.
    ``since`` and ``until`` say what is fetched whatever ``data.from``, ``data.to`` and the hold-out say of what is
    used. ``connection`` says how the exchange (or its archive) is reached.
    """
    from itb.datafeeds.archive import download_archive
    from itb.datafeeds.download import download as fetch
    from itb.runs.source_download import download_sources

    data, exchange = workspace.config.data, _exchange(workspace, "download")
    if archive and repair:
        raise ConfigError("--repair asks the exchange itself for missing bars; leave --archive out")
    begins, ends = _stretch(workspace, days, since, until)
    lines, told, to_begin = [], [], list[int]()
    frames = [data.timeframe, *([data.detail_timeframe] if data.detail_timeframe else [])]
    for symbol, frame in [(symbol, frame) for symbol in data.symbols for frame in frames]:
        begin = _stored_since(workspace, symbol, frame) if begins is None else begins
        to_begin.append(begin)
        series = (workspace.store, exchange, symbol, frame)
        found: Archived | Downloaded
        if archive:
            address = connection.base_url if connection else None
            found = download_archive(
                *series, since_ms=begin, until_ms=ends, base_url=address, progress=workspace.progress
            )
        else:
            found = fetch(
                *series,
                since_ms=begin,
                until_ms=ends,
                repair=repair,
                progress=workspace.progress,
                connection=connection,
            )
        lines.append(found.summary)
        told.append(
            {
                "symbol": found.symbol,
                "timeframe": str(found.timeframe),
                "since": utc(found.since_ms),
                "until": utc(found.until_ms),
                "bars": found.bars,
                "revised": found.revised,
                "stored": found.stored,
                "first": None if found.first_ms is None else utc(found.first_ms),
                "last": None if found.last_ms is None else utc(found.last_ms),
                "missing": found.missing,
                "requests": found.requests,
                "retries": found.retries,
            }
        )
    if sources:
        begin = min(to_begin) if begins is None else begins
        lines += download_sources(workspace, begin, ends, repair=repair, connection=connection)
    lines += _next(workspace, exchange, told)
    return Said({"exchange": exchange, "downloaded": told}, tuple(lines))


def _stretch(
    workspace: Workspace, days: int | None, since: str | None, until: str | None
) -> tuple[int | None, int | None]:
    """Say from where to where bars are fetched (UTC milliseconds): the options first, else the config's range."""
    data, origin = workspace.config.data, workspace.config.origins.get(("data", "from"))
    end = data.stop_ms if until is None else _moment("--until", until)
    begin = data.start_ms if since is None else _moment("--since", since)
    if days is not None:
        if days < 1:
            raise ConfigError(f"--days: expected at least 1 day, was {days}")
        other = "--since" if since is not None else origin
        if other in {"--since", "--set"}:
            raise ConfigError(f"--days and {other} both say where to begin; give one of them")
        begin = max(0, (workspace.clock() if end is None else end) - days * DAY_MS)
    if begin is not None and end is not None and begin >= end:
        said = "--until" if until is not None else "data.to"
        raise ConfigError(
            f"nothing lies between {utc(begin)}, where the download begins, and {utc(end)} ({said}); "
            "give a later --until"
        )
    return begin, end


def _moment(option: str, text: str) -> int:
    try:
        moment = to_ms(to_moment(text))
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
    assert moment is not None
    return moment


def _stored_since(workspace: Workspace, symbol: str, timeframe: Timeframe) -> int:
    exchange = workspace.config.data.exchange
    if workspace.store.last(exchange, symbol, timeframe) is None:
        raise ConfigError(
            f"nothing says where {symbol} {timeframe} begins; give --since 2024-01-01 or --days 400, or set data.from"
        )
    return workspace.store.series(exchange, symbol, timeframe).first_ms


def list_series(workspace: Workspace) -> Said:
    """List what is stored, or of it what the options name; a damaged series is told, and makes the exit code 1."""
    store = workspace.store
    rows: list[tuple[str, ...]] = []
    told, damaged = [], []
    for key in _asked(workspace, store.names(), by_config=False):
        name = (key.exchange, key.symbol, str(key.timeframe))
        try:
            one = store.series(*key)
        except BarsError as error:
            damaged.append({"series": " ".join(name), "error": str(error)})
            rows.append((*name, "damaged", "", "", ""))
            continue
        rows.append((*name, f"{one.bars:,}", utc(one.first_ms), utc(one.last_ms), f"{one.missing:,}"))
        told.append(_described(one))
    lines = [f"{one['series']}: {one['error']}" for one in damaged]
    if not rows:
        lines.append(f"{store.root}: no such bars are stored; see `itb data import` and `itb data download`.")
    table = Table(_HEAD, tuple(rows)) if rows else None
    return Said({"series": told, "damaged": damaged}, tuple(lines), table, found=bool(damaged))


def check(workspace: Workspace) -> Said:
    """Examine the configured series, or everything stored when no exchange is configured.

    Gaps and jumps that revert are warnings; only errors (damaged files, contradictions) make the exit code 1.
    """
    from itb.datafeeds.check import check_store
    from itb.datafeeds.findings import exit_code

    data, store = workspace.config.data, workspace.store
    keys = _asked(workspace, store.names(), by_config=not data.is_synthetic)
    if not data.is_synthetic:
        found = {key.symbol for key in keys}
        is_asked = _is_set(workspace, "symbols", by_config=True) or not keys
        for symbol in [symbol for symbol in data.symbols if is_asked and symbol not in found]:
            store.series(data.exchange, symbol, data.timeframe)  # says what there is instead
    if not keys:
        raise BarsError(f"{store.root}: no such bars are stored; import or download some first")
    checked = []
    for done, key in enumerate(keys):
        workspace.report(done, len(keys), "checking bars")
        checked.append(check_store(store, key.exchange, key.symbol, key.timeframe))
    workspace.report(len(keys), len(keys), "checking bars")
    rows = [(one.series, *row) for one in checked for row in one.rows(_SHOWN)]
    table = Table(("series", "severity", "what", "from", "bars", "detail"), tuple(rows)) if rows else None
    told = [
        {
            "series": one.series,
            "bars": one.bars,
            "worst": one.worst,
            "findings": [
                {"kind": f.kind, "severity": f.severity, "from": utc(f.start_ms), "bars": f.bars, "detail": f.detail}
                for f in one.findings
            ],
        }
        for one in checked
    ]
    is_bad = bool(exit_code(checked, fail_on="error"))
    return Said({"checked": told}, tuple(one.summary for one in checked), table, found=is_bad)


def _asked(workspace: Workspace, keys: Sequence[SeriesKey], *, by_config: bool) -> list[SeriesKey]:
    """Keep the series that the command line asks for and, with ``by_config``, the config; where neither does, all."""
    data = workspace.config.data
    exchange, symbols, timeframe = (
        _is_set(workspace, name, by_config=by_config) for name in ("exchange", "symbols", "timeframe")
    )
    return [
        key
        for key in keys
        if (not exchange or key.exchange == data.exchange.lower())
        and (not symbols or key.symbol in data.symbols)
        and (not timeframe or key.timeframe in {data.timeframe, data.detail_timeframe})
    ]


def _is_set(workspace: Workspace, name: str, *, by_config: bool) -> bool:
    origin = workspace.config.origins.get(("data", name))
    return origin is not None and (by_config or origin.startswith("--"))


def _described(one: StoredSeries) -> dict[str, Any]:
    return {
        "exchange": one.exchange,
        "symbol": one.symbol,
        "timeframe": str(one.timeframe),
        "bars": one.bars,
        "first": utc(one.first_ms),
        "last": utc(one.last_ms),
        "missing": one.missing,
    }


def _exchange(workspace: Workspace, verb: str) -> str:
    exchange = workspace.config.data.exchange
    if exchange.lower() == "synthetic":
        raise ConfigError(
            f"itb data {verb}: the built-in market is not stored; say where the bars are from: --exchange binance, "
            'or data.exchange = "binance" in itb.toml'
        )
    return exchange


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
